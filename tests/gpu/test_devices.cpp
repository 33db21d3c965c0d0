// Looking for devices, on machines of all kinds: no driver, an old one, old cards, lost ones, models that the kernels
// do not take.
#include <cuda_runtime_api.h>
#include <catch2/catch_test_macros.hpp>

#include "core/run/device.h"
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

}  // namespace
}  // namespace glassbox
