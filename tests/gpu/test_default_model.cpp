// The model that people meet first: a step of decoding as it ships, against the CPU.
#include "core/run/generate.h"
#include "core/run/random.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"

namespace glassbox {
namespace {

std::vector<float> logits_of(SessionStore& store, const std::vector<int32_t>& ids, Precision precision) {
  const Result<std::shared_ptr<const Step>> step = store.run({ids, {}, precision, {}});
  if (!step) FAIL(step.error().message());
  return (*step)->logits;
}

TEST_CASE("the default model decodes a token in at most 160 launches, and agrees with the CPU", "[default]") {
#ifdef GLASSBOX_CUDA_EMULATED
  if (emulator::build() != emulator::Build::plain) SKIP("the other builds would take minutes");
#endif
  const auto model = load_golden_model(test::model_path());
  SessionStore device(model, make_cuda_ops(0)), host(model, make_cpu_ops({}));
  std::vector<int32_t> ids;
  for (const int32_t id : {1, 9690, 198}) {  // met for the first time, recorded, run from the recording
    ids.push_back(id);
#ifdef GLASSBOX_CUDA_EMULATED
    emulator::reset_counters();
#endif
    const std::vector<float> found = logits_of(device, ids, Precision::fast);
#ifdef GLASSBOX_CUDA_EMULATED
    CHECK(emulator::counters().launches <= 160);
    CHECK(emulator::counters().graph_launches == (ids.size() > 1 ? 1 : 0));
#endif
    CHECK(nmse(found, logits_of(host, ids, Precision::exact)) < 1e-5);
  }
  // Tokens that the device draws and runs by itself. The prompt's last step is known already.
  GenerateRequest request{.tokens = ids, .seed = 5, .most = 3};
  request.ignore_end = true;
  request.sampler.temperature = 0.8f;
  request.sampler.top_k = 40;
#ifdef GLASSBOX_CUDA_EMULATED
  emulator::reset_counters();
#endif
  const Result<Generation> made = generate(device, request, [](int32_t) { return true; });
  if (!made) FAIL(made.error().message());
#ifdef GLASSBOX_CUDA_EMULATED
  CHECK(emulator::counters().launches <= 2 * 160);
  CHECK(emulator::counters().graph_launches == 1);
#endif
  std::vector<int32_t> text = ids;
  for (const int32_t id : made->ids) {
    CHECK(id == draw_token(logits_of(device, text, Precision::fast), request.sampler, text,
                           draw_uniform(request.seed, 0, text.size())));
    text.push_back(id);
  }
#ifndef GLASSBOX_CUDA_EMULATED
  // A prompt in one go, then steps, in both precisions. Fast products round their inputs to 10 bits.
  for (int32_t i = 0; i < 200; ++i) ids.push_back(1000 + i * 211 % 40000);
  for (const auto& [precision, bound] : {std::pair{Precision::exact, 1e-7}, {Precision::fast, 1e-3}}) {
    text = ids;
    for (int step = 0; step < 5; ++step) {
      CHECK(nmse(logits_of(device, text, precision), logits_of(host, text, Precision::exact)) < bound);
      text.push_back(500 + step);
    }
  }
#endif
}

}  // namespace
}  // namespace glassbox
