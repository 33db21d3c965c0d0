// What a person sees of a model that runs on the device: the workbench with everything that its panels ask for, against
// the same on the CPU.
#include "core/run/workbench.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox {
namespace {

Result<OpenDevice> open_gpu(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  if (choice.kind == DeviceChoice::Kind::cpu) return open_device(choice, cpu, model);
  return OpenDevice{make_cuda_ops(0), {}, "", 0};
}

TEST_CASE("the workbench shows the same of a model on the device as on the CPU", "[model][workbench]") {
  Workbench gpu({.threads = 1, .precision = Precision::exact, .open_device = open_gpu});
  Workbench cpu({.threads = 1, .precision = Precision::exact});
  cpu.choose_device({DeviceChoice::Kind::cpu});
  for (Workbench* bench : {&gpu, &cpu}) {
    bench->load_model(golden_path("tiny_llama/f32.gguf"));
    REQUIRE(bench->settle());
    Needs needs;
    needs.chain = needs.thumbnails = needs.heads = needs.cosines = needs.neighbours = true;
    const int layers = bench->model()->config().layer_count();
    for (const Tap tap : {Tap::attn_pattern, Tap::attn_z, Tap::resid_post}) needs.probe.add(tap, 0, layers);
    bench->set_needs(needs);
    REQUIRE(bench->apply(cmd::SetText{"The box is open"}).ok());
    REQUIRE(bench->settle());
    if (bench->error()) FAIL(bench->error()->message());
  }
  CHECK(gpu.kernel_path().starts_with("cuda"));
  CHECK(cpu.kernel_path().starts_with("cpu"));
  CHECK(gpu.status().device.total_bytes > 0);
  CHECK(cpu.status().device.total_bytes == 0);
  const auto same = [&] {
    const View &on_gpu = gpu.view(), &on_cpu = cpu.view();
    REQUIRE((on_gpu.step && on_gpu.chain && on_gpu.thumbnails && on_gpu.heads && on_gpu.neighbours));
    REQUIRE(on_gpu.tokens == on_cpu.tokens);
    CHECK(nmse(on_gpu.step->logits, on_cpu.step->logits) < 1e-9);
    CHECK(nmse(on_gpu.thumbnails->weights, on_cpu.thumbnails->weights) < 1e-9);
    CHECK(on_gpu.chain->drawn == on_cpu.chain->drawn);
    for (size_t m = 0; m < on_cpu.neighbours->best.size(); ++m) {
      REQUIRE(on_gpu.neighbours->best[m].size() == on_cpu.neighbours->best[m].size());
      CHECK(on_gpu.neighbours->best[m].front().id == on_cpu.neighbours->best[m].front().id);
    }
  };
  same();
  for (int i = 0; i < 3; ++i) {
    for (Workbench* bench : {&gpu, &cpu}) {
      REQUIRE(bench->apply(cmd::Append{bench->view().chain->drawn}).ok());
      REQUIRE(bench->settle());
    }
    same();
  }
  // Where it was, on the CPU.
  gpu.choose_device({DeviceChoice::Kind::cpu});
  REQUIRE(gpu.settle());
  CHECK(gpu.kernel_path().starts_with("cpu"));
  same();
}

TEST_CASE("of all heads the device sends summaries, and whole patterns of the chosen layer", "[model][workbench]") {
  Workbench gpu({.threads = 1, .precision = Precision::exact, .open_device = open_gpu});
  Workbench cpu({.threads = 1, .precision = Precision::exact});
  cpu.choose_device({DeviceChoice::Kind::cpu});
  for (Workbench* bench : {&gpu, &cpu}) {
    bench->load_model(golden_path("tiny_llama/f32.gguf"));
    REQUIRE(bench->settle());
    REQUIRE(bench->apply(cmd::SetText{"The box is open, and who looks sees all of it."}).ok());
  }
  const int layers = gpu.model()->config().layer_count();
  REQUIRE(layers >= 2);
  for (const int chosen : {1, 0}) {
    INFO("layer " << chosen);
    for (Workbench* bench : {&gpu, &cpu}) {
      REQUIRE(bench->apply(cmd::SelectHead{chosen, 1}).ok());
      Needs needs;
      needs.thumbnails = needs.heads = true;
      needs.probe.add(Tap::attn_pattern, chosen, chosen + 1);
      bench->set_needs(needs);
      REQUIRE(bench->settle());
      if (bench->error()) FAIL(bench->error()->message());
    }
    const View &on_gpu = gpu.view(), &on_cpu = cpu.view();
    const int last = on_gpu.step->length() - 1;
    for (int layer = 0; layer < layers; ++layer) {
      CHECK((on_gpu.step->page(Tap::attn_pattern, layer, 0) != nullptr) == (layer == chosen));
      CHECK(on_cpu.step->page(Tap::attn_pattern, layer, 0) != nullptr);
      for (const View* view : {&on_gpu, &on_cpu}) {
        CHECK(view->step->page(Tap::attn_z, layer, 0) == nullptr);
        CHECK(view->step->page(Tap::attn_z, layer, last) != nullptr);
      }
    }
    REQUIRE((on_gpu.thumbnails && on_gpu.heads && on_cpu.thumbnails && on_cpu.heads));
    CHECK(on_gpu.thumbnails->length == last + 1);
    CHECK(nmse(on_gpu.thumbnails->weights, on_cpu.thumbnails->weights) < 1e-9);
    for (size_t i = 0; i < on_cpu.heads->scores.size(); ++i) {
      const HeadScores &found = on_gpu.heads->scores[i], &wanted = on_cpu.heads->scores[i];
      CHECK(std::abs(found.previous - wanted.previous) < 1e-5f);
      CHECK(std::abs(found.best_weight - wanted.best_weight) < 1e-5f);
      CHECK(found.best_key == wanted.best_key);
      CHECK(std::abs(found.direct_logit - wanted.direct_logit) < 1e-4f);
    }
  }
}

TEST_CASE("neighbours that the device does not find any more are found on the host", "[model][workbench]") {
  Workbench bench({.threads = 1, .precision = Precision::exact, .open_device = open_gpu});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  Needs needs;
  needs.neighbours = true;
  bench.set_needs(needs);
  REQUIRE(bench.apply(cmd::SetText{"The glass"}).ok());
  REQUIRE(bench.settle());
  REQUIRE(bench.view().neighbours);
  const int32_t first = bench.view().tokens.front();
  CHECK(bench.view().neighbours->id != first);
  emulator::set_failure(cudaErrorDevicesUnavailable);
  REQUIRE(bench.apply(cmd::SelectPosition{0}).ok());
  REQUIRE(bench.settle());
  REQUIRE(bench.view().neighbours);
  CHECK(bench.view().neighbours->id == first);
  CHECK(bench.view().neighbours->best[0].size() == static_cast<size_t>(kNeighbourCount));
  // The next step meets it too.
  REQUIRE(bench.apply(cmd::SetText{"The glass box"}).ok());
  REQUIRE(bench.settle());
  CHECK(bench.kernel_path().starts_with("cpu"));
  CHECK(bench.device_note().find("the device is not available") != std::string::npos);
  CHECK(bench.view().tokens == bench.document().shown_tokens());
  emulator::set_failure(cudaSuccess);
  emulator::take_faults();
}

}  // namespace
}  // namespace glassbox
