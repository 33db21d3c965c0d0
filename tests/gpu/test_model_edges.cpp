// Whole models at the edges of what the kernels take: shapes that fit none of the fused ones, texts across the limits
// of a recording, of a call and of the splits of the keys, variations that no architecture has, batches.
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/model_lines.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using namespace testing;
using test::make_model;
using test::SmallModel;

constexpr double kExactNmse = 1e-9;

struct Call {
  int rows;
  Taps taps;
};
// A prefill by the operations for many rows, then steps: met for the first time, recorded, from the recording, with
// taps likewise, and some rows at once.
const std::vector<Call> kUsualCalls = {{40, Taps::all},    {1, Taps::none},   {1, Taps::none},   {1, Taps::none},
                                       {1, Taps::stored},  {1, Taps::stored}, {1, Taps::stored}, {3, Taps::all},
                                       {12, Taps::stored}, {1, Taps::none}};

struct Truth {
  std::vector<Values> of_call;
  Values cache;
};
// What the reference makes of one text in these calls.
Truth truth_of(const std::shared_ptr<const Model>& model, const std::vector<Call>& calls) {
  ModelLines lines(model, make_reference_ops(), Precision::exact);
  Truth truth;
  for (const Call& call : calls) truth.of_call.push_back(lines.run({call.rows}, call.taps));
  truth.cache = lines.cache();
  return truth;
}
void check_calls(const std::shared_ptr<const Model>& model, const std::shared_ptr<Ops>& ops,
                 const std::vector<Call>& calls, const Truth& truth) {
  ModelLines lines(model, ops, Precision::exact);
  for (size_t i = 0; i < calls.size(); ++i) {
    INFO("call " << i << " of " << calls[i].rows << " rows");
    check_values(lines.run({calls[i].rows}, calls[i].taps), truth.of_call[i], kExactNmse);
  }
  check_values(lines.cache(), truth.cache, kExactNmse);
}

// Many of these take long, and where accesses are checked smaller tests of the same kernels suffice.
bool only_in_plain_build() {
#ifdef GLASSBOX_CUDA_EMULATED
  return emulator::build() != emulator::Build::plain;
#else
  return false;
#endif
}

// What a step of one row launches.
struct StepCost {
  int64_t launches = 0, graphs = 0;
};
[[maybe_unused]] StepCost step_cost(ModelLines& lines, Taps taps) {
#ifdef GLASSBOX_CUDA_EMULATED
  emulator::reset_counters();
  (void)lines.run({1}, taps);
  return {emulator::counters().launches, emulator::counters().graph_launches};
#else
  (void)lines.run({1}, taps);
  return {};
#endif
}

// Sizes of which no kernel's width is a multiple.
SmallModel odd_llama() {
  return {.width = 66, .heads = 6, .kv_heads = 3, .head_dim = 10, .ff = 101, .more_tokens = 5, .biases = true};
}
SmallModel odd_gpt2() {  // a head of odd size does not fit the layer for many rows either
  return {.architecture = "gpt2", .width = 66, .heads = 6, .kv_heads = 6, .head_dim = 11, .ff = 101, .own_head = true};
}

TEST_CASE("models of odd sizes run composed, and recorded", "[model][edges]") {
  for (const SmallModel& shape : {odd_llama(), odd_gpt2()}) {
    INFO(shape.architecture);
    const auto model = make_model(shape);
    const Truth truth = truth_of(model, kUsualCalls);
    under_schedules([&] { check_calls(model, make_cuda_ops(0), kUsualCalls, truth); }, 1);
#ifdef GLASSBOX_CUDA_EMULATED
    ModelLines lines(model, make_cuda_ops(0), Precision::exact);
    for (const Taps taps : {Taps::none, Taps::stored}) {
      (void)step_cost(lines, taps);
      (void)step_cost(lines, taps);
      const StepCost cost = step_cost(lines, taps);
      CHECK(cost.graphs == 1);
      CHECK(cost.launches > 6 * model->config().layer_count());  // a fused layer's are five
    }
#endif
  }
}

TEST_CASE("a model of odd sizes takes all its rows without cuBLAS", "[model][edges]") {
  if (only_in_plain_build()) SKIP("test_parity_linear and test_parity_rows have the same kernels");
  for (const SmallModel& shape : {odd_llama(), SmallModel{.width = 64, .ff = 96, .types = {DType::q8_0}}}) {
    const auto model = make_model(shape);
    const Truth truth = truth_of(model, kUsualCalls);
    under_schedules(
        [&] { check_calls(model, std::make_shared<cuda::CudaOps>(0, cuda::BlasChoice::never), kUsualCalls, truth); },
        1);
  }
}

TEST_CASE("a GPT-2 of several quantised types, wide and in steps", "[model][edges]") {
  if (only_in_plain_build()) SKIP("test_parity_wide_layer and test_parity_decoder_layer do it with smaller sizes");
  // q4_k and q6_k have blocks of 256 values.
  const auto model = make_model({.architecture = "gpt2",
                                 .layers = 3,
                                 .width = 256,
                                 .heads = 4,
                                 .kv_heads = 4,
                                 .head_dim = 64,
                                 .ff = 512,
                                 .types = {DType::q4_1, DType::q8_0, DType::q4_k, DType::q6_k, DType::q5_k},
                                 .embedding = DType::q6_k});
  check_calls(model, make_cuda_ops(0), kUsualCalls, truth_of(model, kUsualCalls));
}

// The recordings of steps are for lengths up to a multiple of 256; a call takes 512 rows; the keys of a step are
// attended to in 4, 8 or 16 splits.
TEST_CASE("long texts cross the limits of recordings, calls and splits", "[model][edges]") {
  if (only_in_plain_build()) SKIP("it takes long, and test_parity_decoder_layer has such lengths");
  const auto model = make_model({.context = 1200});
  constexpr Call kStep = {1, Taps::none}, kSeen = {1, Taps::stored};
  std::vector<Call> calls = {{250, Taps::stored}};  // then steps across the 256th key
  for (int i = 0; i < 5; ++i) calls.insert(calls.end(), {kStep, kSeen});
  calls.insert(calls.end(), {{249, Taps::stored}, kStep, kStep, kStep, kSeen, kSeen});  // to 514
  calls.insert(calls.end(), {{100, Taps::none}, kStep, kStep, kSeen, kSeen, kSeen});
  calls.insert(calls.end(), {{404, Taps::none}, kStep, kSeen, kStep, kSeen, kStep, kSeen, kStep, kSeen});  // past 1024
  check_calls(model, make_cuda_ops(0), calls, truth_of(model, calls));

  std::vector<int32_t> ids;
  for (int i = 0; i < 605; ++i) ids.push_back(text_token(0, i));
  SessionStore device(model, make_cuda_ops(0)), reference(model, make_reference_ops());
  device.set_poison(true);
  ProbeSpec spec;
  for (const Tap tap : {Tap::attn_pattern, Tap::resid_post, Tap::k_rot}) spec.add(tap, 0, 2);
  const auto found = run_step(device, {ids, {}, Precision::exact, spec});
  const auto truth = run_step(reference, {ids, {}, Precision::exact, spec});
  CHECK(nmse(found->logits, truth->logits) < kExactNmse);
  for (const int position : {0, 255, 256, 511, 512, 513, 604}) {
    for (const TapNeed& need : spec.needs) {
      INFO(tap_info(need.tap).name << " at " << position);
      for (int head = 0; head < std::max(tap_heads(need.tap, model->config(), 1), 1); ++head) {
        CHECK(nmse(found->page(need.tap, 1, position)->head(position, head),
                   truth->page(need.tap, 1, position)->head(position, head)) < kExactNmse);
      }
    }
  }
}

// What the config can say and no architecture's row does: windows of some layers, caps, scales, factors.
TEST_CASE("windows, caps and scales that no architecture sets yet", "[model][edges]") {
  for (const bool odd : {false, true}) {
    if (odd && only_in_plain_build()) continue;
    SmallModel shape = odd ? odd_llama() : SmallModel{.layers = 3, .context = 160, .width = 64, .heads = 4, .ff = 96};
    shape.vary = [](ModelConfig& config) {
      config.layers[0].window = 5;
      config.layers[0].soft_cap = 2.5f;
      config.layers[1].soft_cap = 4.0f;
      config.layers[1].attention_scale *= 1.7f;
      if (config.layer_count() > 2) config.layers[2].window = 70;
      config.logit_soft_cap = 6.0f;
      config.embed_scale = 3.0f;
      config.rope_attention_factor = 1.2f;
    };
    const auto model = make_model(shape);
    const auto plain = make_model({.layers = shape.layers,
                                   .context = shape.context,
                                   .width = shape.width,
                                   .heads = shape.heads,
                                   .kv_heads = shape.kv_heads,
                                   .head_dim = shape.head_dim,
                                   .ff = shape.ff,
                                   .more_tokens = shape.more_tokens,
                                   .biases = shape.biases});
    std::vector<Call> calls = kUsualCalls;
    if (!odd) calls.insert(calls.end(), {{60, Taps::stored}, {1, Taps::stored}, {1, Taps::stored}});  // past the window
    const Truth truth = truth_of(model, calls);
    under_schedules([&] { check_calls(model, make_cuda_ops(0), calls, truth); }, 1);
    // They mean something here.
    ModelLines varied(model, make_cuda_ops(0), Precision::exact), usual(plain, make_cuda_ops(0), Precision::exact);
    const Values found = varied.run({21}, Taps::all), without = usual.run({21}, Taps::all);
    const std::vector<float>& logits = found.at("logits, text 0");
    CHECK(nmse(logits, without.at("logits, text 0")) > 1e-2);
    CHECK(std::all_of(logits.begin(), logits.end(), [](float value) { return std::fabs(value) <= 6.0f; }));
  }
}

TEST_CASE("sequences of different lengths in one batch are those alone, with taps", "[model][edges]") {
  const auto model = make_model({.ff = 64, .types = {DType::q8_0}, .embedding = DType::q8_0});
  const auto odd = make_model(odd_llama());
  constexpr int kMostRows = 128;
  for (const size_t count : {size_t{3}, size_t{8}, size_t{12}}) {
    if (count > 3 && only_in_plain_build()) continue;
    INFO(count << " sequences");
    std::vector<int> texts, lengths;
    for (size_t i = 0; i < count; ++i) {
      texts.push_back(static_cast<int>(i));
      lengths.push_back(static_cast<int>(1 + i * 29 % 75));
    }
    for (const auto& m : {model, odd}) {
      if (m == odd && count != 3) continue;
      ModelLines batch(m, make_cuda_ops(0), Precision::exact, texts, kMostRows),
          alone(m, make_cuda_ops(0), Precision::exact, texts, kMostRows);
      const auto each_alone = [&](const std::vector<int>& counts, Taps taps) {
        Values values;
        for (size_t i = 0; i < count; ++i) {
          std::vector<int> own(count, 0);
          own[i] = counts[i];
          if (counts[i] > 0) values.merge(alone.run(own, taps));
        }
        return values;
      };
      (void)each_alone(lengths, Taps::none);
      for (size_t i = 0; i < count; ++i) {
        std::vector<int> own(count, 0);
        own[i] = lengths[i];
        (void)batch.run(own, Taps::none);
      }
      const std::vector<int> one(count, 1);
      for (const Taps taps : {Taps::none, Taps::none, Taps::stored, Taps::stored, Taps::stored, Taps::all}) {
        const Values together = batch.run(one, taps), apart = each_alone(one, taps);
        REQUIRE(together.size() == apart.size());
        check_values(together, apart, kExactNmse);
      }
      // Some go on, and by different numbers of tokens.
      std::vector<int> counts(count, 0);
      for (size_t i = 0; i < count; i += 2) counts[i] = static_cast<int>(1 + i);
      check_values(batch.run(counts, Taps::stored), each_alone(counts, Taps::stored), kExactNmse);
      check_values(batch.cache(), alone.cache(), kExactNmse);
    }
  }
#ifdef GLASSBOX_CUDA_EMULATED
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
#endif
}

}  // namespace
}  // namespace glassbox
