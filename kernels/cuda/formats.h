// Weights of every format, eight consecutive values at a time. Eight divides all groups inside the blocks, so the
// values share their scale; what a block looks like is told in kernels/quant_formats.h. Blocks lie at even addresses
// and no better, so nothing wider than two bytes is loaded.
#pragma once

#include <cstddef>

#include "kernels/cuda/device.h"
#include "kernels/quant_formats.h"
#include "kernels/tensor.h"

namespace glassbox::cuda {

inline constexpr int kOctet = 8;

__device__ inline float half_value(uint16_t bits) {
  __half_raw raw;
  raw.x = bits;
  return __half2float(__half(raw));
}

template <DType kType>
struct Format;  // static void unpack(const std::byte* row, int64_t first, int count, float (&out)[kOctet])
                // first: a multiple of 8; count ≤ 8: values that there are, the others become 0

template <>
struct Format<DType::f32> {
  __device__ static void unpack(const std::byte* row, int64_t first, int count, float (&out)[kOctet]) {
    const auto* values = reinterpret_cast<const float*>(row) + first;
    for (int i = 0; i < kOctet; ++i) out[i] = i < count ? values[i] : 0.0f;
  }
};

template <>
struct Format<DType::f16> {
  __device__ static void unpack(const std::byte* row, int64_t first, int count, float (&out)[kOctet]) {
    const auto* values = reinterpret_cast<const uint16_t*>(row) + first;
    for (int i = 0; i < kOctet; ++i) out[i] = i < count ? half_value(values[i]) : 0.0f;
  }
};

template <>
struct Format<DType::bf16> {
  __device__ static void unpack(const std::byte* row, int64_t first, int count, float (&out)[kOctet]) {
    const auto* values = reinterpret_cast<const uint16_t*>(row) + first;
    for (int i = 0; i < kOctet; ++i) {
      out[i] = i < count ? __uint_as_float(static_cast<unsigned>(values[i]) << 16) : 0.0f;
    }
  }
};

// The block that holds value `first`, and its place in it.
template <class Block, int kBlock>
__device__ const Block& block_of(const std::byte* row, int64_t first, int& at) {
  at = static_cast<int>(first % kBlock);
  return reinterpret_cast<const Block*>(row)[first / kBlock];
}

// Four bits each of the bytes at `bytes`: the low ones, or the high ones.
__device__ inline int nibble(uint8_t byte, bool high) {
  return high ? byte >> 4 : byte & 15;
}

template <>
struct Format<DType::q8_0> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ8_0& block = block_of<BlockQ8_0, kQuantBlock>(row, first, at);
    const float scale = half_value(block.scale);
    for (int i = 0; i < kOctet; ++i) out[i] = scale * static_cast<float>(block.quants[at + i]);
  }
};

template <>
struct Format<DType::q4_0> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ4_0& block = block_of<BlockQ4_0, kQuantBlock>(row, first, at);
    const float scale = half_value(block.scale);
    for (int i = 0; i < kOctet; ++i) {
      out[i] = scale * static_cast<float>(nibble(block.quants[at % 16 + i], at >= 16) - 8);
    }
  }
};

template <>
struct Format<DType::q4_1> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ4_1& block = block_of<BlockQ4_1, kQuantBlock>(row, first, at);
    const float scale = half_value(block.scale), minimum = half_value(block.minimum);
    for (int i = 0; i < kOctet; ++i) {
      out[i] = scale * static_cast<float>(nibble(block.quants[at % 16 + i], at >= 16)) + minimum;
    }
  }
};

template <>
struct Format<DType::q5_0> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ5_0& block = block_of<BlockQ5_0, kQuantBlock>(row, first, at);
    const float scale = half_value(block.scale);
    const int high = block.high_bits[at / 8];
    for (int i = 0; i < kOctet; ++i) {
      const int value = nibble(block.quants[at % 16 + i], at >= 16) | (high >> i & 1) << 4;
      out[i] = scale * static_cast<float>(value - 16);
    }
  }
};

template <>
struct Format<DType::q5_1> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ5_1& block = block_of<BlockQ5_1, kQuantBlock>(row, first, at);
    const float scale = half_value(block.scale), minimum = half_value(block.minimum);
    const int high = block.high_bits[at / 8];
    for (int i = 0; i < kOctet; ++i) {
      const int value = nibble(block.quants[at % 16 + i], at >= 16) | (high >> i & 1) << 4;
      out[i] = scale * static_cast<float>(value) + minimum;
    }
  }
};

// Scale and minimum of group g out of the twelve packed bytes of Q4_K and Q5_K.
__device__ inline void k_scales(const uint8_t* packed, int g, int& scale, int& minimum) {
  if (g < 4) {
    scale = packed[g] & 63;
    minimum = packed[g + 4] & 63;
  } else {
    scale = (packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4;
    minimum = packed[g + 4] >> 4 | (packed[g] >> 6) << 4;
  }
}

template <>
struct Format<DType::q4_k> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at, s, m;
    const BlockQ4K& block = block_of<BlockQ4K, kQuantSuperBlock>(row, first, at);
    const int group = at / 32;
    k_scales(block.scales, group, s, m);
    const float scale = half_value(block.scale) * static_cast<float>(s);
    const float minimum = half_value(block.minimum) * static_cast<float>(m);
    const uint8_t* quants = block.quants + 32 * (group / 2) + at % 32;
    for (int i = 0; i < kOctet; ++i) out[i] = scale * static_cast<float>(nibble(quants[i], group % 2 != 0)) - minimum;
  }
};

template <>
struct Format<DType::q5_k> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at, s, m;
    const BlockQ5K& block = block_of<BlockQ5K, kQuantSuperBlock>(row, first, at);
    const int group = at / 32;
    k_scales(block.scales, group, s, m);
    const float scale = half_value(block.scale) * static_cast<float>(s);
    const float minimum = half_value(block.minimum) * static_cast<float>(m);
    const uint8_t *quants = block.quants + 32 * (group / 2) + at % 32, *high = block.high_bits + at % 32;
    for (int i = 0; i < kOctet; ++i) {
      const int value = nibble(quants[i], group % 2 != 0) | (high[i] >> group & 1) << 4;
      out[i] = scale * static_cast<float>(value) - minimum;
    }
  }
};

template <>
struct Format<DType::q6_k> {
  __device__ static void unpack(const std::byte* row, int64_t first, int, float (&out)[kOctet]) {
    int at;
    const BlockQ6K& block = block_of<BlockQ6K, kQuantSuperBlock>(row, first, at);
    const int half = at / 128, quarter = at % 128 / 32, place = at % 32;
    const float scale = half_value(block.scale) * static_cast<float>(block.scales[at / 16]);
    const uint8_t* low = block.low_bits + 64 * half + 32 * (quarter % 2) + place;
    const uint8_t* high = block.high_bits + 32 * half + place;
    for (int i = 0; i < kOctet; ++i) {
      const int value = nibble(low[i], quarter >= 2) | (high[i] >> (2 * quarter) & 3) << 4;
      out[i] = scale * static_cast<float>(value - 32);
    }
  }
};

// Calls visit(Format<type>()). All threads of a warp have the same type, so that this costs a
// jump.
template <class Visit>
__device__ void with_format(DType type, const Visit& visit) {
  switch (type) {
    case DType::f32:
      return visit(Format<DType::f32>());
    case DType::f16:
      return visit(Format<DType::f16>());
    case DType::bf16:
      return visit(Format<DType::bf16>());
    case DType::q8_0:
      return visit(Format<DType::q8_0>());
    case DType::q4_0:
      return visit(Format<DType::q4_0>());
    case DType::q4_1:
      return visit(Format<DType::q4_1>());
    case DType::q5_0:
      return visit(Format<DType::q5_0>());
    case DType::q5_1:
      return visit(Format<DType::q5_1>());
    case DType::q4_k:
      return visit(Format<DType::q4_k>());
    case DType::q5_k:
      return visit(Format<DType::q5_k>());
    default:
      return visit(Format<DType::q6_k>());
  }
}

}  // namespace glassbox::cuda
