// Looking for devices, on machines of all kinds: no driver, an old one, old cards, lost ones, models that the kernels
// do not take.
#include <cuda_runtime_api.h>
#include <catch2/catch_test_macros.hpp>

#include "core/run/generate.h"
#include "core/run/start_sessions.h"
#include "kernels/device_error.h"
#include "tests/gpu/emulator/emulator.h"
#include "tests/support/golden.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using Kind = DeviceChoice::Kind;

// What a test changes of the machine goes back.
struct Machine {
  ~Machine() {
    emulator::set_failure(cudaSuccess);
    emulator::set_device_count(1);
    emulator::set_broken_device(-1);
    emulator::set_compute_capability(0);
    emulator::set_driver_version(0);
    emulator::set_without_code(false);
    emulator::set_memory_limit(0);
    emulator::take_faults();
  }
};

// A word about what `auto` did, or what it took.
std::string automatic(const Model& model) {
  const Result<OpenDevice> opened = open_device({}, {1, "", false}, model);
  REQUIRE(opened.ok());
  return opened->ops->on_host() ? opened->note : "device";
}

int current_device() {
  int device = -1;
  (void)cudaGetDevice(&device);
  return device;
}

bool holds(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("auto says why it is the CPU where there is a driver or a card, and nothing where there is none",
          "[device]") {
  const Machine machine;
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  CHECK(automatic(*model) == "device");

  emulator::set_failure(cudaErrorNoDevice);
  CHECK(automatic(*model).empty());
  emulator::set_failure(cudaErrorInsufficientDriver);  // it cannot tell its version: there is none
  CHECK(automatic(*model).empty());
  emulator::set_driver_version(12040);
  CHECK(holds(automatic(*model), "the NVIDIA driver is for CUDA 12.4, this program needs 13."));
  emulator::set_driver_version(0);
  emulator::set_failure(cudaErrorDevicesUnavailable);
  CHECK(holds(automatic(*model), "the device is not available"));
  emulator::set_failure(cudaSuccess);

  emulator::set_compute_capability(61);
  CHECK(holds(automatic(*model), "emulated is older than compute capability 7.5"));
  emulator::set_compute_capability(86);
  emulator::set_without_code(true);
  CHECK(holds(automatic(*model), "emulated has compute capability 8.6, and this program was built without code"));
  CHECK_THROWS_AS(make_cuda_ops(0), DeviceError);
  const Result<OpenDevice> chosen = open_device({Kind::cuda, 0}, {1, "", false}, *model);
  REQUIRE_FALSE(chosen.ok());
  CHECK(holds(chosen.error().message(), "built without code"));
  emulator::set_without_code(false);
  CHECK(automatic(*model) == "device");

  emulator::set_memory_limit(1 << 20);
  CHECK(holds(automatic(*model), "does not fit into the GPU's memory: emulated needs "));
}

TEST_CASE("devices are looked at without a context on them, and asked without taking the caller's place", "[device]") {
  const Machine machine;
  emulator::set_device_count(3);
  CudaDevices found = find_cuda_devices();
  REQUIRE(found.devices.size() == 3);
  CHECK(current_device() == 0);
  for (const CudaDevice& device : found.devices) CHECK_FALSE(device.free_bytes.has_value());
  ask_cuda_device(found.devices[2]);
  CHECK(current_device() == 0);
  CHECK(found.devices[2].free_bytes.value_or(0) > 0);
  CHECK_FALSE(found.devices[1].free_bytes.has_value());
  CudaDevice gone{7, "gone", 9, 0, 1, {}};
  ask_cuda_device(gone);
  CHECK(holds(gone.problem, "does not answer"));
}

TEST_CASE("auto takes the next GPU where the best does not start", "[device]") {
  const Machine machine;
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  emulator::set_device_count(2);
  emulator::set_broken_device(0);
  const Result<OpenDevice> next = open_device({}, {1, "", false}, *model);
  REQUIRE(next.ok());
  CHECK(next->index == 1);
  CHECK_FALSE(next->ops->on_host());
  CHECK(next->note.empty());
  CHECK(holds(next->found.devices[0].problem, "does not start"));
  CHECK_FALSE(open_device({Kind::cuda, 0}, {1, "", false}, *model).ok());
  emulator::set_device_count(1);
  CHECK(holds(automatic(*model), "because the GPU does not start: starting a stream"));
}

TEST_CASE("a model whose heads the kernels do not take is seen before it runs", "[device]") {
  const Machine machine;
  CHECK(find_cuda_misfit(64, 256).empty());
  CHECK(holds(find_cuda_misfit(1, 257), "257 dimensions"));
  CHECK(holds(find_cuda_misfit(70000, 8), "heads"));
  const auto model = test::make_small_model(1, 16, 320);
  CHECK(holds(automatic(*model), "cannot run this model: its heads have 320 dimensions"));
  const Result<OpenDevice> chosen = open_device({Kind::cuda, 0}, {1, "", false}, *model);
  REQUIRE_FALSE(chosen.ok());
  CHECK(chosen.error().kind == ErrorKind::failed);
  CHECK(holds(chosen.error().what, "320 dimensions"));
}

// Sessions on the device, and what they tell when they leave it.
struct Sessions {
  explicit Sessions(const std::shared_ptr<const Model>& model) {
    Result<StartedSessions> started =
        start_sessions(model, {.cpu = {1, "", false}, .left = [this](const std::string& why) { told.push_back(why); }});
    if (!started) FAIL(started.error().message());
    CHECK(started->index == 0);
    store = std::move(started->sessions);
    REQUIRE_FALSE(store->ops().on_host());
  }
  std::vector<std::string> told;
  std::unique_ptr<SessionStore> store;
};

TEST_CASE("a device that is lost while it draws leaves the text to the CPU, token for token", "[device][draw]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const GenerateRequest request{
      .tokens = {5, 17, 3, 200, 41}, .precision = Precision::exact, .seed = 9, .most = 12, .ignore_end = true};
  SessionStore reference(model, make_reference_ops());
  const Result<Generation> expected = generate(reference, request, [](int32_t) { return true; });
  REQUIRE(expected.ok());
  for (const int lost_after : {0, 1, 2, 7, 12}) {  // tokens; 0: before the prompt
    INFO(lost_after);
    const Machine machine;
    Sessions sessions(model);
    int made = 0;
    if (lost_after == 0) emulator::set_failure(cudaErrorDevicesUnavailable);
    const Result<Generation> text = generate(*sessions.store, request, [&](int32_t) {
      if (++made == lost_after) emulator::set_failure(cudaErrorDevicesUnavailable);
      return true;
    });
    REQUIRE(text.ok());
    CHECK(text->ids == expected->ids);
    CHECK(made == 12);
    CHECK(sessions.store->ops().on_host() == (lost_after < 12));
    REQUIRE(sessions.told.size() == (lost_after < 12 ? 1 : 0));
    if (lost_after < 12) CHECK(holds(sessions.told[0], "the device is not available"));
  }
}

TEST_CASE("where the device's memory is full, other lines make room before it is left", "[device]") {
  const Machine machine;
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> ids = {5, 17, 3, 200, 41};
  SessionStore reference(model, make_reference_ops());
  {
    Sessions sessions(model);
    (void)run_step(*sessions.store, {ids, {}, Precision::exact, {}});
    const size_t with_exact = static_cast<size_t>(emulator::counters().allocated_bytes);
    (void)run_step(*sessions.store, {{9, 8, 7}, {}, Precision::exact, {}});
    // No room for a cache of the other precision beside this one.
    emulator::set_memory_limit(with_exact + (size_t{4} << 20));
    const auto step = run_step(*sessions.store, {ids, {}, Precision::fast, {}});
    CHECK_FALSE(sessions.store->ops().on_host());
    CHECK(sessions.told.empty());
    CHECK(step->recipe.kernel_path.starts_with("cuda"));
    CHECK(nmse(step->logits, run_step(reference, {ids, {}, Precision::fast, {}})->logits) < 1e-5);
    // Nor, with nothing left to drop, for a line that is used.
    emulator::set_memory_limit(1);
    const StepRequest all{{9, 8, 7, 6, 5, 4}, {}, Precision::exact, all_stored_taps(model->config())};
    const auto on_cpu = run_step(*sessions.store, all);
    CHECK(sessions.store->ops().on_host());
    REQUIRE(sessions.told.size() == 1);
    CHECK(sessions.told[0] == "On the CPU, because the GPU's memory is full.");
    CHECK(nmse(on_cpu->logits, run_step(reference, {all.tokens, {}, Precision::exact, {}})->logits) < 1e-9);
  }
  emulator::set_memory_limit(0);
  CHECK(emulator::counters().allocations == 0);  // the device has all of it back
}

TEST_CASE("a GPU that fails while the model goes there is left, or an error where it was chosen", "[device]") {
  const Machine machine;
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const auto open = [](const DeviceChoice& choice, const CpuOptions& cpu, const Model& of) {
    Result<OpenDevice> opened = open_device(choice, cpu, of);
    if (choice.kind != Kind::cpu) emulator::set_failure(cudaErrorDevicesUnavailable);
    return opened;
  };
  const Result<StartedSessions> left = start_sessions(model, {.cpu = {1, "", false}, .open_device = open});
  emulator::set_failure(cudaSuccess);
  REQUIRE(left.ok());
  CHECK(left->sessions->ops().on_host());
  CHECK(left->index == -1);
  CHECK(holds(left->note, "the GPU has failed"));
  const Result<StartedSessions> refused =
      start_sessions(model, {.device = {Kind::cuda, 0}, .cpu = {1, "", false}, .insist = true, .open_device = open});
  emulator::set_failure(cudaSuccess);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::device);
}

}  // namespace
}  // namespace glassbox
