// Says at the end of the program where the parity tests ran, and of each group of them where it has run so far: on a
// GPU, or on the emulator only.
#include <cuda_runtime.h>

#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
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

// What a line of a group says. The first line of a file of tests/gpu/run in tests/gpu/results, which are named by their
// dates, says when and on what.
std::string standing() {
#ifdef GLASSBOX_CUDA_EMULATED
  namespace fs = std::filesystem;
  std::error_code none;
  fs::path newest;
  for (const fs::directory_entry& entry : fs::directory_iterator(GLASSBOX_SOURCE_DIR "/tests/gpu/results", none)) {
    if (entry.path().extension() == ".md" && entry.path().filename() > newest.filename()) newest = entry.path();
  }
  if (newest.empty()) return "emulated only";
  std::string first;
  std::getline(std::ifstream(newest) >> std::ws, first);
  return "emulated; on a GPU last: " + first;
#else
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return "on no GPU";
  const std::time_t now = std::time(nullptr);
  char date[16] = "";
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  return std::string("on ") + properties.name + ", " + date;
#endif
}

// The tests of kernels lie in files test_parity_*.cpp, here and in tests/parity, which name the group, and those of
// whole models in test_model*.cpp.
std::string group_of(const std::string& file) {
  const std::string name = std::filesystem::path(file).stem().string();
  for (const std::string& prefix : {std::string("test_parity_"), std::string("test_model")}) {
    if (name.starts_with(prefix)) return prefix == "test_model" ? "models" : name.substr(prefix.size());
  }
  return {};
}

class DeviceListener : public Catch::EventListenerBase {
 public:
  using Catch::EventListenerBase::EventListenerBase;
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    for (const Catch::Tag& tag : stats.testInfo->tags) parity_cases_ += tag == Catch::Tag("parity") ? 1 : 0;
    const std::string group = group_of(stats.testInfo->lineInfo.file);
    if (group.empty() || stats.totals.testCases.skipped > 0) return;
    ++groups_[group].cases;
    groups_[group].failed += stats.totals.testCases.failed > 0 ? 1 : 0;
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    if (parity_cases_ > 0) std::printf("%d parity tests ran %s\n", parity_cases_, place().c_str());
    const std::string where = standing();
    for (const auto& [name, group] : groups_) {
      const std::string failed = group.failed > 0 ? ", " + std::to_string(group.failed) + " FAILED" : "";
      std::printf("  %-16s %3d tests%s: %s\n", name.c_str(), group.cases, failed.c_str(), where.c_str());
    }
  }

 private:
  struct Group {
    int cases = 0, failed = 0;
  };
  int parity_cases_ = 0;
  std::map<std::string, Group> groups_;
};

CATCH_REGISTER_LISTENER(DeviceListener)

}  // namespace
}  // namespace glassbox::testing
