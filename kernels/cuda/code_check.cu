#include "kernels/cuda/code_check.h"

#include "kernels/cuda/device.h"

namespace glassbox::cuda {
namespace {

__global__ void nothing() {}

}  // namespace

cudaError_t check_code() {
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(nothing));
  // Where nothing fits, the runtime knows no such function.
  return error == cudaErrorInvalidDeviceFunction ? cudaErrorNoKernelImageForDevice : error;
}

}  // namespace glassbox::cuda
