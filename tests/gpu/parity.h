// What the parity tests share: schedules to run under, device buffers with sentinels, and weights and caches on the
// device. The same tests are meant for a real GPU, where there are no schedules and nobody but the sentinels watches.
#pragma once

#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "tests/gpu/device_buffer.h"
#include "tests/support/error_checks.h"
#include "tests/support/ops_testing.h"

#ifdef GLASSBOX_CUDA_EMULATED
#include "tests/gpu/emulator/emulator.h"
#endif

namespace glassbox::testing {

// Runs `body` under several schedules, `drawn` of them with drawn priorities; what the emulator finds fails the test.
// Where accesses are checked, races are found in any order, so fewer do.
inline void under_schedules(const std::function<void()>& body, [[maybe_unused]] int drawn = 3) {
#ifdef GLASSBOX_CUDA_EMULATED
  for (const emulator::Schedule& schedule :
       emulator::schedules(emulator::build() == emulator::Build::plain ? drawn : std::min(drawn, 1))) {
    INFO(schedule.name());
    emulator::set_schedule(schedule);
    try {
      body();
    } catch (const std::exception& error) {
      if (std::string_view(error.what()).find("take_faults") == std::string_view::npos) throw;
    } catch (...) {  // a test that has failed: perhaps because of these
      for (const emulator::Fault& fault : emulator::take_faults()) WARN(fault.text);
      emulator::set_schedule({});
      throw;
    }
    for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
  }
  emulator::set_schedule({});
#else
  body();
#endif
}

// Runs a launch and waits for it.
inline void run_on_device(const std::function<cudaError_t()>& call) {
  must(call());
  must(cudaDeviceSynchronize());
}

// Of sentinels on each side of an array. The emulator's own watch of what lies outside begins where an allocation ends,
// so where it watches there are none.
inline size_t sentinel_bytes() {
#ifdef GLASSBOX_CUDA_EMULATED
  if (emulator::build() != emulator::Build::plain) return 0;
#endif
  return 256;
}

// Device memory for an op's output: NaN inside, with sentinels on both sides.
class DeviceOutput {
 public:
  explicit DeviceOutput(size_t n) : n_(n), memory_(n + 2 * guard()) {
    std::vector<float> values(n + 2 * guard(), kSentinel);
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(guard()), n, std::numeric_limits<float>::quiet_NaN());
    memory_.write(values);
  }
  // An output that an op reads too.
  explicit DeviceOutput(const std::vector<float>& values) : DeviceOutput(values.size()) {
    copy_to_device(data(), values.data(), n_ * sizeof(float));
  }
  float* data() const { return memory_.data() + guard(); }
  // The values; a test failure if a sentinel has changed.
  std::vector<float> values() const {
    const std::vector<float> all = memory_.read();
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(guard()),
               end = first + static_cast<std::ptrdiff_t>(n_);
    const auto is_sentinel = [](float v) { return v == kSentinel; };
    CHECK((std::all_of(all.begin(), first, is_sentinel) && std::all_of(end, all.end(), is_sentinel)));
    return {first, end};
  }

 private:
  static size_t guard() { return sentinel_bytes() / sizeof(float); }
  static constexpr float kSentinel = -98765.5f;
  size_t n_;
  DeviceBuffer<float> memory_;
};

// A weight matrix of the host, on the device, with its rows `gap` bytes further apart.
struct DeviceWeights {
  explicit DeviceWeights(const Tensor& host, int64_t gap = 0)
      : memory(static_cast<size_t>(host.rows() * (host.row_bytes + gap) - gap)), tensor(host) {
    tensor.data = memory.data();
    tensor.row_bytes = host.row_bytes + gap;
    for (int64_t r = 0; r < host.rows(); ++r) {
      copy_to_device(memory.data() + r * tensor.row_bytes, host.row(r), static_cast<size_t>(host.row_bytes));
    }
  }
  DeviceBuffer<std::byte> memory;
  Tensor tensor;
};

}  // namespace glassbox::testing
