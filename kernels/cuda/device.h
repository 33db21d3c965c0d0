// The seam between the kernels and the machine: every .cu file includes this and no other CUDA header. Under nvcc it is
// the real thing. With GLASSBOX_CUDA_EMULATED the same files are C++ of the host, and the emulator (tests/gpu/emulator)
// takes the place of the GPU.
//
//   launch(kernel, grid, block, shared_bytes, stream, arguments…)   instead of <<< >>>; returns the launch's error
//   launch_early(…)                                                 the same, for an early launch: see below
//   GLASSBOX_SHARED(tile, float[32][33]);                           instead of __shared__ float tile[32][33];
//   GLASSBOX_DYNAMIC_SHARED(rows, float);                           instead of extern __shared__ float rows[];
//   GLASSBOX_UNROLL for (…)                                         instead of #pragma unroll
//   prefetch(address)                                               the 128 bytes there come into the L2 cache
//   load_new(address)                                               a value that a launch before has written
//
// The shared ones are macros because neither a static nor an extern declaration can be given to the threads of one
// emulated block. What the emulator has: threads and blocks, __syncthreads (also counting), __syncwarp, shuffles,
// votes, atomics, f16 and bf16 conversions. Not: tensor cores, asynchronous copies, cooperative groups, inline PTX.
//
// Early launches (programmatic dependent launch) hide what a launch costs, and the way of the weights to the chip. A
// kernel that is launched so may begin when all blocks of the launch before have called let_next_launch_begin() or have
// ended. That orders no memory; wait_for_launches_before() does: it returns when the launch before is done and its
// stores are seen. As that one could not be done before its own wait was over, so are all before it. Therefore every
// thread of such a kernel calls it, on every path, and before that
//   - reads of global memory only what no launch writes, weights and norms, and what was there before the last copy or
//     launch that was not early, which waited for it: a step begins with such a one, so that is what was sent for the
//     step, its rows, positions, tables and outputs; not the cache, nor what the step computes
//   - writes none
// What is in the stream after an early launch and is not launched early itself waits for its end as ever. The emulator
// checks all of this. Not checked, and a precaution: what launches before have written, and a kernel reads once, it
// reads by load_new(), past the first-level cache.
#pragma once

#include <cstddef>

namespace glassbox {
// Of a shared variable, so that vectors may be read from arrays of floats; the compiler knows but that of the elements.
inline constexpr std::size_t kSharedAlignment = 16;
}  // namespace glassbox

#ifdef GLASSBOX_CUDA_EMULATED

#include "emulated_device.h"
#include "kernels/cuda/overlap.h"

#define GLASSBOX_UNROLL

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/cuda/overlap.h"

#define GLASSBOX_UNROLL _Pragma("unroll")
#define GLASSBOX_SHARED(name, ...) \
  alignas(::glassbox::kSharedAlignment) __shared__ std::type_identity_t<__VA_ARGS__> name
#define GLASSBOX_DYNAMIC_SHARED(name, ...)                                                                \
  alignas(::glassbox::kSharedAlignment) extern __shared__ unsigned char glassbox_dynamic_shared_memory[]; \
  auto* const name = reinterpret_cast<std::type_identity_t<__VA_ARGS__>*>(glassbox_dynamic_shared_memory)

namespace glassbox {

// Older devices have neither, and no early launches.
__device__ inline void let_next_launch_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}
__device__ inline void wait_for_launches_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}
__device__ inline void prefetch([[maybe_unused]] const void* address) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("prefetch.global.L2 [%0];" ::"l"(__cvta_generic_to_global(address)));
#endif
}

template <class... Parameters, class... Arguments>
cudaError_t start_kernel(bool early, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                         cudaStream_t stream, Arguments... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the kernel has another number of parameters");
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &overlap;
  config.numAttrs = early ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace glassbox

#endif

namespace glassbox {

// T: a number, or a vector of them.
template <class T>
__device__ T load_new(const T* from) {
  return __ldcg(from);
}

template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   Arguments... arguments) {
  return start_kernel(false, kernel, grid, block, shared_bytes, stream, arguments...);
}
template <class... Parameters, class... Arguments>
cudaError_t launch_early(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                         Arguments... arguments) {
  const bool early = cuda::may_start_early(reinterpret_cast<const void*>(kernel));
  return start_kernel(early, kernel, grid, block, shared_bytes, stream, arguments...);
}

}  // namespace glassbox
