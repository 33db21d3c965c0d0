// Says at the end of the program where the parity tests ran: emulated, on which GPU, or not at all.
#include <cuda_runtime.h>

#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <cstdio>
#include <string>

#include "kernels/cuda/products.h"

#ifdef GLASSBOX_CUDA_EMULATED
#include "tests/gpu/emulator/emulator.h"
#endif

namespace glassbox::testing {
namespace {

std::string place() {
#ifdef GLASSBOX_CUDA_EMULATED
  const char* builds[] = {"as it is", "under AddressSanitizer and UBSan", "with every access checked"};
  return std::string("on the emulator, ") + builds[static_cast<int>(emulator::build())] + "; on no GPU";
#else
  cudaDeviceProp properties{};
  int driver = 0;
  const cudaError_t error = cudaGetDeviceProperties(&properties, 0);
  if (error != cudaSuccess) return std::string("on no GPU: ") + cudaGetErrorString(error);
  cudaDriverGetVersion(&driver);
  return std::string("on ") + properties.name + ", driver for CUDA " + std::to_string(driver / 1000) + "." +
         std::to_string(driver % 1000 / 10) + ", " + cuda::Products(nullptr).description();
#endif
}

class DeviceListener : public Catch::EventListenerBase {
 public:
  using Catch::EventListenerBase::EventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& test) override {
    for (const Catch::Tag& tag : test.tags) parity_cases_ += tag == Catch::Tag("parity") ? 1 : 0;
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    if (parity_cases_ > 0) std::printf("%d parity tests ran %s\n", parity_cases_, place().c_str());
  }

 private:
  int parity_cases_ = 0;
};

CATCH_REGISTER_LISTENER(DeviceListener)

}  // namespace
}  // namespace glassbox::testing
