// The quantised formats as the kernels see them: blocks of 32 unsigned quants u with
//   value = scale·(u − kBias) + minimum.
// kHasMinimum: the format has a minimum, else it is 0. kHalves: the two halves of a block of 32 have a scale each.
// Each format gives the quants of one block, and the scales and minima of a whole row; quant_formats.h describes the
// bytes. The exact kernels read them; the fast ones have packed weights (packed_weight.h).
#pragma once

#include <stdint.h>
#include <string.h>

#include "kernels/quant_formats.h"

namespace glassbox::cpu {

template <int bias, bool has_minimum, bool halves>
struct QuantTraits {
  static constexpr int kBias = bias;
  static constexpr bool kHasMinimum = has_minimum;
  static constexpr bool kHalves = halves;
};

// Where the scales of one row go. second_scale is that of the second half of a block, for formats with kHalves.
struct RowScales {
  float* scale;         // [K / 32]
  float* second_scale;  // [K / 32]
  float* minimum;       // [K / 32]
};

// The half floats at the start of each block of a row: a scale, or a scale and a minimum.
template <class S, class Row>
struct LeadingHalves {
  static void scales(const Row* row, int64_t blocks, RowScales out) {
    int64_t b = 0;
    for (; b + 4 <= blocks; b += 4) {
      if constexpr (requires { row->minimum; }) {
        S::four_pairs(row + b, sizeof(Row), out.scale + b, out.minimum + b);
      } else {
        S::four_halves(row + b, sizeof(Row), out.scale + b);
      }
    }
    for (; b < blocks; ++b) {
      out.scale[b] = S::f16(row[b].scale);
      if constexpr (requires { row->minimum; }) out.minimum[b] = S::f16(row[b].minimum);
    }
  }
};

template <class S>
struct Q8_0Format : LeadingHalves<S, BlockQ8_0> {
  using Traits = QuantTraits<128, false, false>;
  using Row = BlockQ8_0;
  static auto block(const Row* row, int64_t b) { return S::flip_sign(S::load_block(row[b].quants)); }
};

template <class S>
struct Q4_0Format : LeadingHalves<S, BlockQ4_0> {
  using Traits = QuantTraits<8, false, false>;
  using Row = BlockQ4_0;
  static auto block(const Row* row, int64_t b) { return S::nibbles(row[b].quants); }
};

template <class S>
struct Q4_1Format : LeadingHalves<S, BlockQ4_1> {
  using Traits = QuantTraits<0, true, false>;
  using Row = BlockQ4_1;
  static auto block(const Row* row, int64_t b) { return S::nibbles(row[b].quants); }
};

template <class S>
struct Q5_0Format : LeadingHalves<S, BlockQ5_0> {
  using Traits = QuantTraits<16, false, false>;
  using Row = BlockQ5_0;
  static auto block(const Row* row, int64_t b) {
    return S::merge(S::nibbles(row[b].quants), S::bit_flags(row[b].high_bits));
  }
};

template <class S>
struct Q5_1Format : LeadingHalves<S, BlockQ5_1> {
  using Traits = QuantTraits<0, true, false>;
  using Row = BlockQ5_1;
  static auto block(const Row* row, int64_t b) {
    return S::merge(S::nibbles(row[b].quants), S::bit_flags(row[b].high_bits));
  }
};

// The K formats have blocks of 256, which are eight of ours. Their scales are small integers times the block's own.
template <class S, class Super>
struct SuperScales {
  static void scales(const Super* row, int64_t blocks, RowScales out) {
    for (int64_t b = 0; b < blocks; b += 8) {
      const Super& super = row[b / 8];
      const float scale = S::f16(super.scale), minimum = S::f16(super.minimum);
      for (int g = 0; g < 8; ++g) {
        const uint8_t* p = super.scales + g % 4;
        const int s = g < 4 ? p[0] & 63 : (p[8] & 15) | ((p[0] >> 6) << 4);
        const int m = g < 4 ? p[4] & 63 : (p[8] >> 4) | ((p[4] >> 6) << 4);
        out.scale[b + g] = scale * static_cast<float>(s);
        out.minimum[b + g] = -(minimum * static_cast<float>(m));
      }
    }
  }
};

template <class S>
struct Q4KFormat : SuperScales<S, BlockQ4K> {
  using Traits = QuantTraits<0, true, false>;
  using Row = BlockQ4K;
  static auto block(const Row* row, int64_t b) {
    const int g = static_cast<int>(b % 8);
    return S::field(S::load_block(row[b / 8].quants + 32 * (g / 2)), 4 * (g % 2), 15);
  }
};

template <class S>
struct Q5KFormat : SuperScales<S, BlockQ5K> {
  using Traits = QuantTraits<0, true, false>;
  using Row = BlockQ5K;
  static auto block(const Row* row, int64_t b) {
    const int g = static_cast<int>(b % 8);
    const auto low = S::field(S::load_block(row[b / 8].quants + 32 * (g / 2)), 4 * (g % 2), 15);
    return S::merge(low, S::times16(S::field(S::load_block(row[b / 8].high_bits), g, 1)));
  }
};

template <class S>
struct Q6KFormat {
  using Traits = QuantTraits<32, false, true>;
  using Row = BlockQ6K;
  static auto block(const Row* row, int64_t b) {
    const int g = static_cast<int>(b % 8), half = g / 4, quarter = g % 4;
    const auto low = S::load_block(row[b / 8].low_bits + 64 * half + 32 * (quarter % 2));
    const auto high = S::load_block(row[b / 8].high_bits + 32 * half);
    return S::merge(S::field(low, 4 * (quarter / 2), 15), S::times16(S::field(high, 2 * quarter, 3)));
  }
  static void scales(const Row* row, int64_t blocks, RowScales out) {
    for (int64_t b = 0; b < blocks; ++b) {
      const BlockQ6K& super = row[b / 8];
      const float scale = S::f16(super.scale);
      out.scale[b] = scale * static_cast<float>(super.scales[2 * (b % 8)]);
      out.second_scale[b] = scale * static_cast<float>(super.scales[2 * (b % 8) + 1]);
    }
  }
};

}  // namespace glassbox::cpu
