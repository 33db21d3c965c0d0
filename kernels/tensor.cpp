#include "kernels/tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "kernels/large_pages.h"
#include "kernels/quant_formats.h"

namespace glassbox {

namespace {

constexpr size_t kBufferAlignment = 64;  // a cache line, and the widest vector register
constexpr size_t kLargeBuffer = size_t{8} << 20;

constexpr std::array<DTypeInfo, kDTypeCount> kDTypes{{
    {"f32", 1, 4},
    {"f16", 1, 2},
    {"bf16", 1, 2},
    {"q8_0", kQuantBlock, sizeof(BlockQ8_0)},
    {"q4_0", kQuantBlock, sizeof(BlockQ4_0)},
    {"q4_1", kQuantBlock, sizeof(BlockQ4_1)},
    {"q5_0", kQuantBlock, sizeof(BlockQ5_0)},
    {"q5_1", kQuantBlock, sizeof(BlockQ5_1)},
    {"q4_k", kQuantSuperBlock, sizeof(BlockQ4K)},
    {"q5_k", kQuantSuperBlock, sizeof(BlockQ5K)},
    {"q6_k", kQuantSuperBlock, sizeof(BlockQ6K)},
}};

// Each dequantise_block writes the values of one block in order: 32 of the plain formats, 256 of the K formats.

void dequantise_block(const BlockQ8_0& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (int i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(block.quants[i]);
}

void dequantise_block(const BlockQ4_0& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>((block.quants[i] & 15) - 8);
    out[i + 16] = scale * static_cast<float>((block.quants[i] >> 4) - 8);
  }
}

void dequantise_block(const BlockQ4_1& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const float minimum = f16_to_f32(block.minimum);
  for (int i = 0; i < 16; ++i) {
    out[i] = scale * static_cast<float>(block.quants[i] & 15) + minimum;
    out[i + 16] = scale * static_cast<float>(block.quants[i] >> 4) + minimum;
  }
}

uint32_t high_bits_word(const uint8_t bytes[4]) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

void dequantise_block(const BlockQ5_0& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const uint32_t high = high_bits_word(block.high_bits);
  for (int i = 0; i < 16; ++i) {
    const int low_value = (block.quants[i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int high_value = (block.quants[i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = scale * static_cast<float>(low_value - 16);
    out[i + 16] = scale * static_cast<float>(high_value - 16);
  }
}

void dequantise_block(const BlockQ5_1& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const float minimum = f16_to_f32(block.minimum);
  const uint32_t high = high_bits_word(block.high_bits);
  for (int i = 0; i < 16; ++i) {
    const int low_value = (block.quants[i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int high_value = (block.quants[i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[i] = scale * static_cast<float>(low_value) + minimum;
    out[i + 16] = scale * static_cast<float>(high_value) + minimum;
  }
}

void dequantise_block(const BlockQ4K& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const float minimum = f16_to_f32(block.minimum);
  uint8_t scales[8], minima[8];
  unpack_k_scales(block.scales, scales, minima);
  for (int g = 0; g < 8; ++g) {
    const float group_scale = scale * static_cast<float>(scales[g]);
    const float group_minimum = minimum * static_cast<float>(minima[g]);
    const int shift = (g & 1) * 4;
    const uint8_t* quants = block.quants + 32 * (g / 2);
    for (int i = 0; i < 32; ++i) {
      out[32 * g + i] = group_scale * static_cast<float>(quants[i] >> shift & 15) - group_minimum;
    }
  }
}

void dequantise_block(const BlockQ5K& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  const float minimum = f16_to_f32(block.minimum);
  uint8_t scales[8], minima[8];
  unpack_k_scales(block.scales, scales, minima);
  for (int g = 0; g < 8; ++g) {
    const float group_scale = scale * static_cast<float>(scales[g]);
    const float group_minimum = minimum * static_cast<float>(minima[g]);
    const int shift = (g & 1) * 4;
    const uint8_t* quants = block.quants + 32 * (g / 2);
    for (int i = 0; i < 32; ++i) {
      const int value = (quants[i] >> shift & 15) | (block.high_bits[i] >> g & 1) << 4;
      out[32 * g + i] = group_scale * static_cast<float>(value) - group_minimum;
    }
  }
}

void dequantise_block(const BlockQ6K& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = block.low_bits + 64 * half;
    const uint8_t* high = block.high_bits + 32 * half;
    for (int k = 0; k < 4; ++k) {
      const int shift = (k / 2) * 4;
      for (int i = 0; i < 32; ++i) {
        const int place = 128 * half + 32 * k + i;
        const int value = (low[32 * (k & 1) + i] >> shift & 15) | (high[i] >> (2 * k) & 3) << 4;
        out[place] = scale * static_cast<float>(block.scales[place / 16]) * static_cast<float>(value - 32);
      }
    }
  }
}

template <class Block, int kValues>
void dequantise_blocks(const std::byte* row, int64_t first, int64_t count, float* out) {
  const std::byte* at = row + first / kValues * static_cast<int64_t>(sizeof(Block));
  for (; count > 0; count -= kValues, at += sizeof(Block), out += kValues) {
    Block block;  // a copy: a mapped file promises no alignment beyond the one its header states
    std::memcpy(&block, at, sizeof block);
    if (count >= kValues) {
      dequantise_block(block, out);
    } else {
      float values[kValues];
      dequantise_block(block, values);
      std::copy_n(values, count, out);
    }
  }
}

template <class Convert>
void convert_halves(const std::byte* row, int64_t first, int64_t count, float* out, Convert convert) {
  const std::byte* at = row + first * 2;
  for (int64_t i = 0; i < count; ++i, at += 2) {
    uint16_t bits;
    std::memcpy(&bits, at, sizeof bits);
    out[i] = convert(bits);
  }
}

}  // namespace

const DTypeInfo& dtype_info(DType type) {
  return kDTypes[static_cast<size_t>(type)];
}

int64_t row_bytes(DType type, int64_t columns) {
  const DTypeInfo& info = dtype_info(type);
  return columns / info.block_size * info.block_bytes;
}

Tensor make_tensor(void* data, DType type, std::initializer_list<int64_t> shape) {
  Tensor tensor;
  tensor.data = data;
  tensor.dtype = type;
  for (const int64_t n : shape) tensor.shape[static_cast<size_t>(tensor.rank++)] = n;
  tensor.row_bytes = row_bytes(type, tensor.columns());
  return tensor;
}

void dequantise_row(DType type, const std::byte* row, int64_t first, int64_t count, float* out) {
  switch (type) {
    case DType::f32:
      std::memcpy(out, row + first * 4, static_cast<size_t>(count) * 4);
      return;
    case DType::f16:
      return convert_halves(row, first, count, out, f16_to_f32);
    case DType::bf16:
      return convert_halves(row, first, count, out, bf16_to_f32);
    case DType::q8_0:
      return dequantise_blocks<BlockQ8_0, kQuantBlock>(row, first, count, out);
    case DType::q4_0:
      return dequantise_blocks<BlockQ4_0, kQuantBlock>(row, first, count, out);
    case DType::q4_1:
      return dequantise_blocks<BlockQ4_1, kQuantBlock>(row, first, count, out);
    case DType::q5_0:
      return dequantise_blocks<BlockQ5_0, kQuantBlock>(row, first, count, out);
    case DType::q5_1:
      return dequantise_blocks<BlockQ5_1, kQuantBlock>(row, first, count, out);
    case DType::q4_k:
      return dequantise_blocks<BlockQ4K, kQuantSuperBlock>(row, first, count, out);
    case DType::q5_k:
      return dequantise_blocks<BlockQ5K, kQuantSuperBlock>(row, first, count, out);
    case DType::q6_k:
      return dequantise_blocks<BlockQ6K, kQuantSuperBlock>(row, first, count, out);
  }
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  // Seen as a float's bits, exponent and fraction shifted up stand for the value times 2^−112: a multiplication moves
  // the bias from 15 to 127 and normalises subnormal numbers on its way, exactly.
  const float value = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t special =
      magnitude >= 0x7c00u ? (0x7f800000u | (magnitude & 0x3ffu) << 13) : std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>(sign | special);
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));  // NaN, kept quiet
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;                          // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Below 2^−14 halves lie 2^−24 apart, as floats do just above 0.5: adding 0.5 rounds to that grid, to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  // Drop 13 bits of the fraction: adding just under a half, and the last kept bit, rounds ties to even. The carry may
  // run into the exponent, which is then right too.
  const uint32_t rounded = magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  // At least one byte, so that an empty buffer has a pointer of its own too.
  void* data = ::operator new[](std::max<size_t>(bytes, 1), std::align_val_t{kBufferAlignment});
  data_ = {static_cast<std::byte*>(data),
           {[](std::byte* p) { ::operator delete[](p, std::align_val_t{kBufferAlignment}); }}};
  if (bytes >= kLargeBuffer) ask_for_large_pages(data_.get(), bytes);
}

}  // namespace glassbox
