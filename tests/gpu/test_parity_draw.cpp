// Draws on the device against the sampler chain on the host: the same token, or none.
#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "core/run/generate.h"
#include "kernels/hash.h"
#include "tests/gpu/parity.h"

namespace glassbox::testing {
namespace {

struct Problem {
  std::vector<float> logits;
  std::vector<int32_t> context;
  SamplerSettings settings;
  double u = 0.5;
};

uint32_t bits_of(float value) {
  return std::bit_cast<uint32_t>(value);
}

// What the device makes of it. Checks what must hold whatever it draws.
std::vector<Drawn> draw_all(const std::vector<Problem>& problems) {
  const size_t vocab = problems.front().logits.size();
  std::vector<float> logits;
  std::vector<int32_t> history;
  const size_t room = 128;  // tokens of history for each
  for (const Problem& p : problems) {
    logits.insert(logits.end(), p.logits.begin(), p.logits.end());
    REQUIRE(p.logits.size() == vocab);
    REQUIRE(p.context.size() < room);
    history.insert(history.end(), p.context.begin(), p.context.end());
    history.resize((history.size() + room - 1) / room * room, -7);
    if (p.context.empty()) history.resize(history.size() + room, -7);
  }
  const size_t count = problems.size();
  const DeviceBuffer<float> d_logits(logits), penalised(count * vocab);
  const DeviceBuffer<int32_t> d_history(history), counts(std::vector<int32_t>(count * vocab, 0)), next(count);
  const DeviceBuffer<Drawn> results(count);
  std::vector<DrawRow> rows;
  for (size_t i = 0; i < count; ++i) {
    rows.push_back({draw_settings(problems[i].settings), problems[i].u,
                    static_cast<int32_t>(problems[i].context.size()), d_history.data() + i * room,
                    counts.data() + i * vocab, penalised.data() + i * vocab, next.data() + i, results.data() + i});
  }
  const DeviceBuffer<DrawRow> d_rows(rows);
  run_on_device([&] {
    return cuda::draw(d_logits.data(), static_cast<int64_t>(vocab), d_rows.data(), static_cast<int64_t>(count),
                      nullptr);
  });
  const std::vector<Drawn> drawn = results.read();
  const std::vector<int32_t> nexts = next.read(), after = d_history.read();
  for (const int32_t left : counts.read()) REQUIRE(left == 0);
  REQUIRE(std::ranges::equal(d_logits.read(), logits, {}, bits_of, bits_of));  // some are no numbers
  for (size_t i = 0; i < count; ++i) {
    REQUIRE((drawn[i].token >= 0 && drawn[i].token < static_cast<int32_t>(vocab)));
    REQUIRE(nexts[i] == drawn[i].token);
    const size_t place = i * room + problems[i].context.size();
    history[place] = drawn[i].token;
    REQUIRE(drawn[i].logits_hash == hash_logits(problems[i].logits));
  }
  REQUIRE(after == history);
  return drawn;
}

// How many were decided; each of these must be what the chain draws.
int check_draws(const std::vector<Problem>& problems) {
  const std::vector<Drawn> drawn = draw_all(problems);
  int decided = 0;
  for (size_t i = 0; i < problems.size(); ++i) {
    const Problem& p = problems[i];
    INFO("draw " << i << ", settings " << to_json(p.settings).dump() << ", u " << p.u);
    if (drawn[i].decided == 0) continue;
    ++decided;
    REQUIRE(drawn[i].token == run_chain(p.logits, p.settings, p.context, p.u).drawn);
  }
  return decided;
}

std::vector<float> make_logits(size_t vocab, float spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  std::vector<float> logits(vocab);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

TEST_CASE("a draw on the device is the chain's, under all settings", "[parity][draw][short]") {
  std::mt19937 random(7);
  const auto pick = [&random](auto... values) {
    const std::array options{values...};
    return options[random() % options.size()];
  };
  std::vector<Problem> problems;
  constexpr size_t kVocab = 5003;
  for (int i = 0; i < 60; ++i) {
    Problem p;
    p.logits = make_logits(kVocab, pick(0.5f, 2.0f, 5.0f), static_cast<uint32_t>(i));
    if (i % 3 == 0) {  // many equal ones, and some that are cut
      for (float& logit : p.logits) logit = std::round(2.0f * logit) / 2.0f;
      for (size_t k = 0; k < kVocab; k += 7) p.logits[k] = -INFINITY;
    }
    for (int k = pick(0, 1, 40, 100); k > 0; --k) p.context.push_back(static_cast<int32_t>(random() % 50) - 1);
    p.settings.repetition_penalty = pick(1.0f, 1.0f, 1.3f, 0.7f);
    p.settings.presence_penalty = pick(0.0f, 0.0f, 0.6f);
    p.settings.frequency_penalty = pick(0.0f, 0.0f, 0.3f);
    p.settings.penalty_window = pick(0, 64, 64, -1);
    p.settings.temperature = pick(0.0f, 0.3f, 0.8f, 1.0f, 1.7f);
    p.settings.top_k = pick(0, 0, 1, 40, 300, 2000);
    p.settings.top_p = pick(1.0f, 1.0f, 0.95f, 0.5f);
    p.settings.min_p = pick(0.0f, 0.0f, 0.05f);
    std::shuffle(p.settings.order.begin(), p.settings.order.end(), random);
    p.u = std::uniform_real_distribution<double>(0.0, 1.0)(random);
    problems.push_back(std::move(p));
  }
  under_schedules([&] { CHECK(check_draws(problems) > 35); });
}

TEST_CASE("usual settings are decided on the device nearly always", "[parity][draw]") {
  std::mt19937 random(3);
  std::vector<Problem> problems;
  for (int i = 0; i < 40; ++i) {
    Problem p{make_logits(49152, 2.8f, static_cast<uint32_t>(100 + i)), {1, 2, 3}, {}, {}};
    p.settings.temperature = i % 2 == 0 ? 0.8f : 0.0f;
    p.settings.top_k = i % 4 == 0 ? 40 : 0;
    p.settings.top_p = 0.95f;
    p.settings.repetition_penalty = 1.1f;
    p.u = std::uniform_real_distribution<double>(0.0, 1.0)(random);
    problems.push_back(std::move(p));
  }
  const int decided = check_draws(problems);
  CHECK(decided > 25);
}

TEST_CASE("what the head does not decide is left to the host", "[parity][draw]") {
  constexpr size_t kVocab = 3000;
  Problem flat{std::vector<float>(kVocab, 1.25f), {}, {}, 0.5};  // more equal ones than the head holds
  Problem infinite{make_logits(kVocab, 1.0f, 1), {}, {}, 0.5};
  infinite.logits[17] = INFINITY;
  Problem none{std::vector<float>(kVocab, -INFINITY), {}, {}, 0.5};
  Problem tail{make_logits(kVocab, 0.1f, 2), {}, {}, 0.99};
  Problem not_a_number{make_logits(kVocab, 1.0f, 1), {}, {}, 0.5};
  not_a_number.logits[2000] = NAN;
  Problem greedy = not_a_number;
  greedy.settings.temperature = 0.0f;
  for (const Problem& p : {flat, infinite, none, tail, not_a_number, greedy}) {
    CHECK(draw_all({p}).front().decided == 0);
  }

  // A sum that falls on the border between two candidates, where another order of summing could decide.
  Problem border{make_logits(kVocab, 1.0f, 3), {}, {}, 0.5};
  for (float& logit : border.logits) logit -= 800.0f;
  border.logits[2999] = border.logits[11] = 3.0f;
  border.u = 0.5;
  CHECK(draw_all({border}).front().decided == 0);
  border.u = 0.499;
  CHECK(draw_all({border}).front().token == 11);
  border.u = 0.501;
  CHECK(draw_all({border}).front().token == 2999);
  CHECK(draw_all({border}).front().decided == 1);
}

TEST_CASE("draws over small vocabularies, with ties at the top", "[parity][draw]") {
  for (const size_t vocab : {1, 2, 31, 256, 1023, 1024, 1025}) {
    std::vector<Problem> problems;
    for (int i = 0; i < 8; ++i) {
      Problem p{make_logits(vocab, 1.0f, static_cast<uint32_t>(i)), {0, 0, static_cast<int32_t>(vocab)}, {}, i / 8.0};
      for (float& logit : p.logits) logit = std::round(logit);
      p.settings.temperature = i % 2 == 0 ? 0.0f : 0.9f;
      p.settings.frequency_penalty = 0.25f;
      p.settings.top_k = i == 5 ? 3 : 0;
      problems.push_back(std::move(p));
    }
    INFO("vocabulary of " << vocab);
    under_schedules([&] { CHECK(check_draws(problems) >= 4); });
  }
}

}  // namespace
}  // namespace glassbox::testing
