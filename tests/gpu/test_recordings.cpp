// Steps recorded as graphs (kernels/cuda/recordings.h), on the emulator.
#include <catch2/catch_test_macros.hpp>

#include <vector>

#include "emulator.h"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/overlap.h"
#include "kernels/device_error.h"

namespace glassbox::testing {
namespace {

// Doubles a value in device memory, from a recording where there is one.
struct Doubling {
  cuda::CudaOps ops{0};
  Buffer value = ops.allocate(sizeof(float));
  int calls = 0;       // of the operations
  bool waits = false;  // what no recording may
  float last = 1.0f;

  Doubling() { ops.upload(&last, sizeof last, value.data()); }
  float run() {
    ops.repeat({1}, [this] {
      ++calls;
      // Only where it is being recorded: elsewhere nothing forbids it.
      if (waits) ops.wait();
      ops.scale(value.f32(), 2.0f, 1, value.f32());
    });
    ops.download(value.data(), sizeof last, &last);
    ops.wait();
    return last;
  }
};

TEST_CASE("operations are recorded when they come for the second time") {
  Doubling doubling;
  for (const float wanted : {2.0f, 4.0f, 8.0f, 16.0f}) CHECK(doubling.run() == wanted);
  CHECK(doubling.calls == 2);
}

TEST_CASE("operations that cannot be recorded run as they are, every time once") {
  emulator::reset_counters();
  Doubling doubling;
  doubling.waits = true;
  float wanted = 1.0f;
  for (int i = 0; i < 8; ++i) CHECK(doubling.run() == (wanted *= 2));
  CHECK(doubling.calls == 8 + 3);  // it is tried three times
  CHECK(emulator::counters().graph_launches == 0);
}

TEST_CASE("a device that is lost while it records says so") {
  Doubling doubling;
  CHECK(doubling.run() == 2.0f);
  doubling.ops.wait();
  emulator::set_failure(cudaErrorDevicesUnavailable);
  CHECK_THROWS_AS(doubling.run(), DeviceError);
  emulator::set_failure(cudaSuccess);
}

}  // namespace
}  // namespace glassbox::testing
