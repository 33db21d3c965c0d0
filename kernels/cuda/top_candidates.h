// The greatest of many values, sorted, by one block: greatest value first, of equal ones the smallest index.
#pragma once

#include "kernels/cuda/device.h"

namespace glassbox::cuda {

inline constexpr int kTopThreads = 1024;  // of the block; a thread has the values i with i mod kTopThreads = its own
inline constexpr int kTopRank = 256;      // at least so many are found, where there are so many
inline constexpr int kMostTopRank = 384;  // threads whose greatest is taken, without need for a finer border
inline constexpr int kMostTop = 1024;     // and at most so many are found

// The order of floats as that of integers; −0 is 0.
__device__ inline uint32_t ordered_bits(float value) {
  const uint32_t bits = __float_as_uint(value + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline uint64_t candidate_key(float value, int64_t id) {
  return uint64_t{ordered_bits(value)} << 32 | (0xffffffffu - static_cast<uint32_t>(id));
}
__device__ inline float value_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}
__device__ inline int32_t id_of(uint64_t key) {
  return static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(key));
}

struct TopCandidates {
  uint64_t* keys;   // [count] in shared memory, the greatest first
  int count;        // 0: there are more than kMostTop
  uint64_t lowest;  // all keys from it on were taken
};

// key_of(i), 0 ≤ i < count: candidate_key(), or 0 for what is to be left out. All threads of the block must call; they
// get the same. What is as great as the kTopRank-th greatest of the threads' own greatest keys is taken, or as one a
// little further down: no thread has many of the top unless the values are ordered so that it does.
template <class KeyOf>
__device__ TopCandidates find_top(int64_t count, const KeyOf& key_of) {
  GLASSBOX_SHARED(found, uint64_t[kMostTop]);
  GLASSBOX_SHARED(sorted, uint64_t[kMostTop]);
  GLASSBOX_SHARED(taken, int);
  uint64_t own = 0;
  for (int64_t i = threadIdx.x; i < count; i += kTopThreads) {
    const uint64_t key = key_of(i);
    own = key > own ? key : own;
  }
  uint64_t lowest = 0;  // bit by bit, the greatest number that kTopRank threads reach; each bit is a barrier
  int reached = kTopThreads;
  for (int bit = 63; bit >= 0 && reached > kMostTopRank; --bit) {
    const uint64_t higher = lowest | uint64_t{1} << bit;
    const int reach = __syncthreads_count(own >= higher);
    if (reach < kTopRank) continue;
    lowest = higher;
    reached = reach;
  }
  if (lowest == 0) lowest = 1;
  if (threadIdx.x == 0) taken = 0;
  __syncthreads();
  if (own >= lowest) {
    constexpr int kAtOnce = 8;  // loads that do not wait for what is done with those before
    for (int64_t first = threadIdx.x; first < count; first += kAtOnce * kTopThreads) {
      uint64_t keys[kAtOnce];
      GLASSBOX_UNROLL for (int i = 0; i < kAtOnce; ++i) {
        const int64_t at = first + i * kTopThreads;
        keys[i] = at < count ? key_of(at) : 0;
      }
      GLASSBOX_UNROLL for (int i = 0; i < kAtOnce; ++i) {
        if (keys[i] < lowest) continue;
        const int place = atomicAdd(&taken, 1);
        if (place < kMostTop) found[place] = keys[i];
      }
    }
  }
  __syncthreads();
  const int total = taken;
  if (total > kMostTop) return {sorted, 0, lowest};
  for (int i = static_cast<int>(threadIdx.x); i < total; i += kTopThreads) {
    const uint64_t key = found[i];
    int rank = 0;
    for (int j = 0; j < total; ++j) rank += found[j] > key;
    sorted[rank] = key;
  }
  __syncthreads();
  return {sorted, total, lowest};
}

}  // namespace glassbox::cuda
