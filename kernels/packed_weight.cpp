#include "kernels/packed_weight.h"

#include <algorithm>
#include <cstring>

#include "kernels/quant_formats.h"

namespace glassbox {
namespace {

// One row's part of a block: its quants as the block wants them, and its factors.
struct RowBlock {
  uint32_t low[8];        // 4 to 6 bits: words 0 … 3, nibbles as in a block; 8 bits: all eight
  uint32_t high[2] = {};  // bit k: the fifth and the sixth bit of column k
  uint16_t half_scale = 0, half_minimum = 0;
  float scale[2] = {}, minimum = 0;
};

// The 4- and 5-bit formats have their nibbles in the very order of a block.
template <class Block>
RowBlock read_nibbles(const Block& block) {
  RowBlock out;
  std::memcpy(out.low, block.quants, sizeof block.quants);
  out.half_scale = block.scale;
  if constexpr (requires { block.minimum; }) out.half_minimum = block.minimum;
  if constexpr (requires { block.high_bits; }) std::memcpy(out.high, block.high_bits, sizeof block.high_bits);
  return out;
}

// From 32 quants of up to 6 bits.
void set_quants(const uint8_t (&quants)[32], RowBlock& out) {
  uint8_t nibbles[16];
  for (int i = 0; i < 16; ++i) nibbles[i] = static_cast<uint8_t>((quants[i] & 15) | (quants[i + 16] & 15) << 4);
  std::memcpy(out.low, nibbles, sizeof nibbles);
  for (int i = 0; i < 32; ++i) {
    out.high[0] |= static_cast<uint32_t>(quants[i] >> 4 & 1) << i;
    out.high[1] |= static_cast<uint32_t>(quants[i] >> 5 & 1) << i;
  }
}

template <class Super>
void set_k_factors(const Super& super, int g, RowBlock& out) {
  uint8_t scales[8], minima[8];
  unpack_k_scales(super.scales, scales, minima);
  out.scale[0] = f16_to_f32(super.scale) * static_cast<float>(scales[g]);
  out.minimum = -(f16_to_f32(super.minimum) * static_cast<float>(minima[g]));
}

// Block b of 32 columns.
template <DType type>
RowBlock read_block(const std::byte* row, int64_t b) {
  const auto load = [&]<class Block>(Block block, int64_t index) {
    std::memcpy(&block, row + index * static_cast<int64_t>(sizeof block), sizeof block);  // maybe not aligned
    return block;
  };
  if constexpr (type == DType::q4_0) return read_nibbles(load(BlockQ4_0{}, b));
  if constexpr (type == DType::q4_1) return read_nibbles(load(BlockQ4_1{}, b));
  if constexpr (type == DType::q5_0) return read_nibbles(load(BlockQ5_0{}, b));
  if constexpr (type == DType::q5_1) return read_nibbles(load(BlockQ5_1{}, b));
  RowBlock out;
  if constexpr (type == DType::q8_0) {
    const BlockQ8_0 block = load(BlockQ8_0{}, b);
    std::memcpy(out.low, block.quants, sizeof block.quants);
    for (uint32_t& word : out.low) word ^= 0x80808080u;  // signed to unsigned with a bias of 128
    out.half_scale = block.scale;
    return out;
  }
  uint8_t quants[32];
  const int g = static_cast<int>(b % 8);
  if constexpr (type == DType::q4_k) {
    const BlockQ4K super = load(BlockQ4K{}, b / 8);
    for (int i = 0; i < 32; ++i) quants[i] = super.quants[32 * (g / 2) + i] >> 4 * (g % 2) & 15;
    set_k_factors(super, g, out);
  }
  if constexpr (type == DType::q5_k) {
    const BlockQ5K super = load(BlockQ5K{}, b / 8);
    for (int i = 0; i < 32; ++i) {
      const int low = super.quants[32 * (g / 2) + i] >> 4 * (g % 2) & 15;
      quants[i] = static_cast<uint8_t>(low | (super.high_bits[i] >> g & 1) << 4);
    }
    set_k_factors(super, g, out);
  }
  if constexpr (type == DType::q6_k) {
    const BlockQ6K super = load(BlockQ6K{}, b / 8);
    const int half = g / 4, quarter = g % 4;
    for (int i = 0; i < 32; ++i) {
      const int low = super.low_bits[64 * half + 32 * (quarter % 2) + i] >> 4 * (quarter / 2) & 15;
      quants[i] = static_cast<uint8_t>(low | (super.high_bits[32 * half + i] >> 2 * quarter & 3) << 4);
    }
    const float scale = f16_to_f32(super.scale);
    for (int h = 0; h < 2; ++h) out.scale[h] = scale * static_cast<float>(super.scales[2 * g + h]);
  }
  set_quants(quants, out);
  return out;
}

// Row r of a stripe into its place among the quants at `to` and the factors.
template <DType type>
void place_row(const RowBlock& block, int r, std::byte* to, std::byte* factors) {
  constexpr PackedLayout kLayout = packed_layout(type);
  constexpr int kVectors = kLayout.bits == 8 ? 8 : 4;
  for (int v = 0; v < kVectors; ++v) std::memcpy(to + 64 * v + 4 * r, &block.low[v], sizeof(uint32_t));
  for (int plane = 0; plane < kLayout.bits - 4 && kLayout.bits != 8; ++plane) {
    std::byte* words = to + 256 + 64 * plane;
    for (int g = 0; g < 8; ++g) {
      uint64_t word;
      std::memcpy(&word, words + 8 * g, sizeof word);
      word |= static_cast<uint64_t>(block.high[plane] >> 4 * g & 15) << 4 * r;
      std::memcpy(words + 8 * g, &word, sizeof word);
    }
  }
  if constexpr (kLayout.half) {
    std::memcpy(factors + 2 * r, &block.half_scale, 2);
    if constexpr (kLayout.minimum) std::memcpy(factors + kLayout.factor_bytes() + 2 * r, &block.half_minimum, 2);
  } else {
    for (int i = 0; i < kLayout.scales; ++i) {
      std::memcpy(factors + i * kLayout.factor_bytes() + 4 * r, &block.scale[i], 4);
    }
    if constexpr (kLayout.minimum) std::memcpy(factors + kLayout.factor_bytes() + 4 * r, &block.minimum, 4);
  }
}

template <DType type>
int64_t stripe_bytes(int64_t columns) {
  return (columns / kQuantBlock * packed_layout(type).block_bytes() + 63) / 64 * 64;
}

template <DType type>
void pack(const Tensor& weight, std::byte* to) {
  constexpr int kQuantBytes = packed_layout(type).quant_bytes(), kBlockBytes = packed_layout(type).block_bytes();
  constexpr bool kWhole = packed_layout(type).bits == 4 || packed_layout(type).bits == 8;  // every byte gets written
  const int64_t rows = weight.rows(), blocks = weight.columns() / kQuantBlock;
  const int64_t bytes = stripe_bytes<type>(weight.columns());
  for (int64_t first = 0; first < rows; first += kStripeRows, to += bytes) {
    const int count = static_cast<int>(std::min<int64_t>(kStripeRows, rows - first));
    if (!kWhole || count < kStripeRows) std::memset(to, 0, static_cast<size_t>(bytes));
    for (int r = 0; r < count; ++r) {
      const std::byte* row = weight.row(first + r);
      for (int64_t b = 0; b < blocks; ++b) {
        std::byte* block = to + b * kBlockBytes;
        place_row<type>(read_block<type>(row, b), r, block, block + kQuantBytes);
      }
    }
  }
}

// Calls visit<type>() for a quantised type.
template <class Visit>
void for_type(DType type, const Visit& visit) {
  switch (type) {
    case DType::q8_0: return visit.template operator()<DType::q8_0>();
    case DType::q4_0: return visit.template operator()<DType::q4_0>();
    case DType::q4_1: return visit.template operator()<DType::q4_1>();
    case DType::q5_0: return visit.template operator()<DType::q5_0>();
    case DType::q5_1: return visit.template operator()<DType::q5_1>();
    case DType::q4_k: return visit.template operator()<DType::q4_k>();
    case DType::q5_k: return visit.template operator()<DType::q5_k>();
    case DType::q6_k: return visit.template operator()<DType::q6_k>();
    default: return;
  }
}

}  // namespace

int64_t packed_stripe_bytes(DType type, int64_t columns) {
  int64_t bytes = 0;
  for_type(type, [&]<DType kType>() { bytes = stripe_bytes<kType>(columns); });
  return bytes;
}

size_t packed_bytes(const Tensor& weight) {
  const int64_t stripes = (weight.rows() + kStripeRows - 1) / kStripeRows;
  return static_cast<size_t>(stripes * packed_stripe_bytes(weight.dtype, weight.columns()));
}

void pack_weight(const Tensor& weight, std::byte* to) {
  for_type(weight.dtype, [&]<DType kType>() { pack<kType>(weight, to); });
}

}  // namespace glassbox
