#include "kernels/cuda/overlap.h"

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace glassbox::cuda {
namespace {

constexpr int kFirstToWait = 90;          // as the attributes of a kernel tell it: compute capability 9.0
constexpr int kFirstToRecordIt = 12'030;  // CUDA 12.3

std::atomic<bool> allowed = true;

bool is_wanted() {
  int driver = 0;
  return !overlap_is_off() && cudaDriverGetVersion(&driver) == cudaSuccess && driver >= kFirstToRecordIt;
}

}  // namespace

bool overlap_is_off() {
  const char* wish = std::getenv("GLASSBOX_CUDA_OVERLAP");
  return wish != nullptr && std::string_view(wish) == "off";
}

void allow_early_launches(bool allow) {
  allowed = allow;
}

bool may_start_early(const void* kernel) {
  static const bool wanted = is_wanted();
  cudaFuncAttributes code{};
  // Not what the device could run: where only older code was compiled, that runs there, and does not wait.
  if (!wanted || !allowed || cudaFuncGetAttributes(&code, kernel) != cudaSuccess || code.ptxVersion < kFirstToWait)
    return false;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared) ==
         cudaSuccess;
}

}  // namespace glassbox::cuda
