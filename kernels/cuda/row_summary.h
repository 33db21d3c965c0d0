// A row of an attention pattern in few numbers, by one thread block: see kernels/pattern_summary.h.
#pragma once

#include "kernels/cuda/reductions.h"
#include "kernels/pattern_summary.h"

namespace glassbox::cuda {

struct GreatestWeight {
  float weight = -INFINITY;
  int key = 0x7fffffff;
};
// The first of equals.
__device__ inline GreatestWeight greater_of(GreatestWeight a, GreatestWeight b) {
  const bool equal = a.weight == b.weight || (a.weight != a.weight && b.weight != b.weight);
  if (equal) return a.key < b.key ? a : b;
  return greater_or_nan(a.weight, b.weight) == a.weight || a.weight != a.weight ? a : b;
}

// Of a head's row: weights [keys], which this block or a launch before has written. All threads of the block call,
// which has whole warps, at most kMostThreads, and one dimension.
template <int kMostThreads>
__device__ void summarise_row(const float* weights, int keys, const PatternSummary& summary) {
  GLASSBOX_SHARED(of_warps, GreatestWeight[kMostThreads / kWarp]);
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  // A warp takes so many keys at a time: those of one pooled value, or of several.
  const int width = pooled_width(keys), together = width < kWarp ? kWarp : width, lanes = width < kWarp ? width : kWarp;
  GreatestWeight best;
  for (int begin = own_warp() * together; begin < kPooledKeys * width; begin += warps * together) {
    float most = -INFINITY;
    for (int key = begin + own_lane(); key < begin + together && key < keys; key += kWarp) {
      const float weight = load_new(weights + key);
      most = greater_or_nan(most, weight);
      best = greater_of(best, {weight, key});
    }
    for (int step = 1; step < lanes; step *= 2) most = greater_or_nan(most, __shfl_xor_sync(kAllLanes, most, step));
    const int first = begin + own_lane();  // of those that the lane's pooled value stands for
    if (summary.pooled != nullptr && own_lane() % lanes == 0)
      summary.pooled[first / width] = first < keys ? most : 0.0f;
  }
  if (summary.focus == nullptr) return;
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const GreatestWeight other{__shfl_xor_sync(kAllLanes, best.weight, step),
                               __shfl_xor_sync(kAllLanes, best.key, step)};
    best = greater_of(best, other);
  }
  __syncthreads();  // what a call before left there has been read
  if (own_lane() == 0) of_warps[own_warp()] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < warps; ++w) best = greater_of(best, of_warps[w]);
  summary.focus[kFocusPrevious] = keys > 1 ? load_new(weights + keys - 2) : 0.0f;
  summary.focus[kFocusGreatest] = best.weight;
  summary.focus[kFocusKey] = static_cast<float>(best.key);
}

}  // namespace glassbox::cuda
