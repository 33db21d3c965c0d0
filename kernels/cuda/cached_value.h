// The numbers of keys and values as the cache holds them.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/ops.h"

namespace glassbox::cuda {

// What a cache of this type holds of the value.
__device__ inline float as_cached(DType type, float v) {
  return type == DType::f16 ? __half2float(__float2half_rn(v)) : v;
}

// A row's place in the cache.
struct CachePlace {
  std::byte *keys, *values;  // of its block
  int place;                 // in the block
};
__device__ inline CachePlace cache_place(const AttentionArgs& args, const RowPosition& row) {
  std::byte* const block = args.sequences[row.sequence][row.position / kKvBlock];
  return {block + args.keys_at, block + args.values_at, row.position % kKvBlock};
}

// Where dimension d of the head lies that begins at output `head` = g · D.
__device__ inline std::byte* cached_key(const AttentionArgs& args, const CachePlace& at, int head, int d) {
  return at.keys + (int64_t{head + d} * kKvBlock + at.place) * (args.dtype == DType::f16 ? 2 : 4);
}
__device__ inline std::byte* cached_value(const AttentionArgs& args, const CachePlace& at, int head, int d) {
  return at.values +
         (int64_t{head} * kKvBlock + int64_t{at.place} * args.head_dim + d) * (args.dtype == DType::f16 ? 2 : 4);
}

__device__ inline void store_cached(DType type, float v, std::byte* to) {
  // As numbers: the emulator's checks do not see a class that a function returns into memory.
  if (type == DType::f16) {
    *reinterpret_cast<uint16_t*>(to) = __half_as_ushort(__float2half_rn(v));
  } else {
    *reinterpret_cast<float*>(to) = v;
  }
}

}  // namespace glassbox::cuda
