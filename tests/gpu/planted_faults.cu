#include "tests/gpu/planted_faults.h"

#include "kernels/cuda/device.h"

namespace glassbox::testing {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kThreads = kPlantedThreads;

__device__ int own_index() {
  return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}
__device__ int own_thread() {
  return static_cast<int>(threadIdx.x);
}

// out = the block's sum.
__global__ void sum_tree(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  const int t = own_thread();
  tile[t] = in[own_index()];
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (t < step) tile[t] += tile[t + step];
    if (!planted) __syncthreads();
  }
  if (planted) __syncthreads();
  out[own_index()] = tile[0];
}

// out = the sum of all blocks' values at the mirrored place.
__global__ void sum_mirrored(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  const int t = own_thread();
  float sum = 0;
  for (int b = 0; b < kPlantedBlocks; ++b) {
    tile[t] = in[b * kThreads + t];
    __syncthreads();
    sum += tile[kThreads - 1 - t];
    if (!planted) __syncthreads();
  }
  out[own_index()] = sum;
}

// out = in, mirrored in the block.
__device__ float mirror(float x) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  tile[own_thread()] = x;
  __syncthreads();
  return tile[kThreads - 1 - own_thread()];
}

__global__ void return_early(bool planted, const float* in, float* out) {
  if (planted && own_thread() == 5) return;
  out[own_index()] = mirror(in[own_index()]);
}

__global__ void two_barriers(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  tile[own_thread()] = in[own_index()];
  if (planted && own_thread() >= 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[own_index()] = tile[kThreads - 1 - own_thread()];
}

__global__ void uneven_loop(bool planted, const float* in, float* out) {
  const int rounds = planted ? 1 + own_thread() / 32 : 2;
  float x = in[own_index()];
  for (int i = 0; i < rounds; ++i) __syncthreads();
  out[own_index()] = x;
}

// out = the sum over the warp.
__device__ float sum_warp(float x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(kAll, x, lanes);
  return x;
}

__global__ void ended_lane(bool planted, const float* in, float* out) {
  if (planted && own_thread() == 40) return;
  out[own_index()] = sum_warp(in[own_index()]);
}

__global__ void outside_mask(bool planted, const float* in, float* out) {
  const int lane = own_thread() % 32;
  // Two halves that do not know of each other.
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  out[own_index()] = __shfl_sync(half, in[own_index()], planted ? (lane + 1) % 32 : lane / 16 * 16 + (lane + 1) % 16);
}

__global__ void two_shuffles(bool planted, const float* in, float* out) {
  float x = in[own_index()];
  if (planted && own_thread() % 2 != 0) {
    x = __shfl_down_sync(kAll, x, 1);
  } else {
    x = __shfl_down_sync(kAll, x, 1);
  }
  out[own_index()] = x;
}

__device__ void wait_for_block() {
  __syncthreads();
}

__global__ void vote_or_barrier(bool planted, const float* in, float* out) {
  const float x = in[own_index()];
  if (planted && own_thread() == 1) wait_for_block();
  const int positive = __all_sync(kAll, x > -1e30f);
  if (!planted || own_thread() != 1) wait_for_block();
  out[own_index()] = positive != 0 ? x : 0.0f;
}

__global__ void unwritten_shared(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  if (!planted || own_thread() != 17) tile[own_thread()] = in[own_index()];
  __syncthreads();
  out[own_index()] = tile[kThreads - 1 - own_thread()];
}

__global__ void write_scratch(bool planted, const float* in, float* scratch) {
  if (!planted || own_index() != 99) scratch[own_index()] = in[own_index()];
}
__global__ void read_scratch(const float* scratch, float* out) {
  out[own_index()] = scratch[own_index()];
}

__global__ void shared_bounds(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  tile[own_thread() + (planted ? 1 : 0)] = in[own_index()];
  __syncthreads();
  out[own_index()] = tile[own_thread() + (planted ? 1 : 0)];
}

__global__ void dynamic_bounds(const float* in, float* out) {
  GLASSBOX_DYNAMIC_SHARED(tile, float);
  tile[own_thread()] = in[own_index()];
  __syncthreads();
  out[own_index()] = tile[kThreads - 1 - own_thread()];
}

__global__ void global_bounds(bool planted, const float* in, float* out) {
  const int i = own_index();
  if (planted && i == kPlantedValues - 1) out[i + 1] = 0.0f;
  out[i] = in[i];
}

// Neighbours of a warp exchange values through shared memory. The vote makes all lanes meet, and orders no memory.
__global__ void warp_exchange(bool planted, const float* in, float* out) {
  GLASSBOX_SHARED(tile, float[kThreads]);
  const int t = own_thread();
  tile[t] = in[own_index()];
  if (planted) {
    __any_sync(kAll, 1);
  } else {
    __syncwarp();
  }
  out[own_index()] = tile[t ^ 1];
}

// scratch[t] = the sum of all blocks' values at t.
__global__ void clear(float* scratch) {
  scratch[own_index()] = 0.0f;
}
__global__ void add_blocks(bool planted, const float* in, float* scratch) {
  if (planted) {
    scratch[own_thread()] += in[own_index()];
  } else {
    atomicAdd(&scratch[own_thread()], in[own_index()]);
  }
}
__global__ void spread(const float* scratch, float* out) {
  out[own_index()] = scratch[own_thread()];
}

// out = in, four values at a time; the planted one begins at an odd place and ends before the end.
__global__ void copy_vectors(bool planted, const float* in, float* out) {
  const int i = 4 * own_index() + (planted ? 1 : 0);
  if (i + 4 > kPlantedValues) return;
  *reinterpret_cast<float4*>(out + i) = *reinterpret_cast<const float4*>(in + i);
}

// out = scratch, which a launch before has filled, times and divided by in, which the host has filled and may be read
// early.
enum class Early : uint8_t { sound, reads, writes };
__global__ void divide_early(Early fault, const float* in, const float* scratch, float* out) {
  const int i = own_index();
  const float x = in[i];
  float product = 0.0f;
  if (fault == Early::reads && i == 77) product = scratch[i] * x;
  if (fault == Early::writes && i == 77) out[i] = x;
  let_next_launch_begin();
  wait_for_launches_before();
  if (fault != Early::reads || i != 77) product = scratch[i] * x;
  out[i] = product / x;
}
__global__ void end_early(bool planted) {
  if (planted && own_index() == 77) return;
  wait_for_launches_before();
}

}  // namespace

cudaError_t run_planted(Planted kind, bool planted, const float* in, float* scratch, float* out, cudaStream_t stream) {
  const dim3 grid(kPlantedBlocks), block(kThreads);
  switch (kind) {
    case Planted::barrier_left_out_of_loop:
      return launch(sum_tree, grid, block, 0, stream, planted, in, out);
    case Planted::second_barrier_left_out:
      return launch(sum_mirrored, grid, block, 0, stream, planted, in, out);
    case Planted::barrier_after_early_return:
      return launch(return_early, grid, block, 0, stream, planted, in, out);
    case Planted::barrier_in_two_branches:
      return launch(two_barriers, grid, block, 0, stream, planted, in, out);
    case Planted::barrier_in_uneven_loop:
      return launch(uneven_loop, grid, block, 0, stream, planted, in, out);
    case Planted::shuffle_with_ended_lane:
      return launch(ended_lane, grid, block, 0, stream, planted, in, out);
    case Planted::shuffle_beyond_the_block:
      return planted ? launch(ended_lane, dim3(1), dim3(kThreads - 8), 0, stream, false, in, out)
                     : launch(ended_lane, grid, block, 0, stream, false, in, out);
    case Planted::shuffle_outside_mask:
      return launch(outside_mask, grid, block, 0, stream, planted, in, out);
    case Planted::shuffle_in_two_branches:
      return launch(two_shuffles, grid, block, 0, stream, planted, in, out);
    case Planted::vote_against_barrier:
      return launch(vote_or_barrier, grid, block, 0, stream, planted, in, out);
    case Planted::shared_word_not_written:
      return launch(unwritten_shared, grid, block, 0, stream, planted, in, out);
    case Planted::global_word_not_written:
      launch(write_scratch, grid, block, 0, stream, planted, in, scratch);
      return launch(read_scratch, grid, block, 0, stream, scratch, out);
    case Planted::shared_index_too_large:
      return launch(shared_bounds, grid, block, 0, stream, planted, in, out);
    case Planted::dynamic_shared_too_small:
      return launch(dynamic_bounds, grid, block, (kThreads - (planted ? 1 : 0)) * sizeof(float), stream, in, out);
    case Planted::global_index_too_large:
      return launch(global_bounds, grid, block, 0, stream, planted, in, out);
    case Planted::shuffle_instead_of_syncwarp:
      return launch(warp_exchange, grid, block, 0, stream, planted, in, out);
    case Planted::blocks_add_without_atomics:
      launch(clear, grid, block, 0, stream, scratch);
      launch(add_blocks, grid, block, 0, stream, planted, in, scratch);
      return launch(spread, grid, block, 0, stream, scratch, out);
    case Planted::misaligned_vector:
      return launch(copy_vectors, dim3(1), dim3(kPlantedValues / 4), 0, stream, planted, in, out);
    case Planted::early_without_wait:
      launch(copy_vectors, dim3(1), dim3(kPlantedValues / 4), 0, stream, false, in, out);
      return launch_early(end_early, grid, block, 0, stream, planted);
    case Planted::early_read:
    case Planted::early_write:
      launch(write_scratch, grid, block, 0, stream, false, in, scratch);
      return launch_early(divide_early, grid, block, 0, stream,
                          !planted                      ? Early::sound
                          : kind == Planted::early_read ? Early::reads
                                                        : Early::writes,
                          in, scratch, out);
  }
  return cudaErrorInvalidValue;
}

float planted_result(Planted kind, const float* in, int i) {
  const int t = i % kThreads, first = i - t, mirrored = kThreads - 1 - t;
  float sum = 0;
  switch (kind) {
    case Planted::barrier_left_out_of_loop:
      for (int j = 0; j < kThreads; ++j) sum += in[first + j];
      return sum;
    case Planted::second_barrier_left_out:
      for (int b = 0; b < kPlantedBlocks; ++b) sum += in[b * kThreads + mirrored];
      return sum;
    case Planted::shuffle_with_ended_lane:
    case Planted::shuffle_beyond_the_block:
      for (int j = 0; j < 32; ++j) sum += in[i / 32 * 32 + j];
      return sum;
    case Planted::blocks_add_without_atomics:
      for (int b = 0; b < kPlantedBlocks; ++b) sum += in[b * kThreads + t];
      return sum;
    case Planted::barrier_after_early_return:
    case Planted::barrier_in_two_branches:
    case Planted::shared_word_not_written:
    case Planted::dynamic_shared_too_small:
      return in[first + mirrored];
    case Planted::shuffle_outside_mask:
      return in[i / 16 * 16 + (i + 1) % 16];
    case Planted::shuffle_in_two_branches:
      return in[i % 32 == 31 ? i : i + 1];
    case Planted::shuffle_instead_of_syncwarp:
      return in[i ^ 1];
    default:
      return in[i];
  }
}

}  // namespace glassbox::testing
