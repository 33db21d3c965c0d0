// Weights 32 at a time, out of shared memory, for the fused kernels. A unit is a block of a plain quantised format, an
// eighth of a K format's block, or 32 plain values. The plain quantised formats have readers of their own here: a
// block's bytes are read once, as words, and numbers are put together from bits, because an instruction that converts
// an integer takes several times as long as one that moves bytes. The others are unpacked as formats.h does it.
//
// A unit's value i is factor · v_i, with v as octet() gives it.
#pragma once

#include <cstdint>

#include "kernels/cuda/formats.h"

namespace glassbox::cuda {

inline constexpr int kUnit = 32;

// Words from an address that is a multiple of four, or of two. Not a byte after them is read.
template <int kWords>
__device__ void load_words(const std::byte* from, uint32_t (&out)[kWords]) {
  for (int i = 0; i < kWords; ++i) out[i] = reinterpret_cast<const uint32_t*>(from)[i];
}
template <int kWords>
__device__ void load_even_words(const std::byte* from, uint32_t (&out)[kWords]) {
  const auto odd = static_cast<unsigned>(reinterpret_cast<uintptr_t>(from) & 2);
  const auto* words = reinterpret_cast<const uint32_t*>(from - odd);
  const uint32_t last = odd != 0 ? *reinterpret_cast<const uint16_t*>(words + kWords) : 0;
  uint32_t low = words[0];
  for (int i = 0; i < kWords; ++i) {
    const uint32_t high = i + 1 < kWords ? words[i + 1] : last;
    out[i] = __funnelshift_r(low, high, 8 * odd);
    low = high;
  }
}

// 1 + (byte i of `bytes` without its highest bit, which is set) / 128: the byte takes the place of the mantissa's
// highest bits.
__device__ inline float from_mantissa(uint32_t bytes, int i) {
  return __uint_as_float(__byte_perm(bytes, 0x3f000000u, 0x7044u | static_cast<unsigned>(i) << 8));
}

// The words of four nibbles of an octet, as the mantissas' bytes: q/16 for 4 bits, q/32 for 5.
struct Nibbles {
  uint32_t words[4];  // 16 bytes: value i in the low nibble of byte i, value i + 16 in the high one
  __device__ uint32_t four_bits(int octet, int half) const {
    const uint32_t word = words[octet % 2 * 2 + half];
    return ((octet >= 2 ? word >> 1 : word << 3) & 0x78787878u) | 0x80808080u;
  }
  __device__ uint32_t five_bits(int octet, int half, uint32_t high_bits) const {
    const uint32_t word = words[octet % 2 * 2 + half];
    // One bit of four each to a byte of its own.
    const uint32_t high = (high_bits >> (8 * octet + 4 * half) & 15u) * 0x00204081u & 0x01010101u;
    return ((octet >= 2 ? word >> 2 : word << 2) & 0x3c3c3c3cu) | high << 6 | 0x80808080u;
  }
};

template <DType kType>
struct Unit;  // explicit Unit(const std::byte* block); octet(which, values); factor

template <>
struct Unit<DType::q8_0> {
  __device__ explicit Unit(const std::byte* block)
      : factor(half_value(reinterpret_cast<const BlockQ8_0*>(block)->scale)) {
    load_even_words(block + 2, words);
  }
  __device__ void octet(int which, float (&out)[kOctet]) const {
    for (int i = 0; i < kOctet; ++i) {
      // 2²³ + q + 128, whose lowest byte is q + 128.
      const uint32_t bytes = words[2 * which + i / 4] ^ 0x80808080u;
      out[i] = __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7440u | static_cast<unsigned>(i % 4))) - 8388736.0f;
    }
  }
  float factor;
  uint32_t words[8];
};

template <>
struct Unit<DType::q4_0> {
  __device__ explicit Unit(const std::byte* block)
      : factor(16 * half_value(reinterpret_cast<const BlockQ4_0*>(block)->scale)) {
    load_even_words(block + 2, nibbles.words);
  }
  __device__ void octet(int which, float (&out)[kOctet]) const {
    for (int i = 0; i < kOctet; ++i) out[i] = from_mantissa(nibbles.four_bits(which, i / 4), i % 4) - 1.5f;
  }
  float factor;
  Nibbles nibbles;
};

template <>
struct Unit<DType::q4_1> {
  __device__ explicit Unit(const std::byte* block) {
    uint32_t words[5];
    load_words(block, words);
    scale = 16 * half_value(static_cast<uint16_t>(words[0]));
    offset = half_value(static_cast<uint16_t>(words[0] >> 16)) - scale;
    for (int i = 0; i < 4; ++i) nibbles.words[i] = words[i + 1];
  }
  __device__ void octet(int which, float (&out)[kOctet]) const {
    for (int i = 0; i < kOctet; ++i) {
      out[i] = fmaf(from_mantissa(nibbles.four_bits(which, i / 4), i % 4), scale, offset);
    }
  }
  static constexpr float factor = 1.0f;
  float scale, offset;
  Nibbles nibbles;
};

template <>
struct Unit<DType::q5_0> {
  __device__ explicit Unit(const std::byte* block)
      : factor(32 * half_value(reinterpret_cast<const BlockQ5_0*>(block)->scale)) {
    uint32_t words[5];
    load_even_words(block + 2, words);
    high_bits = words[0];
    for (int i = 0; i < 4; ++i) nibbles.words[i] = words[i + 1];
  }
  __device__ void octet(int which, float (&out)[kOctet]) const {
    for (int i = 0; i < kOctet; ++i) {
      out[i] = from_mantissa(nibbles.five_bits(which, i / 4, high_bits), i % 4) - 1.5f;
    }
  }
  float factor;
  uint32_t high_bits;
  Nibbles nibbles;
};

template <>
struct Unit<DType::q5_1> {
  __device__ explicit Unit(const std::byte* block) {
    uint32_t words[6];
    load_words(block, words);
    scale = 32 * half_value(static_cast<uint16_t>(words[0]));
    offset = half_value(static_cast<uint16_t>(words[0] >> 16)) - scale;
    high_bits = words[1];
    for (int i = 0; i < 4; ++i) nibbles.words[i] = words[i + 2];
  }
  __device__ void octet(int which, float (&out)[kOctet]) const {
    for (int i = 0; i < kOctet; ++i) {
      out[i] = fmaf(from_mantissa(nibbles.five_bits(which, i / 4, high_bits), i % 4), scale, offset);
    }
  }
  static constexpr float factor = 1.0f;
  float scale, offset;
  uint32_t high_bits;
  Nibbles nibbles;
};

// A unit of any other format.
struct OtherUnit {
  __device__ void octet(int which, float (&out)[kOctet]) const {
    const int64_t at = first + which * kOctet;
    const int left = count - which * kOctet, there = left < 0 ? 0 : left < kOctet ? left : kOctet;
    switch (type) {
      case DType::f32:
        return Format<DType::f32>::unpack(row, at, there, out);
      case DType::f16:
        return Format<DType::f16>::unpack(row, at, there, out);
      case DType::bf16:
        return Format<DType::bf16>::unpack(row, at, there, out);
      case DType::q4_k:
        return Format<DType::q4_k>::unpack(row, at, there, out);
      case DType::q5_k:
        return Format<DType::q5_k>::unpack(row, at, there, out);
      default:
        return Format<DType::q6_k>::unpack(row, at, there, out);
    }
  }
  static constexpr float factor = 1.0f;
  DType type;
  const std::byte* row;
  int64_t first;
  int count;  // values that there are
};

// Calls visit(unit) with unit `u` of a row that begins at `row` and has `columns` values.
template <class Visit>
__device__ void with_unit(DType type, const std::byte* row, int u, int columns, const Visit& visit) {
  switch (type) {
    case DType::q8_0:
      return visit(Unit<DType::q8_0>(row + u * sizeof(BlockQ8_0)));
    case DType::q4_0:
      return visit(Unit<DType::q4_0>(row + u * sizeof(BlockQ4_0)));
    case DType::q4_1:
      return visit(Unit<DType::q4_1>(row + u * sizeof(BlockQ4_1)));
    case DType::q5_0:
      return visit(Unit<DType::q5_0>(row + u * sizeof(BlockQ5_0)));
    case DType::q5_1:
      return visit(Unit<DType::q5_1>(row + u * sizeof(BlockQ5_1)));
    default:
      return visit(OtherUnit{type, row, int64_t{u} * kUnit, columns - u * kUnit});
  }
}

}  // namespace glassbox::cuda
