// Panels that come and go between the steps of a text: what is seen changes, and the recording that runs stays.
#include <numeric>

#include "kernels/cuda/cuda_ops.h"
#include "tests/gpu/model_lines.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using namespace testing;
using test::make_model;
using test::SmallModel;

constexpr int kLayers = 3;
const SmallModel kShape{.layers = kLayers, .width = 64, .heads = 4, .kv_heads = 2, .ff = 96, .types = {DType::q8_0}};

// Where every step runs as if it had not been met before.
class Unrecorded : public cuda::CudaOps {
 public:
  Unrecorded() : CudaOps(0) {}
  void repeat(const RepeatKey&, const std::function<void()>& operations) override { operations(); }
};

struct Mix {
  const char* name;
  std::vector<TapNeed> needs;
};
std::vector<TapNeed> stored_by_layers(int begin, int end) {
  std::vector<TapNeed> needs;
  for (const TapInfo& info : all_taps()) {
    if (info.scope == TapScope::layer && info.tap != Tap::head_out) needs.push_back({info.tap, begin, end});
  }
  return needs;
}
const Mix kNothing = {"nothing", {}};
const Mix kMixes[] = {{"the pattern of a layer", {{Tap::attn_pattern, 1, 2}}},
                      {"the stream between the layers", {{Tap::resid_pre, 0, kLayers}, {Tap::resid_post, 0, 2}}},
                      {"all that layers store", stored_by_layers(0, kLayers)},
                      {"scores of the last layer, neurons of the first",
                       {{Tap::attn_scores, 2, 3}, {Tap::mlp_act, 0, 1}, {Tap::mlp_gate, 0, 1}, {Tap::mlp_out, 0, 1}}},
                      {"the middle layer", stored_by_layers(1, 2)},
                      {"queries, keys and norms", {{Tap::q, 0, 1}, {Tap::k_rot, 2, 3}, {Tap::attn_norm, 0, 3}}},
                      {"another layer's pattern", {{Tap::attn_pattern, 2, 3}, {Tap::attn_pattern, 0, 1}}},
                      {"summaries of all patterns", {{Tap::attn_pooled, 0, kLayers}, {Tap::attn_focus, 0, kLayers}}},
                      {"some summaries and another layer's pattern",
                       {{Tap::attn_focus, 0, 2}, {Tap::attn_pooled, 1, 3}, {Tap::attn_pattern, 1, 2}}}};
constexpr int kMixCount = static_cast<int>(std::size(kMixes));
const Mix& mix_of(int step) {
  return kMixes[step % kMixCount];
}

// Texts that run from recordings, and the same without.
struct TwoRuns {
  TwoRuns(const SmallModel& shape, std::vector<int> texts)
      : recorded(make_model(shape), std::make_shared<cuda::CudaOps>(0), Precision::fast, texts, 128),
        plain(make_model(shape), std::make_shared<Unrecorded>(), Precision::fast, texts, 128),
        one(texts.size(), 1) {
    std::vector<int> prompts(one.size());
    std::iota(prompts.begin(), prompts.end(), 2);
    (void)recorded.run(prompts, ProbeSpec{});
    (void)plain.run(prompts, ProbeSpec{});
#ifdef GLASSBOX_CUDA_EMULATED
    emulator::reset_counters();
#endif
  }
  // One token more of each text; all that is seen has the same bits.
  void step(const Mix& mix, const std::vector<TapNeed>& beside = {}) {
    INFO(mix.name);
    ProbeSpec spec{mix.needs};
    for (const TapNeed& need : beside) spec.add(need.tap, need.layer_begin, need.layer_end);
    const Values found = recorded.run(one, spec), truth = plain.run(one, spec);
    REQUIRE(found.size() == truth.size());
    for (const auto& [name, values] : truth) {
      INFO(name);
      REQUIRE(found.count(name) == 1);
      CHECK(same_bits(found.at(name), values));
    }
  }
  void check_recordings([[maybe_unused]] int64_t made, [[maybe_unused]] int64_t run) const {
#ifdef GLASSBOX_CUDA_EMULATED
    CHECK(emulator::counters().recordings == made);
    CHECK(emulator::counters().graph_launches == run);
    for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
#endif
  }
  ModelLines recorded, plain;
  std::vector<int> one;
};

TEST_CASE("one recording serves every mix of what layers store, and another the steps without", "[model][short]") {
  const auto check = [](int texts) {
    INFO(texts << " texts");
    std::vector<int> all(static_cast<size_t>(texts));
    std::iota(all.begin(), all.end(), 0);
    TwoRuns runs(kShape, all);
    runs.step(kNothing);
    runs.step(kNothing);
    runs.check_recordings(1, 1);
    runs.step(mix_of(0));
    for (int step = 1; step <= kMixCount; ++step) runs.step(mix_of(step));
    runs.check_recordings(2, 1 + kMixCount);
    for (int step = 0; step < 6; ++step) runs.step(step % 2 == 0 ? kNothing : mix_of(5 * step));
    runs.check_recordings(2, 1 + kMixCount + 6);
  };
  under_schedules([&] { check(1); }, 1);
  check(3);
  check(11);  // in two groups
}

TEST_CASE("what is copied by itself is recorded, and beside it any mix of what layers store", "[model]") {
  const std::vector<TapNeed> apart[] = {{{Tap::final_norm, 0, 1}},
                                        {{Tap::embed, 0, 1}, {Tap::head_out, 1, 2}},
                                        {{Tap::head_out, 0, 3}, {Tap::logits, 0, 1}}};
  TwoRuns runs(kShape, {0, 1});
  runs.step(kMixes[2], apart[2]);  // memory that is grown is new to recordings, so the largest first
  int64_t made = 0, run = 0;
  for (const std::vector<TapNeed>& beside : apart) {
    runs.step({"for the first time", {{Tap::resid_mid, 0, kLayers}}}, beside);
    for (const int mix : {0, 1, 3, 5, 6}) runs.step(kMixes[mix], beside);
    runs.check_recordings(made += 1, run += 5);
  }
  // Heads alone are made of attn_z where it is seen.
  for (int i = 0; i < 3; ++i) runs.step({"attn_z", {{Tap::attn_z, 1, 2}}}, apart[1]);
  runs.check_recordings(made += 1, run += 2);
  runs.step(mix_of(6), apart[1]);
  runs.check_recordings(made, run += 1);
}

TEST_CASE("what is copied by itself is recorded anew where memory has moved", "[model]") {
  const std::vector<TapNeed> apart{{Tap::final_norm, 0, 1}, {Tap::head_out, 1, 2}};
  TwoRuns runs(kShape, {0, 1});
  for (int i = 0; i < 4; ++i) runs.step(kMixes[5], apart);
  runs.check_recordings(1, 2);  // the first step made memory for heads alone
  for (int i = 0; i < 2; ++i) runs.step(kMixes[2]);
  runs.check_recordings(2, 3);
  for (int i = 0; i < 3; ++i) runs.step(kMixes[5], apart);
  runs.check_recordings(3, 5);
}

TEST_CASE("a composed layer is recorded with what is seen of it", "[model]") {
  const SmallModel odd{.layers = kLayers, .width = 66, .heads = 6, .kv_heads = 3, .head_dim = 10, .ff = 101};
  TwoRuns runs(odd, {0, 1});
  runs.step(kMixes[2]);
  for (int step = 0; step < 3 * kMixCount; ++step) runs.step(mix_of(step));
  runs.check_recordings(kMixCount, 3 + 2 * (kMixCount - 1));  // one of them has been met before
}

}  // namespace
}  // namespace glassbox
