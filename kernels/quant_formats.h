// The blocks in which quantised weights lie in a file, byte for byte. The formats are ggml's (ggml/src/ggml-common.h
// defines them); files are little-endian, and so is every machine that this program runs on.
//
// Scales are IEEE half floats, kept as their bits: f16_to_f32() in tensor.h reads them. "value i" is the i-th value of
// the block in the order of the row. A struct's alignment is at most 2, so that a block may start at any even address.
#pragma once

#include <cstdint>

namespace glassbox {

inline constexpr int kQuantBlock = 32;        // values in a block of the plain formats
inline constexpr int kQuantSuperBlock = 256;  // values in a block of the K formats, which have smaller groups inside
inline constexpr int kQuantKScaleBytes = 12;  // eight 6-bit scales and eight 6-bit minima, packed

// value i = scale · quants[i]
struct BlockQ8_0 {
  uint16_t scale;
  int8_t quants[32];
};

// In the 4- and 5-bit formats byte i of `quants` holds the low four bits of value i (low nibble) and of value i + 16
// (high nibble).

// value i = scale · (q_i − 8)
struct BlockQ4_0 {
  uint16_t scale;
  uint8_t quants[16];
};

// value i = scale · q_i + minimum
struct BlockQ4_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t quants[16];
};

// value i = scale · (q_i − 16); the fifth bit of q_i is bit i of the little-endian word in `high_bits`.
struct BlockQ5_0 {
  uint16_t scale;
  uint8_t high_bits[4];
  uint8_t quants[16];
};

// value i = scale · q_i + minimum; high bits as in Q5_0.
struct BlockQ5_1 {
  uint16_t scale;
  uint16_t minimum;
  uint8_t high_bits[4];
  uint8_t quants[16];
};

// Eight groups of 32 values: value = (scale · s_g) · q − (minimum · m_g), with the 6-bit integers s_g and m_g of
// unpack_k_scales(). Groups 2j and 2j + 1 share the 32 bytes at quants[32·j]: low nibbles, then high nibbles.
struct BlockQ4K {
  uint16_t scale;
  uint16_t minimum;
  uint8_t scales[kQuantKScaleBytes];
  uint8_t quants[128];
};

// As Q4_K, with a fifth bit: bit g of high_bits[i] belongs to value i of group g.
struct BlockQ5K {
  uint16_t scale;
  uint16_t minimum;
  uint8_t scales[kQuantKScaleBytes];
  uint8_t high_bits[32];
  uint8_t quants[128];
};

// Sixteen groups of 16 values: value = (scale · scales[g]) · (q − 32) with 6-bit q. The block has two halves of 128
// values; in half h, value i of quarter k (k = 0…3, i = 0…31, so its place in the block is 128·h + 32·k + i) takes
//   its low four bits from low_bits[64·h + 32·(k mod 2) + i], the low nibble for k < 2 and the high one for k ≥ 2,
//   its high two bits from bits 2k, 2k + 1 of high_bits[32·h + i].
struct BlockQ6K {
  uint8_t low_bits[128];
  uint8_t high_bits[64];
  int8_t scales[16];
  uint16_t scale;
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ4K) == 144 && sizeof(BlockQ5K) == 176 && sizeof(BlockQ6K) == 210);

// The eight scales and eight minima (0…63) out of the twelve bytes of Q4_K and Q5_K. Groups 0…3 have theirs in the low
// six bits of bytes 0…3 (scales) and 4…7 (minima). Groups 4…7 have their low four bits in bytes 8…11 (scales in the low
// nibble, minima in the high one) and their high two bits in the two bits that bytes 0…7 have left.
inline void unpack_k_scales(const uint8_t packed[kQuantKScaleBytes], uint8_t scales[8], uint8_t minima[8]) {
  for (int g = 0; g < 4; ++g) {
    scales[g] = packed[g] & 63;
    minima[g] = packed[g + 4] & 63;
    scales[g + 4] = static_cast<uint8_t>((packed[g + 8] & 15) | ((packed[g] >> 6) << 4));
    minima[g + 4] = static_cast<uint8_t>((packed[g + 8] >> 4) | ((packed[g + 4] >> 6) << 4));
  }
}

}  // namespace glassbox
