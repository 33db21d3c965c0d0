// Products of rows of x with weight rows, for one instruction set.
//
// Every output is one dot product with sums of its own, added up in an order that depends on K alone. The number of
// weight rows and rows of x that are worked on together (W × X) only says how often a loaded value is used again, so
// that a row gives the same bits alone and among others.
#pragma once

#include "kernels/cpu/formats.h"
#include "kernels/cpu/kernel_table.h"

namespace glassbox::cpu {

template <class S>
struct LinearKernels {
  using F = typename S::F;
  using I = typename S::I;
  using Bytes = typename S::Bytes;
  using Block = typename S::Block;
  static constexpr int kStep = S::kStepBlocks;
  static constexpr int kBytesStep = 32 * kStep;  // quants of one step, as they lie in scratch

  static void quantise_row(const float* x, int64_t row, int64_t columns, const QuantisedRows& out) {
    int8_t* values = out.values + row * out.value_stride;
    float* scales = out.scales + row * out.block_stride;
    float* sums = out.sums + row * out.block_stride;
    const int64_t blocks = columns / 32;
    for (int64_t b = 0; b < blocks; ++b) {
      const float* in = x + 32 * b;
      F largest = S::zero(), poison = S::zero();  // 0 · x: no number where x is none, so that it stays visible
      for (int i = 0; i < 32; i += S::kLanes) {
        const F v = S::load(in + i);
        largest = S::max(largest, S::abs(v));
        poison = S::fma(v, S::zero(), poison);
      }
      const float range = S::max_lane(largest) + S::sum(poison);
      const float inverse = range > 0.0f ? 127.0f / range : 0.0f;
      int8_t* place = values + (b / kStep) * kBytesStep + (b % kStep) * 16;
      const int sum = S::quantise16(in, inverse, place) + S::quantise16(in + 16, inverse, place + 16 * kStep);
      scales[b] = range / 127.0f;
      sums[b] = scales[b] * static_cast<float>(sum);
    }
    for (int64_t b = blocks; b < out.value_stride / 32; ++b) {
      int8_t* place = values + (b / kStep) * kBytesStep + (b % kStep) * 16;
      memset(place, 0, 16);
      memset(place + 16 * kStep, 0, 16);
    }
    for (int64_t b = blocks; b < out.block_stride; ++b) scales[b] = sums[b] = 0.0f;
  }

  // Quantised weights, quantised x.
  template <class Format>
  static void fast_tile(const LinearTile& t) {
    if (t.rows == 1) {
      fast_one_row<Format>(t);
    } else {
      fast_many_rows<Format>(t);
    }
  }

  // Quantised weights made fp32, or fp32 as they are.
  template <class Format>
  static void dequantised_tile(const LinearTile& t) {
    float* values = reinterpret_cast<float*>(t.scratch);
    const int64_t blocks = t.columns / 32;
    const RowScales scales = scales_after(values + t.weight_rows * t.columns, 0, padded_blocks(blocks));
    for (int64_t n = 0; n < t.weight_rows; ++n) {
      const auto* row = reinterpret_cast<const typename Format::Row*>(t.weight + n * t.row_bytes);
      Format::scales(row, blocks, scales);
      for (int64_t b = 0; b < blocks; ++b) dequantise_block<Format>(row, b, scales, values + n * t.columns + 32 * b);
    }
    const PlainSource<float, NoTag> source{values, t.columns};
    float_rows(source, t);
  }
  static void f32_tile(const LinearTile& t) {
    float_rows(PlainSource<float, NoTag>{reinterpret_cast<const float*>(t.weight), t.row_bytes / 4}, t);
  }
  template <class Tag>
  static void half_tile(const LinearTile& t) {
    const auto* words = reinterpret_cast<const uint16_t*>(t.weight);
    const PlainSource<uint16_t, Tag> source{words, t.row_bytes / 2};
    if (t.rows < kWorthWidening) return float_rows(source, t);
    float* values = reinterpret_cast<float*>(t.scratch);
    for (int64_t n = 0; n < t.weight_rows; ++n) {
      float* out = values + n * t.columns;
      int64_t k = 0;
      for (; k + S::kLanes <= t.columns; k += S::kLanes) S::store(out + k, source.load(n, k));
      const int rest = static_cast<int>(t.columns - k);
      if (rest > 0) S::store_partial(out + k, rest, source.load_partial(n, k, rest));
    }
    float_rows(PlainSource<float, NoTag>{values, t.columns}, t);
  }

 private:
  // From this many rows of x on, 16-bit weights are widened once instead of in every product.
  static constexpr int kWorthWidening = 2 * S::kTileRows;

  static int64_t padded_blocks(int64_t blocks) { return (blocks + kPadBlocks - 1) / kPadBlocks * kPadBlocks; }
  static int64_t padded_columns(int64_t columns) { return (columns + kPadColumns - 1) / kPadColumns * kPadColumns; }
  static RowScales scales_after(float* base, int64_t row, int64_t padded) {
    float* p = base + 3 * padded * row;
    return {p, p + padded, p + 2 * padded};
  }
  static void clear_padding(RowScales s, int64_t blocks, int64_t padded) {
    for (int64_t b = blocks; b < padded; ++b) s.scale[b] = s.second_scale[b] = s.minimum[b] = 0.0f;
  }

  // ---- fast

  // Quants out of the file's blocks, straight into registers.
  template <class Format>
  struct PackedSource {
    const std::byte* weight;
    int64_t row_bytes;
    void load(int64_t n, int64_t step, int count, Bytes& first, Bytes& second) const {
      const auto* row = reinterpret_cast<const typename Format::Row*>(weight + n * row_bytes);
      if constexpr (requires { &Format::step; }) {
        if (count == kStep) return Format::step(row, step * kStep, first, second);
      }
      Block block[kStep];
      for (int i = 0; i < kStep; ++i) block[i] = i < count ? Format::block(row, step * kStep + i) : S::block_zero();
      S::join(block, first, second);
    }
  };
  // Quants that were unpacked into scratch.
  struct UnpackedSource {
    const uint8_t* quants;
    int64_t row_bytes;
    void load(int64_t n, int64_t step, int, Bytes& first, Bytes& second) const {
      const uint8_t* p = quants + n * row_bytes + step * kBytesStep;
      first = S::load_bytes(p);
      second = S::load_bytes(p + kBytesStep / 2);
    }
  };

  template <class Format>
  static void fast_one_row(const LinearTile& t) {
    const int64_t blocks = t.columns / 32, padded = padded_blocks(blocks);
    float* base = reinterpret_cast<float*>(t.scratch);
    for (int i = 0; i < S::kTileWeights; ++i) clear_padding(scales_after(base, i, padded), blocks, padded);
    const PackedSource<Format> source{t.weight, t.row_bytes};
    const auto rows = [&]<int W>(int64_t n) {
      for (int i = 0; i < W; ++i) {
        const auto* row = reinterpret_cast<const typename Format::Row*>(t.weight + (n + i) * t.row_bytes);
        Format::scales(row, blocks, scales_after(base, i, padded));
      }
      fast_products<typename Format::Traits, W, 1>(source, n, base, t, 0);
    };
    int64_t n = 0;
    for (; n + S::kTileWeights <= t.weight_rows; n += S::kTileWeights) rows.template operator()<S::kTileWeights>(n);
    for (; n < t.weight_rows; ++n) rows.template operator()<1>(n);
  }

  template <class Format>
  static void fast_many_rows(const LinearTile& t) {
    const int64_t blocks = t.columns / 32, padded = padded_blocks(blocks);
    const UnpackedSource source{reinterpret_cast<const uint8_t*>(t.scratch), padded_columns(t.columns)};
    const PackedSource<Format> packed{t.weight, t.row_bytes};
    uint8_t* quants = reinterpret_cast<uint8_t*>(t.scratch);
    float* base = reinterpret_cast<float*>(t.scratch + t.weight_rows * source.row_bytes);
    for (int64_t n = 0; n < t.weight_rows; ++n) {
      const RowScales scales = scales_after(base, n, padded);
      clear_padding(scales, blocks, padded);
      Format::scales(reinterpret_cast<const typename Format::Row*>(t.weight + n * t.row_bytes), blocks, scales);
      for (int64_t step = 0; step * kStep < blocks; ++step) {
        const int64_t rest = blocks - step * kStep;
        uint8_t* p = quants + n * source.row_bytes + step * kBytesStep;
        Bytes first, second;
        packed.load(n, step, rest < kStep ? static_cast<int>(rest) : kStep, first, second);
        S::store_bytes(p, first);
        S::store_bytes(p + kBytesStep / 2, second);
      }
    }
    using Traits = typename Format::Traits;
    tile_rows(t, [&]<int W, int X>(int64_t n, int64_t r) {
      fast_products<Traits, W, X>(source, n, base + 3 * padded * n, t, r);
    });
  }

  // Calls product<W, X>(n, r) for all of the tile, in the largest pieces that fit.
  template <class Product>
  static void tile_rows(const LinearTile& t, Product product) {
    const auto weights = [&]<int X>(int64_t r) {
      int64_t n = 0;
      for (; n + S::kTileWeights <= t.weight_rows; n += S::kTileWeights) {
        product.template operator()<S::kTileWeights, X>(n, r);
      }
      for (; n < t.weight_rows; ++n) product.template operator()<1, X>(n, r);
    };
    int64_t r = 0;
    for (; r + S::kTileRows <= t.rows; r += S::kTileRows) weights.template operator()<S::kTileRows>(r);
    const int64_t rest = t.rows - r;
    if constexpr (S::kTileRows > 3) {
      if (rest == 3) weights.template operator()<3>(r);
    }
    if constexpr (S::kTileRows > 2) {
      if (rest == 2) weights.template operator()<2>(r);
    }
    if (rest == 1) weights.template operator()<1>(r);
  }

  // W weight rows from n on times X rows of x from r on. `base` holds the scales of weight row n and those after it.
  // dot = Σ_blocks scale_w·scale_x·Σ (u − bias)·v  +  Σ_blocks minimum_w·(scale_x·Σ v)
  template <class Traits, int W, int X, class Source>
  static void fast_products(const Source& source, int64_t n, float* base, const LinearTile& t, int64_t r) {
    constexpr int kBias = Traits::kBias;
    const int64_t blocks = t.columns / 32, padded = t.quantised.block_stride;
    const int8_t* values = t.quantised.values + r * t.quantised.value_stride;
    const float* x_scales = t.quantised.scales + r * padded;
    F acc[X][W];
#pragma GCC unroll 4
    for (int j = 0; j < X; ++j) {
#pragma GCC unroll 4
      for (int i = 0; i < W; ++i) acc[j][i] = S::zero();
    }
    const auto add_step = [&](int64_t step, int count) {
      Bytes x0[X], x1[X];
      F x_scale[X];
      I c0[X], c1[X];
      for (int j = 0; j < X; ++j) {
        const int8_t* p = values + j * t.quantised.value_stride + step * kBytesStep;
        x0[j] = S::load_bytes(p);
        x1[j] = S::load_bytes(p + kBytesStep / 2);
        x_scale[j] = S::expand(x_scales + j * padded + step * kStep);
        if constexpr (Traits::kHalves) {
          c0[j] = S::template correction<kBias>(x0[j]);
          c1[j] = S::template correction<kBias>(x1[j]);
        } else {
          c0[j] = S::template correction<kBias>(x0[j], x1[j]);
        }
      }
      for (int i = 0; i < W; ++i) {
        const float* scale = base + 3 * padded * i + step * kStep;
        Bytes w0, w1;
        source.load(n + i, step, count, w0, w1);
        const F s0 = S::expand(scale);
        if constexpr (Traits::kHalves) {
          const F s1 = S::expand(scale + padded);
          for (int j = 0; j < X; ++j) {
            const F d0 = S::to_float(S::template dot<kBias>(w0, x0[j], c0[j]));
            const F d1 = S::to_float(S::template dot<kBias>(w1, x1[j], c1[j]));
            acc[j][i] = S::fma(d0, S::mul(s0, x_scale[j]), acc[j][i]);
            acc[j][i] = S::fma(d1, S::mul(s1, x_scale[j]), acc[j][i]);
          }
        } else {
          for (int j = 0; j < X; ++j) {
            const F d = S::to_float(S::template dot<kBias>(w0, w1, x0[j], x1[j], c0[j]));
            acc[j][i] = S::fma(d, S::mul(s0, x_scale[j]), acc[j][i]);
          }
        }
      }
    };
    const int64_t full = blocks / kStep;
    for (int64_t step = 0; step < full; ++step) add_step(step, kStep);
    if (blocks % kStep != 0) add_step(full, static_cast<int>(blocks % kStep));
    if constexpr (Traits::kHasMinimum) {
      const float* sums = t.quantised.sums + r * padded;
      for (int64_t b = 0; b < padded; b += S::kLanes) {
        for (int j = 0; j < X; ++j) {
          const F sum = S::load(sums + j * padded + b);
          for (int i = 0; i < W; ++i) {
            acc[j][i] = S::fma(S::load(base + 3 * padded * i + 2 * padded + b), sum, acc[j][i]);
          }
        }
      }
    }
    write_sums<W, X>(acc, t, n, r);
  }

  template <int W, int X>
  static void write_sums(const F (&acc)[X][W], const LinearTile& t, int64_t n, int64_t r) {
    float* out[X];
    for (int j = 0; j < X; ++j) out[j] = t.out + (r + j) * t.out_stride + n;
    if constexpr (W == 4 && X == 4) {
      S::sum16(acc, out);
    } else if constexpr (W == 4) {
#pragma GCC unroll 4
      for (int j = 0; j < X; ++j) S::sum4(acc[j], out[j]);
    } else {
      for (int j = 0; j < X; ++j) {
        for (int i = 0; i < W; ++i) out[j][i] = S::sum(acc[j][i]);
      }
    }
    if (t.bias == nullptr) return;
    for (int j = 0; j < X; ++j) {
      for (int i = 0; i < W; ++i) out[j][i] += t.bias[n + i];
    }
  }

  // ---- exact

  struct NoTag {};
  template <class T, class Tag>
  struct PlainSource {
    const T* values;
    int64_t stride;
    F load(int64_t n, int64_t k) const {
      if constexpr (sizeof(T) == 4)
        return S::load(values + n * stride + k);
      else
        return S::load(values + n * stride + k, Tag{});
    }
    F load_partial(int64_t n, int64_t k, int count) const {
      if constexpr (sizeof(T) == 4)
        return S::load_partial(values + n * stride + k, count);
      else
        return S::load_partial(values + n * stride + k, count, Tag{});
    }
  };

  // The bits of dequantise_row: difference, product and sum are rounded one by one.
  template <class Format>
  static void dequantise_block(const typename Format::Row* row, int64_t b, RowScales scales, float* out) {
    constexpr int kRegisters = 32 / S::kLanes;
    F value[kRegisters];
    S::widen(Format::block(row, b), value);
    for (int i = 0; i < kRegisters; ++i) {
      float scale = scales.scale[b];
      if constexpr (Format::Traits::kHalves) {
        if (i >= kRegisters / 2) scale = scales.second_scale[b];
      }
      F v = S::mul(S::sub(value[i], S::set1(static_cast<float>(Format::Traits::kBias))), S::set1(scale));
      if constexpr (Format::Traits::kHasMinimum) v = S::add(v, S::set1(scales.minimum[b]));
      S::store(out + i * S::kLanes, v);
    }
  }

  template <class Source>
  static void float_rows(const Source& source, const LinearTile& t) {
    tile_rows(t, [&]<int W, int X>(int64_t n, int64_t r) { float_products<W, X>(source, n, t, r); });
  }

  template <int W, int X, class Source>
  static void float_products(const Source& source, int64_t n, const LinearTile& t, int64_t r) {
    const float* x = t.x + r * t.columns;
    F acc[X][W];
#pragma GCC unroll 4
    for (int j = 0; j < X; ++j) {
#pragma GCC unroll 4
      for (int i = 0; i < W; ++i) acc[j][i] = S::zero();
    }
    int64_t k = 0;
    for (; k + S::kLanes <= t.columns; k += S::kLanes) {
      F xv[X];
      for (int j = 0; j < X; ++j) xv[j] = S::load(x + j * t.columns + k);
      for (int i = 0; i < W; ++i) {
        const F w = source.load(n + i, k);
        for (int j = 0; j < X; ++j) acc[j][i] = S::fma(w, xv[j], acc[j][i]);
      }
    }
    const int rest = static_cast<int>(t.columns - k);
    if (rest > 0) {
      for (int i = 0; i < W; ++i) {
        const F w = source.load_partial(n + i, k, rest);
        for (int j = 0; j < X; ++j) {
          acc[j][i] = S::fma(w, S::load_partial(x + j * t.columns + k, rest), acc[j][i]);
        }
      }
    }
    write_sums<W, X>(acc, t, n, r);
  }
};

}  // namespace glassbox::cpu
