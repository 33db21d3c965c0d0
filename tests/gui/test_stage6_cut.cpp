// Dragging a cut of stage 6 to a row: the settings that come out, run through the chain, keep exactly that many rows.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "app/panels/stage6_shared.h"

namespace glassbox {
namespace {

// Logits as models give them: a few that lead, a long tail.
std::vector<float> make_logits(int vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> tail(0, 2.5f);
  std::vector<float> logits(static_cast<size_t>(vocab));
  for (float& logit : logits) logit = tail(random);
  for (int i = 0; i < 12; ++i) logits[static_cast<size_t>(i * 7)] = 12.0f - 0.9f * static_cast<float>(i);
  return logits;
}

int final_cut(const std::vector<float>& logits, const SamplerSettings& settings, SamplerStage stage) {
  return kept_after(run_chain(logits, settings, {}, 0.5), stage);
}

TEST_CASE("a cut that is dragged to a row keeps that many rows") {
  const std::vector<float> logits = make_logits(4000, 7);
  SamplerSettings settings;
  settings.top_k = 300;
  settings.top_p = 0.97f;
  settings.min_p = 0.004f;
  using enum SamplerStage;
  const std::vector<std::vector<SamplerStage>> orders = {
      {temperature, top_k, top_p, min_p}, {min_p, top_p, temperature, top_k}, {top_p, top_k, min_p, temperature}};
  for (const auto& order : orders) {
    settings.order = order;
    for (const float t : {0.4f, 1.0f, 1.7f}) {
      settings.temperature = t;
      const ChainResult chain = run_chain(logits, settings, {}, 0.5);
      for (const SamplerStage stage : {top_k, top_p, min_p}) {
        const StageInput input = make_stage_input(chain, stage);
        REQUIRE(input.count == kept_before(chain, stage));
        for (const int rows : {1, 2, 3, 6, 10, 12, 25, 60}) {
          if (rows >= input.count) continue;
          const SamplerSettings next = with_cut(input, settings, stage, rows);
          REQUIRE(check_sampler(next).ok());
          CAPTURE(stage_name(stage), rows, t, next.top_p, next.min_p);
          CHECK(final_cut(logits, next, stage) == rows);
        }
      }
    }
  }
}

TEST_CASE("a cut dragged to the end of the list switches its setting off") {
  const std::vector<float> logits = make_logits(500, 3);
  SamplerSettings settings;
  settings.top_k = 5;
  settings.top_p = 0.5f;
  settings.min_p = 0.1f;
  const ChainResult chain = run_chain(logits, settings, {}, 0.5);
  const auto end = [&](SamplerStage stage) {
    const StageInput input = make_stage_input(chain, stage);
    return with_cut(input, settings, stage, input.count);
  };
  CHECK(end(SamplerStage::top_k).top_k == 0);
  CHECK(end(SamplerStage::top_p).top_p == 1.0f);
  CHECK(end(SamplerStage::min_p).min_p == 0.0f);
}

TEST_CASE("a cut between equal probabilities is left where it was") {
  std::vector<float> logits(50, 0.0f);
  SamplerSettings settings;
  settings.min_p = 0.5f;
  const StageInput input = make_stage_input(run_chain(logits, settings, {}, 0.5), SamplerStage::min_p);
  CHECK(with_cut(input, settings, SamplerStage::min_p, 10) == settings);
}

TEST_CASE("what a stage is given has the chain's own probabilities") {
  const std::vector<float> logits = make_logits(2000, 11);
  SamplerSettings settings;
  settings.temperature = 1.4f;
  settings.top_k = 40;
  settings.top_p = 0.9f;
  const ChainResult chain = run_chain(logits, settings, {}, 0.5);
  const StageInput input = make_stage_input(chain, SamplerStage::top_p);
  REQUIRE(input.count == 40);
  const int kept = kept_after(chain, SamplerStage::top_p);
  CHECK(input.mass(kept) >= 0.9);
  CHECK(input.mass(kept - 1) < 0.9);
  // Kept rows made to sum to 1 again are what the chain ends with.
  for (int row = 0; row < kept; ++row)
    CHECK(std::abs(input.probability(row) / input.mass(kept) - static_cast<double>(chain.candidates[static_cast<size_t>(row)].prob)) < 1e-6);
}

TEST_CASE("the number of a cut is the shortest decimal in its interval") {
  CHECK(shortest_between(0.81, 0.8299) == 0.82f);
  CHECK(shortest_between(0.123, 0.1259) == 0.125f);
  const float fine = shortest_between(0.5000000, 0.50000012);
  CHECK(static_cast<double>(fine) > 0.5);
  CHECK(static_cast<double>(fine) <= 0.50000012);
}

}  // namespace
}  // namespace glassbox
