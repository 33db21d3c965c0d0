// Tiles of the key/value cache on their way to shared memory, where they lie as fp32.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"
#include "kernels/ops.h"

namespace glassbox::cuda {

inline constexpr int kGroupWarps = 4, kGroupThreads = kGroupWarps * kWarp;  // that work on a tile
inline constexpr int kTile = 4096;                                          // keys times dimensions, at most
inline constexpr int kParts = 16;  // of a tile's keys or dimensions, one for each pair of lanes
inline constexpr int kOwn = 4;     // dimensions side by side of a thread, and queries

// What depends on the size of a head, at most kDims: 64, 128 or 256.
template <int kDims>
struct Sizes {
  static constexpr int kKeys = kTile / kDims;  // of a tile
  static constexpr int kOwnKeys = kKeys / kParts;
  static constexpr int kSlices = kDims / (kParts * kOwn);
};

// Sixteen bytes of the cache, whose values are `Raw`: the bits of an f16 or of an f32.
template <class Raw>
inline constexpr int kPerVector = 16 / static_cast<int>(sizeof(Raw));

// `count` values at base + at, a multiple of 16 bytes; the others are 0. What was never stored is not read.
template <class Raw>
__device__ uint4 load_vector(const Raw* base, int at, int count) {
  if (count >= kPerVector<Raw>) return *reinterpret_cast<const uint4*>(base + at);
  constexpr int kPerWord = 4 / static_cast<int>(sizeof(Raw));
  unsigned words[4] = {};
  for (int i = 0; i < kPerVector<Raw>; ++i) {
    if (i < count) words[i / kPerWord] |= static_cast<unsigned>(base[at + i]) << (i % kPerWord * 16);
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ inline float4 floats_of(unsigned a, unsigned b) {
  return make_float4(half_value(static_cast<uint16_t>(a)), half_value(static_cast<uint16_t>(a >> 16)),
                     half_value(static_cast<uint16_t>(b)), half_value(static_cast<uint16_t>(b >> 16)));
}

template <class Raw>
__device__ void store_vector(const uint4& bits, float* to) {
  auto* out = reinterpret_cast<float4*>(to);
  if constexpr (sizeof(Raw) == 2) {
    out[0] = floats_of(bits.x, bits.y);
    out[1] = floats_of(bits.z, bits.w);
  } else {
    out[0] =
        make_float4(__uint_as_float(bits.x), __uint_as_float(bits.y), __uint_as_float(bits.z), __uint_as_float(bits.w));
  }
}

// A thread's part of a tile on its way from the cache to shared memory: loaded while the tile before is worked on.
template <class Raw, int kDims>
struct Transfer {
  static constexpr int kPer = kPerVector<Raw>, kKeys = Sizes<kDims>::kKeys, kPerRow = kKeys / kPer;
  static constexpr int kCount = kTile / kPer / kGroupThreads;
  uint4 vectors[kCount];

  __device__ static int number(int i) { return i * kGroupThreads + static_cast<int>(threadIdx.x) % kGroupThreads; }

  // Of the keys [D, kKvBlock] the first `valid` ≤ kKeys; the others become 0. With none, there need be no keys.
  __device__ void load_keys(const Raw* keys, int head_dim, int valid) {
    for (int i = 0; i < kCount; ++i) {
      const int d = number(i) / kPerRow, key = number(i) % kPerRow * kPer;
      vectors[i] = load_vector(keys, d * kKvBlock + key, d < head_dim ? valid - key : 0);
    }
  }
  __device__ void store_keys(float* to, int head_dim) const {
    for (int i = 0; i < kCount; ++i) {
      const int d = number(i) / kPerRow, key = number(i) % kPerRow * kPer;
      if (d < head_dim) store_vector<Raw>(vectors[i], to + d * kKeys + key);
    }
  }
  // Of the values [kKvBlock, D] likewise. D is a multiple of eight, so that a vector lies in one row.
  __device__ void load_values(const Raw* values, int head_dim, int valid) {
    for (int i = 0; i < kCount; ++i) {
      vectors[i] = load_vector(values, number(i) * kPer, number(i) * kPer < valid * head_dim ? kPer : 0);
    }
  }
  __device__ void store_values(float* to, int head_dim) const {
    for (int i = 0; i < kCount; ++i) {
      if (number(i) * kPer < kKeys * head_dim) store_vector<Raw>(vectors[i], to + number(i) * kPer);
    }
  }
};

}  // namespace glassbox::cuda
