#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <tuple>

#include "core/run/random.h"
#include "core/run/sampler_math.h"
#include "tests/support/golden.h"

using namespace glassbox;
using Catch::Approx;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// The chain once more, as plainly as it can be said: in doubles, with the library's exp, a stable sort and maps.
struct PlainChain {
  std::vector<int32_t> ids;   // in order
  std::vector<double> probs;  // of those kept
  std::vector<size_t> kept;   // after each reorderable stage
  std::vector<double> masses, entropies;
};

std::vector<double> softmax(const std::vector<double>& x) {
  const double greatest = *std::max_element(x.begin(), x.end());
  std::vector<double> p;
  for (const double v : x) p.push_back(v == greatest ? 1.0 : std::exp(v - greatest));
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& v : p) v /= total;
  return p;
}

double entropy_bits(const std::vector<double>& p) {
  double bits = 0;
  for (const double v : p) bits -= v > 0 ? v * std::log2(v) : 0;
  return bits;
}

PlainChain plain_chain(const std::vector<float>& logits, const SamplerSettings& s,
                       const std::vector<int32_t>& context) {
  std::map<int32_t, int> counts;
  const size_t window =
      s.penalty_window < 0 ? context.size() : std::min(context.size(), static_cast<size_t>(s.penalty_window));
  for (size_t i = context.size() - window; i < context.size(); ++i) ++counts[context[i]];
  std::vector<double> penalised(logits.begin(), logits.end());
  for (const auto& [id, count] : counts) {
    double& logit = penalised[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    logit -= count * static_cast<double>(s.frequency_penalty) + s.presence_penalty;
  }
  PlainChain chain;
  chain.ids.resize(logits.size());
  std::iota(chain.ids.begin(), chain.ids.end(), 0);
  std::stable_sort(chain.ids.begin(), chain.ids.end(), [&](int32_t a, int32_t b) {
    return penalised[static_cast<size_t>(a)] > penalised[static_cast<size_t>(b)];
  });
  std::vector<double> x;
  for (const int32_t id : chain.ids) x.push_back(penalised[static_cast<size_t>(id)]);
  for (const SamplerStage stage : s.order) {
    const std::vector<double> p = softmax(x);
    size_t keep = x.size();
    if (stage == SamplerStage::temperature) {
      if (s.temperature == 0) {
        keep = 1;
      } else {
        for (double& v : x) v /= static_cast<double>(s.temperature);
      }
    } else if (stage == SamplerStage::top_k && s.top_k > 0) {
      keep = std::min(keep, static_cast<size_t>(s.top_k));
    } else if (stage == SamplerStage::top_p && s.top_p < 1) {
      double sum = 0;
      for (keep = 0; keep < p.size() && sum < static_cast<double>(s.top_p);) sum += p[keep++];
    } else if (stage == SamplerStage::min_p && s.min_p > 0) {
      keep = static_cast<size_t>(
          std::count_if(p.begin(), p.end(), [&](double v) { return v >= p[0] * static_cast<double>(s.min_p); }));
    }
    chain.masses.push_back(std::accumulate(p.begin(), p.begin() + static_cast<ptrdiff_t>(keep), 0.0));
    x.resize(keep);
    chain.kept.push_back(keep);
    chain.entropies.push_back(entropy_bits(softmax(x)));
  }
  chain.probs = softmax(x);
  return chain;
}

std::vector<float> random_logits(std::mt19937& random, size_t vocab, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(vocab);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// What must hold of any chain, whatever the input.
void check_invariants(const ChainResult& chain, std::span<const float> logits) {
  const size_t vocab = logits.size();
  REQUIRE(chain.candidates.size() == vocab);
  REQUIRE(chain.rank_of.size() == vocab);
  REQUIRE(chain.stages.size() == 6);
  CHECK(chain.stages.front().kind == "penalties");
  CHECK(chain.stages.back().kind == "draw");
  const size_t kept = static_cast<size_t>(chain.stages[4].kept);
  REQUIRE(kept >= 1);
  double total = 0, model = 0, heated = 0;
  int wrong = 0;
  for (size_t i = 0; i < vocab; ++i) {
    const Candidate& c = chain.candidates[i];
    wrong += chain.rank_of[static_cast<size_t>(c.id)] != static_cast<int32_t>(i);
    wrong += c.logit != logits[static_cast<size_t>(c.id)];
    wrong += !(c.prob >= 0 && c.prob <= 1) || !(c.prob_model >= 0) || !(c.prob_heated >= 0);
    wrong += (c.cut_by == -1) != (i < kept);
    if (i >= kept) {
      wrong += c.prob != 0;
      // It was there before the stage that cut it, and not after.
      const size_t stage = static_cast<size_t>(c.cut_by);
      wrong +=
          static_cast<size_t>(chain.stages[stage].kept) > i || static_cast<size_t>(chain.stages[stage - 1].kept) <= i;
    }
    if (i > 0) {
      const Candidate& before = chain.candidates[i - 1];
      wrong += before.penalised < c.penalised || (before.penalised == c.penalised && before.id > c.id);
    }
    total += c.prob, model += c.prob_model, heated += c.prob_heated;
  }
  CHECK(wrong == 0);
  CHECK(total == Approx(1).epsilon(1e-5));
  CHECK(model == Approx(1).epsilon(1e-4));
  CHECK(heated == Approx(1).epsilon(1e-4));
  for (const ChainStage& stage : chain.stages) {
    CHECK(stage.mass >= 0);
    CHECK(stage.mass <= 1 + 1e-12);
    CHECK(stage.entropy_bits >= 0);
    CHECK(stage.entropy_bits <= std::log2(static_cast<double>(stage.kept)) + 1e-9);
  }
  const Candidate& drawn = chain.candidates[static_cast<size_t>(chain.rank_of[static_cast<size_t>(chain.drawn)])];
  CHECK(drawn.cut_by == -1);
}

}  // namespace

TEST_CASE("the chain equals a plain implementation on random vectors", "[sampler]") {
  std::mt19937 random(7);
  const std::vector<SamplerStage> all = {SamplerStage::temperature, SamplerStage::top_k, SamplerStage::top_p,
                                         SamplerStage::min_p};
  const auto pick = [&random](std::vector<float> from) { return from[random() % from.size()]; };
  for (int round = 0; round < 400; ++round) {
    const size_t vocab = 1 + random() % 600;
    std::vector<float> logits = random_logits(random, vocab, pick({0.01f, 1, 5, 40}));
    if (round % 5 == 0) logits[random() % vocab] = -kInf;
    if (round % 7 == 0) logits[random() % vocab] = logits[0];  // a tie
    SamplerSettings s;
    s.repetition_penalty = pick({1, 1, 1.3f, 0.7f});
    s.presence_penalty = pick({0, 0, 0.5f, -0.5f});
    s.frequency_penalty = pick({0, 0, 0.25f});
    s.penalty_window = static_cast<int>(pick({-1, 0, 3, 64}));
    s.temperature = pick({1, 1, 0, 0.3f, 1.7f, 100, 1e-4f});
    s.top_k = static_cast<int>(pick({0, 0, 1, 10, 5000}));
    s.top_p = pick({1, 1, 0.9f, 0.3f, 1e-6f});
    s.min_p = pick({0, 0, 0.05f, 0.9f});
    s.order = all;
    std::shuffle(s.order.begin(), s.order.end(), random);
    std::vector<int32_t> context;
    for (size_t i = random() % 30; i > 0; --i) context.push_back(static_cast<int32_t>(random() % vocab));

    REQUIRE(check_sampler(s));
    const ChainResult chain = run_chain(logits, s, context, 0.5);
    const PlainChain plain = plain_chain(logits, s, context);
    INFO("round " << round << " V " << vocab << " " << to_json(s).dump());
    check_invariants(chain, logits);
    for (size_t stage = 0; stage < 4; ++stage) {
      INFO("stage " << stage);
      REQUIRE(chain.stages[stage + 1].kept == static_cast<int32_t>(plain.kept[stage]));
      REQUIRE(chain.stages[stage + 1].mass == Approx(plain.masses[stage]).epsilon(1e-6));
      REQUIRE(chain.stages[stage + 1].entropy_bits == Approx(plain.entropies[stage]).margin(2e-5).epsilon(1e-5));
      REQUIRE(chain.stages[stage + 1].kind == stage_name(s.order[stage]));
    }
    // Sorted logits may come from other settings with the same penalties.
    SamplerSettings before;
    before.repetition_penalty = s.repetition_penalty, before.presence_penalty = s.presence_penalty;
    before.frequency_penalty = s.frequency_penalty, before.penalty_window = s.penalty_window;
    REQUIRE(same_penalties(before, s));
    const ChainResult again = run_chain(*sort_logits(logits, before, context), s, 0.5);
    REQUIRE(again.drawn == chain.drawn);
    for (size_t i = 0; i < chain.candidates.size(); ++i) {
      const Candidate &a = again.candidates[i], &b = chain.candidates[i];
      REQUIRE(std::tie(a.id, a.logit, a.penalised, a.prob_model, a.prob_heated, a.prob, a.cut_by) ==
              std::tie(b.id, b.logit, b.penalised, b.prob_model, b.prob_heated, b.prob, b.cut_by));
    }
    for (size_t i = 0; i < plain.probs.size(); ++i) {
      REQUIRE(chain.candidates[i].prob == Approx(plain.probs[i]).margin(2e-6).epsilon(1e-4));
    }
  }
}

TEST_CASE("the fast draw is the chain's, and seldom needs it", "[sampler][slow]") {
  std::mt19937 random(11);
  const auto pick = [&random](std::vector<float> from) { return from[random() % from.size()]; };
  int rounds = 0, fast = 0, usual = 0, usual_fast = 0;
  for (int round = 0; round < 1500; ++round) {
    const size_t vocab = round % 3 == 0 ? 1 + random() % 600 : 3000 + random() % 9000;
    std::vector<float> logits = random_logits(random, vocab, pick({0.01f, 1, 3, 5, 40}));
    if (round % 5 == 0) logits[random() % vocab] = -kInf;
    if (round % 7 == 0) logits[random() % vocab] = *std::max_element(logits.begin(), logits.end());  // a tie at the top
    if (round % 11 == 0) {
      for (float& logit : logits) logit = std::round(logit);  // many ties
    }
    if (round % 97 == 0) logits[random() % vocab] = kInf;
    SamplerSettings s;
    s.repetition_penalty = pick({1, 1, 1.3f, 0.7f});
    s.presence_penalty = pick({0, 0, 0.5f, -0.5f});
    s.temperature = pick({1, 1, 0, 0.3f, 0.8f, 1.7f, 100, 1e-4f});
    s.top_k = static_cast<int>(pick({0, 0, 1, 40, 5000}));
    s.top_p = pick({1, 1, 0.95f, 0.3f, 1e-6f});
    s.min_p = pick({0, 0, 0.05f, 0.9f});
    std::shuffle(s.order.begin(), s.order.end(), random);
    std::vector<int32_t> context;
    for (size_t i = random() % 30; i > 0; --i) context.push_back(static_cast<int32_t>(random() % vocab));
    INFO("round " << round << " V " << vocab << " " << to_json(s).dump());
    for (const double u : {0.0, 0.5, std::uniform_real_distribution<double>()(random), 0.999999, 1 - 0x1p-53}) {
      const int32_t drawn = run_chain(logits, s, context, u).drawn;
      const std::optional<int32_t> head = draw_from_head(logits, s, context, u);
      if (head) REQUIRE(*head == drawn);
      REQUIRE(draw_token(logits, s, context, u) == drawn);
      ++rounds, fast += head.has_value();
      const bool is_usual = s.temperature <= 1 && (s.top_k == 40 || s.top_p <= 0.3f) && round % 97 != 0;
      usual += is_usual, usual_fast += is_usual && head;
    }
    // A sum that equals its target up to rounding is left to the chain: u where the sums of the chain itself jump.
    const ChainResult chain = run_chain(logits, s, context, 0.5);
    double sum = 0;
    for (size_t i = 0; i < std::min<size_t>(chain.candidates.size(), 20) && chain.candidates[i].prob > 0; ++i) {
      sum += static_cast<double>(chain.candidates[i].prob);
      if (sum >= 1) break;
      REQUIRE(draw_token(logits, s, context, sum) == run_chain(logits, s, context, sum).drawn);
    }
  }
  CAPTURE(fast, rounds, usual_fast, usual);
  CHECK(fast > rounds / 2);
  CHECK(usual_fast > usual * 7 / 10);
}

TEST_CASE("the chain cuts and weighs as Hugging Face's processors do", "[sampler][golden]") {
  const nlohmann::json golden = read_golden("sampler.json");
  const std::vector<std::vector<float>> vectors = golden["vectors"];
  const std::vector<int32_t> context = golden["context"];
  CHECK(golden["cases"].size() == 24);
  for (const nlohmann::json& entry : golden["cases"]) {
    INFO(entry["settings"].dump());
    const auto settings = sampler_from_json(entry["settings"]);
    REQUIRE(settings);
    const std::vector<float>& logits = vectors[entry["vector"].get<size_t>()];
    const ChainResult chain = run_chain(logits, *settings, context, 0.3);
    for (size_t stage = 0; stage < 4; ++stage) {
      CHECK(chain.stages[stage + 1].kept == entry["kept"][stage].get<int32_t>());
    }
    std::map<int32_t, double> expected;
    for (size_t i = 0; i < entry["kept_ids"].size(); ++i) expected[entry["kept_ids"][i]] = entry["probs"][i];
    for (const Candidate& c : chain.candidates) {
      CHECK((c.cut_by == -1) == expected.contains(c.id));
      if (c.cut_by == -1) CHECK(c.prob == Approx(expected[c.id]).epsilon(1e-6));
    }
  }
}

TEST_CASE("penalties follow llama.cpp's formula", "[sampler]") {
  const std::vector<float> logits = {2.0f, -2.0f, 1.0f, 0.0f, 3.0f};
  SamplerSettings s;
  s.repetition_penalty = 2.0f;
  s.presence_penalty = 0.25f;
  s.frequency_penalty = 0.5f;
  s.penalty_window = 5;
  // Outside the window: token 4. In it: 0 twice, 1 once, 3 twice. Ids that the vocabulary lacks are ignored.
  const std::vector<int32_t> context = {4, 4, 0, 1, 0, 3, 3};
  const ChainResult chain = run_chain(logits, s, context, 0);
  const auto penalised = [&chain](int32_t id) {
    return chain.candidates[static_cast<size_t>(chain.rank_of[static_cast<size_t>(id)])].penalised;
  };
  CHECK(penalised(0) == 2.0f / 2.0f - (2 * 0.5f + 0.25f));
  CHECK(penalised(1) == -2.0f * 2.0f - (0.5f + 0.25f));
  CHECK(penalised(2) == 1.0f);
  CHECK(penalised(3) == 0.0f - (2 * 0.5f + 0.25f));
  CHECK(penalised(4) == 3.0f);
  CHECK(chain.stages[0].active);
  // The model's own probability knows nothing of penalties.
  const std::vector<double> own = softmax({2, -2, 1, 0, 3});
  for (const Candidate& c : chain.candidates) {
    CHECK(c.prob_model == Approx(own[static_cast<size_t>(c.id)]).epsilon(1e-6));
  }
  CHECK(chain.entropy_model_bits == Approx(entropy_bits(own)));

  s.penalty_window = 0;
  CHECK_FALSE(run_chain(logits, s, context, 0).stages[0].active);
  s.penalty_window = -1;
  CHECK(run_chain(logits, s, context, 0).candidates[0].id == 2);  // 4 has fallen to 3/2 − 1.25
  const ChainResult strange = run_chain(logits, s, std::vector<int32_t>{-1, 5, 1000000}, 0);
  CHECK(strange.candidates[0].penalised == 3.0f);
}

TEST_CASE("temperature 0 is greedy, wherever it stands", "[sampler]") {
  const std::vector<float> logits = {1, 5, 5, 4};  // a tie goes to the smaller id
  for (const double u : {0.0, 0.5, 0.999999}) {
    for (size_t place = 0; place < 4; ++place) {
      SamplerSettings s;
      s.temperature = 0;
      s.top_k = 3;
      s.order = {SamplerStage::top_k, SamplerStage::top_p, SamplerStage::min_p};
      s.order.insert(s.order.begin() + static_cast<ptrdiff_t>(place), SamplerStage::temperature);
      const ChainResult chain = run_chain(logits, s, {}, u);
      check_invariants(chain, logits);
      CHECK(chain.drawn == 1);
      CHECK(chain.stages[4].kept == 1);
      CHECK(chain.candidates[0].prob == 1);
      CHECK(chain.candidates[0].prob_heated == 1);
      CHECK(chain.candidates[1].cut_by == static_cast<int8_t>(place + 1));
      const double before = place == 0 ? 1 + 1 + std::exp(-1.0) + std::exp(-4.0) : 1 + 1 + std::exp(-1.0);
      CHECK(chain.stages[place + 1].mass == Approx(1 / before));
    }
  }
}

TEST_CASE("top-p sees what top-k left, made to sum to 1 again", "[sampler]") {
  // Probabilities 0.4, 0.3, 0.2, 0.1.
  std::vector<float> logits;
  for (const double p : {0.4, 0.3, 0.2, 0.1}) logits.push_back(static_cast<float>(std::log(p)));
  SamplerSettings s;
  s.top_k = 2;
  s.top_p = 0.5f;
  // After top-k: 4/7 ≥ 0.5 alone. Before it: 0.4 < 0.5 asks for two.
  CHECK(run_chain(logits, s, {}, 0).stages[3].kept == 1);
  s.order = {SamplerStage::temperature, SamplerStage::top_p, SamplerStage::top_k, SamplerStage::min_p};
  CHECK(run_chain(logits, s, {}, 0).stages[2].kept == 2);
  // Before the temperature top-p sees T = 1, after it the flatter distribution.
  s.top_k = 0;
  s.temperature = 100;
  s.top_p = 0.6f;
  CHECK(run_chain(logits, s, {}, 0).stages[2].kept == 3);
  s.order = {SamplerStage::top_p, SamplerStage::temperature, SamplerStage::top_k, SamplerStage::min_p};
  CHECK(run_chain(logits, s, {}, 0).stages[1].kept == 2);
}

TEST_CASE("extreme logits and settings", "[sampler]") {
  SamplerSettings s;
  s.top_k = 1000;
  s.top_p = 1e-6f;
  SECTION("all equal") {
    const std::vector<float> logits(100, 3.5f);
    ChainResult chain = run_chain(logits, s, {}, 0.5);
    check_invariants(chain, logits);
    CHECK(chain.stages[2].kept == 100);  // top_k ≥ V
    CHECK(chain.stages[3].kept == 1);
    CHECK(chain.drawn == 0);
    s.top_p = 0.5f;
    chain = run_chain(logits, s, {}, 0.995);
    CHECK(chain.stages[3].kept == 50);
    CHECK(chain.drawn == 49);
    s.top_p = 1;
    s.min_p = 0.999f;
    CHECK(run_chain(logits, s, {}, 0.995).stages[4].kept == 100);
    CHECK(run_chain(logits, s, {}, 0.995).stages[4].entropy_bits == Approx(std::log2(100)));
  }
  SECTION("infinities") {
    const std::vector<std::vector<float>> vectors = {
        {-kInf, 1, -kInf, 2}, {-kInf, -kInf, -kInf}, {kInf, 1, kInf, -kInf}, {-3e38f, 3e38f}, {0.0f, -0.0f, 0.0f}};
    for (const std::vector<float>& logits : vectors) {
      for (const float temperature : {0.0f, 1e-4f, 1.0f, 100.0f, std::numeric_limits<float>::denorm_min()}) {
        for (const float repetition : {1.0f, 1e-30f, 100.0f}) {
          SamplerSettings extreme;
          extreme.temperature = temperature;
          extreme.repetition_penalty = repetition;
          extreme.frequency_penalty = repetition == 1.0f ? 0.0f : 100.0f;
          REQUIRE(check_sampler(extreme));
          const ChainResult chain = run_chain(logits, extreme, std::vector<int32_t>{0, 1, 1}, 0.7);
          check_invariants(chain, logits);
          CHECK(std::isfinite(chain.entropy_model_bits));
        }
      }
    }
    CHECK(run_chain(vectors[0], {}, {}, 0.999999).drawn != 0);
    CHECK(run_chain(vectors[1], {}, {}, 0.5).drawn == 1);  // nothing is greater: all equal
    CHECK(run_chain(vectors[2], {}, {}, 0.75).drawn == 2);
    CHECK(run_chain(vectors[4], {}, {}, 0).candidates[1].id == 1);  // −0 and 0 are equal: by id
  }
  SECTION("very cold and very hot") {
    std::mt19937 random(3);
    const std::vector<float> logits = random_logits(random, 1000, 3);
    s = {};
    s.temperature = 1e-4f;
    CHECK(run_chain(logits, s, {}, 0.9999).drawn == run_chain(logits, {.temperature = 0}, {}, 0).drawn);
    s.temperature = 100;
    const ChainResult hot = run_chain(logits, s, {}, 0.5);
    CHECK(hot.stages[1].entropy_bits > std::log2(1000) - 0.01);
    CHECK(hot.candidates[0].prob_model > hot.candidates[0].prob_heated);
  }
  SECTION("a vocabulary of one") {
    const std::vector<float> logits = {-5};
    const ChainResult chain = run_chain(logits, s, {}, 0.99);
    check_invariants(chain, logits);
    CHECK(chain.drawn == 0);
    CHECK(chain.stages.back().mass == 1);
  }
}

TEST_CASE("draws are as frequent as their probabilities", "[sampler]") {
  std::mt19937 random(11);
  const std::vector<float> logits = random_logits(random, 40, 2);
  SamplerSettings s;
  s.temperature = 1.3f;
  s.top_k = 25;
  s.top_p = 0.95f;
  constexpr int kDraws = 100000;
  std::map<int32_t, int> counts;
  for (int i = 0; i < kDraws; ++i)
    ++counts[run_chain(logits, s, {}, draw_uniform(5, 0, static_cast<uint64_t>(i))).drawn];
  const ChainResult chain = run_chain(logits, s, {}, 0);
  double chi = 0;
  int kept = 0;
  for (const Candidate& c : chain.candidates) {
    if (c.cut_by != -1) {
      CHECK(counts[c.id] == 0);
      continue;
    }
    ++kept;
    const double expected = c.prob * static_cast<double>(kDraws);
    chi += std::pow(counts[c.id] - expected, 2) / expected;
  }
  REQUIRE(kept > 8);
  REQUIRE(kept <= 25);
  CHECK(chi < kept + 4 * std::sqrt(2.0 * kept));  // four standard deviations of χ²
}

TEST_CASE("u walks the candidates in their order", "[sampler]") {
  std::vector<float> logits;
  for (const double p : {0.5, 0.25, 0.125, 0.125}) logits.push_back(static_cast<float>(std::log2(p) * std::log(2.0)));
  const auto drawn = [&logits](double u) { return run_chain(logits, {}, {}, u).drawn; };
  CHECK(drawn(0) == 0);
  CHECK(drawn(0.4999) == 0);
  CHECK(drawn(0.5001) == 1);
  CHECK(drawn(0.7499) == 1);
  CHECK(drawn(0.7501) == 2);
  CHECK(drawn(0.8749) == 2);
  CHECK(drawn(0.8751) == 3);
  CHECK(drawn(std::nextafter(1.0, 0.0)) == 3);
  CHECK(run_chain(logits, {}, {}, 0.6).stages.back().mass == Approx(0.25));
  CHECK(run_chain(logits, {}, {}, 0.6).stages.back().params["u"] == 0.6);
}

TEST_CASE("settings out of range are refused with field and range", "[sampler]") {
  const auto refused = [](auto change) -> std::string {
    SamplerSettings s;
    change(s);
    const Result<void> checked = check_sampler(s);
    if (checked) return "accepted";
    CHECK(checked.error().kind == ErrorKind::usage);
    CHECK_FALSE(checked.error().expected.empty());
    return checked.error().where;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {-0.1f, 100.5f, nan, kInf}) {
    CHECK(refused([bad](SamplerSettings& s) { s.temperature = bad; }) == "temperature");
  }
  for (const float bad : {0.0f, -1.0f, 1.01f, nan}) {
    CHECK(refused([bad](SamplerSettings& s) { s.top_p = bad; }) == "top_p");
  }
  for (const float bad : {-0.1f, 1.0f, nan}) {
    CHECK(refused([bad](SamplerSettings& s) { s.min_p = bad; }) == "min_p");
  }
  for (const float bad : {0.0f, -1.0f, 101.0f, nan, kInf}) {
    CHECK(refused([bad](SamplerSettings& s) { s.repetition_penalty = bad; }) == "repetition_penalty");
  }
  for (const float bad : {101.0f, -101.0f, nan}) {
    CHECK(refused([bad](SamplerSettings& s) { s.presence_penalty = bad; }) == "presence_penalty");
    CHECK(refused([bad](SamplerSettings& s) { s.frequency_penalty = bad; }) == "frequency_penalty");
  }
  CHECK(refused([](SamplerSettings& s) { s.top_k = -1; }) == "top_k");
  CHECK(refused([](SamplerSettings& s) { s.penalty_window = -2; }) == "penalty_window");
  CHECK(refused([](SamplerSettings& s) { s.order.pop_back(); }) == "order");
  CHECK(refused([](SamplerSettings& s) { s.order[0] = s.order[1]; }) == "order");
  CHECK(refused([](SamplerSettings& s) { s.order.push_back(SamplerStage::top_k); }) == "order");
  CHECK(refused([](SamplerSettings& s) { s.order[0] = static_cast<SamplerStage>(9); }) == "order");
  CHECK(refused([](SamplerSettings& s) { s.temperature = 0; }) == "accepted");
}

TEST_CASE("settings survive JSON, and their hash tells them apart", "[sampler]") {
  SamplerSettings s;
  s.temperature = 0.7f;
  s.min_p = 0.05f;
  s.top_k = 40;
  s.order = {SamplerStage::min_p, SamplerStage::top_k, SamplerStage::top_p, SamplerStage::temperature};
  const nlohmann::json json = to_json(s);
  CHECK(json.dump().find("0.05,") != std::string::npos);  // not 0.05000000074505806
  const auto again = sampler_from_json(nlohmann::json::parse(json.dump()));
  REQUIRE(again);
  CHECK(*again == s);
  CHECK(hash_sampler(*again) == hash_sampler(s));

  std::vector<SamplerSettings> variants(10, s);
  variants[1].temperature = 0.71f;
  variants[2].min_p = 0.06f;
  variants[3].top_k = 41;
  variants[4].top_p = 0.9f;
  variants[5].repetition_penalty = 1.1f;
  variants[6].presence_penalty = 0.1f;
  variants[7].frequency_penalty = 0.1f;
  variants[8].penalty_window = 65;
  std::swap(variants[9].order[0], variants[9].order[1]);
  std::set<uint64_t> hashes;
  for (const SamplerSettings& variant : variants) hashes.insert(hash_sampler(variant));
  CHECK(hashes.size() == variants.size());
  SamplerSettings negative_zero = s;
  negative_zero.presence_penalty = -0.0f;
  CHECK(negative_zero == s);
  CHECK(hash_sampler(negative_zero) == hash_sampler(s));

  const auto where = [](const char* text) {
    const auto read = sampler_from_json(nlohmann::json::parse(text));
    return read ? std::string("accepted") : read.error().where;
  };
  CHECK(where("{}") == "accepted");
  CHECK(where(R"({"top_k": 2.5})") == "top_k");
  CHECK(where(R"({"top_k": 99999999999})") == "top_k");
  CHECK(where(R"({"top_p": "0.9"})") == "top_p");
  CHECK(where(R"({"temp": 1})") == "temp");
  CHECK(where(R"({"order": ["top_k", "top_q"]})") == "order[1]");
  CHECK(where(R"({"order": ["top_k"]})") == "order");
  CHECK(where("[]") == "");
}

TEST_CASE("two distributions are compared", "[sampler]") {
  std::mt19937 random(13);
  const std::vector<float> before = random_logits(random, 500, 3);
  std::vector<float> after = before;
  const DistributionChange same = compare_distributions(before, after);
  CHECK(same.kl_nats == 0);
  CHECK(same.before == same.after);
  CHECK(same.entropy_before_bits == same.entropy_after_bits);
  CHECK(same.order.size() == 256);

  for (float& logit : after) logit += std::normal_distribution<float>(0, 1)(random);
  const DistributionChange change = compare_distributions(before, after);
  const std::vector<double> p = softmax({before.begin(), before.end()}), q = softmax({after.begin(), after.end()});
  double kl = 0;
  for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
  CHECK(change.kl_nats == Approx(kl).epsilon(1e-9));
  CHECK(change.entropy_before_bits == Approx(entropy_bits(p)));
  CHECK(change.entropy_after_bits == Approx(entropy_bits(q)));
  for (size_t i = 0; i + 1 < change.order.size(); ++i) {
    CHECK(p[static_cast<size_t>(change.order[i])] >= p[static_cast<size_t>(change.order[i + 1])]);
  }
  CHECK(change.order[0] == argmax(before));

  after[static_cast<size_t>(change.order[0])] = -kInf;
  CHECK(compare_distributions(before, after).kl_nats == std::numeric_limits<double>::infinity());
  CHECK(std::isfinite(compare_distributions(after, before).kl_nats));
  CHECK(compare_distributions({before.data(), 3}, {after.data(), 3}).order.size() == 3);
}
