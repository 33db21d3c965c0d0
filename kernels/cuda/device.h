// The seam between the kernels and the machine: every .cu file includes this and no other CUDA header. Under nvcc it is
// the real thing. With GLASSBOX_CUDA_EMULATED the same files are C++ of the host, and the emulator (tests/gpu/emulator)
// takes the place of the GPU.
//
//   launch(kernel, grid, block, shared_bytes, stream, arguments…)   instead of <<< >>>; returns the launch's error
//   GLASSBOX_SHARED(tile, float[32][33]);                           instead of __shared__ float tile[32][33];
//   GLASSBOX_DYNAMIC_SHARED(rows, float);                           instead of extern __shared__ float rows[];
//   GLASSBOX_UNROLL for (…)                                         instead of #pragma unroll
//
// The shared ones are macros because neither a static nor an extern declaration can be given to the threads of one
// emulated block. What the emulator has: threads and blocks, __syncthreads (also counting), __syncwarp, shuffles, votes,
// atomics, f16 and bf16 conversions. Not: tensor cores, asynchronous copies, cooperative groups, inline PTX.
#pragma once

#ifdef GLASSBOX_CUDA_EMULATED

#include "emulated_device.h"

#define GLASSBOX_UNROLL

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#define GLASSBOX_UNROLL _Pragma("unroll")
#define GLASSBOX_SHARED(name, ...) __shared__ std::type_identity_t<__VA_ARGS__> name
#define GLASSBOX_DYNAMIC_SHARED(name, ...)                                        \
  extern __shared__ __align__(16) unsigned char glassbox_dynamic_shared_memory[]; \
  auto* const name = reinterpret_cast<std::type_identity_t<__VA_ARGS__>*>(glassbox_dynamic_shared_memory)

namespace glassbox {

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the kernel has another number of parameters");
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace glassbox

#endif
