// Sums and maxima over a warp and over a block.
#pragma once

#include "kernels/cuda/device.h"

namespace glassbox::cuda {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// The lane and the warp of a thread in a block of one dimension.
__device__ inline int own_lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}
__device__ inline int own_warp() {
  return static_cast<int>(threadIdx.x) / kWarp;
}

// Over the warp, to all of its lanes; all must call.
__device__ inline float sum_warp(float v) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) v += __shfl_xor_sync(kAllLanes, v, lanes);
  return v;
}
__device__ inline float max_warp(float v) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) v = fmaxf(v, __shfl_xor_sync(kAllLanes, v, lanes));
  return v;
}

// Over a block of kThreads, to all of its threads; all must call.
template <int kThreads>
__device__ float sum_block(float v) {
  GLASSBOX_SHARED(of_warps, float[kThreads / kWarp]);
  v = sum_warp(v);
  __syncthreads();  // what a call before left there has been read
  if (own_lane() == 0) of_warps[own_warp()] = v;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < kThreads / kWarp; ++w) total += of_warps[w];
  return total;
}
template <int kThreads>
__device__ float max_block(float v) {
  GLASSBOX_SHARED(of_warps, float[kThreads / kWarp]);
  v = max_warp(v);
  __syncthreads();
  if (own_lane() == 0) of_warps[own_warp()] = v;
  __syncthreads();
  float largest = of_warps[0];
  for (int w = 1; w < kThreads / kWarp; ++w) largest = fmaxf(largest, of_warps[w]);
  return largest;
}

}  // namespace glassbox::cuda
