// Products of rows of x with weight rows, for one instruction set.
//
// Every output is one dot product with sums of its own, added up in an order that depends on K alone. The number of
// weight rows and rows of x that are worked on together (W × X) only says how often a loaded value is used again, so
// that a row gives the same bits alone and among others.
#pragma once

#include "kernels/cpu/formats.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/packed_weight.h"

namespace glassbox::cpu {

template <class S>
struct LinearKernels {
  using F = typename S::F;
  using I = typename S::I;
  using Bytes = typename S::Bytes;

  static void quantise_row(const float* x, int64_t blocks, int64_t refinements, QuantisedBlock* out) {
    // The refinements' places hold the largest scales so far and where they are, by falling scale and then by place. A
    // scale that is no number comes never.
    QuantisedBlock* const refined = out + blocks;
    int64_t found = 0;
    for (int64_t b = 0; b < blocks; ++b) {
      quantise_block(x + 32 * b, b, out[b]);
      const float scale = out[b].scale;
      if (refinements == 0 || (found == refinements && !(scale > refined[found - 1].scale)) || !(scale >= 0)) continue;
      int64_t i = found < refinements ? found++ : found - 1;
      for (; i > 0 && scale > refined[i - 1].scale; --i) move_place(refined[i - 1], refined[i]);
      move_place(out[b], refined[i]);
    }
    for (int64_t i = 1; i < found; ++i) {  // in order of their places
      const int32_t block = refined[i].block;
      int64_t to = i;
      for (; to > 0 && refined[to - 1].block > block; --to) refined[to].block = refined[to - 1].block;
      refined[to].block = block;
    }
    for (int64_t i = 0; i < found; ++i) {
      const QuantisedBlock& block = out[refined[i].block];
      float rest[32];
      for (int j = 0; j < 32; ++j) {  // in double precision the product is exact, fused or not
        rest[j] = static_cast<float>(x[32 * block.block + j] - static_cast<double>(block.scale) * block.values[j]);
      }
      quantise_block(rest, block.block, refined[i]);
    }
    for (int64_t i = found; i < refinements; ++i) refined[i] = QuantisedBlock{};
  }

  // Quantised weights, quantised x: stripes of sixteen weight rows times rows of x. Every output is
  //   Σ_blocks scale_w·scale_x·Σ (u − bias)·v  +  Σ_blocks minimum_w·(scale_x·Σ v)
  // with exact integers inside a block and one fp32 sum over the blocks and then the refinements of x in order, so that
  // its bits depend on nothing else. Fast because a vector of weights, once loaded and unpacked, meets kPackedRows rows
  // of x out of registers, each of whose values comes as a broadcast that the product's own instruction does.
  template <DType type>
  static void packed_tile(const LinearTile& t) {
    int64_t r = 0;  // x outside: its rows stay in the first-level cache while the tile's stripes pass
    for (; r + S::kPackedRows <= t.rows; r += S::kPackedRows) packed_rows<type, S::kPackedRows>(t, r);
    packed_rest<type, S::kPackedRows - 1>(t, r);
  }

  // Quantised weights made fp32, or fp32 as they are.
  template <class Format>
  static void dequantised_tile(const LinearTile& t) {
    float* values = reinterpret_cast<float*>(t.scratch);
    const int64_t blocks = t.columns / 32;
    const RowScales scales = scales_after(values + t.weight_rows * t.columns, blocks);
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

  // The rows of x that are left over, at most X.
  template <DType type, int X>
  static void packed_rest(const LinearTile& t, int64_t r) {
    if constexpr (X > 0) {
      if (t.rows - r == X) return packed_rows<type, X>(t, r);
      packed_rest<type, X - 1>(t, r);
    }
  }
  template <DType type, int X>
  static void packed_rows(const LinearTile& t, int64_t r) {
    for (int64_t n = 0; n < t.weight_rows; n += kStripeRows) {
      const std::byte* stripe = t.packed + n / kStripeRows * t.stripe_bytes;
      for (int lane = 0; lane < kStripeRows && n + lane < t.weight_rows; lane += S::kLanes) {
        packed_products<type, X>(t, stripe, n, lane, r);
      }
    }
  }

  static void move_place(const QuantisedBlock& from, QuantisedBlock& to) {
    to.scale = from.scale;
    to.block = from.block;
  }
  static void quantise_block(const float* in, int64_t block, QuantisedBlock& out) {
    F largest = S::zero(), poison = S::zero();  // 0 · x: no number where x is none, so that it stays visible
    for (int i = 0; i < 32; i += S::kLanes) {
      const F v = S::load(in + i);
      largest = S::max(largest, S::abs(v));
      poison = S::fma(v, S::zero(), poison);
    }
    const float range = S::max_lane(largest) + S::sum(poison);
    const float inverse = range > 0.0f ? 127.0f / range : 0.0f;
    for (int half = 0; half < 2; ++half) {
      out.half_sums[half] = S::quantise16(in + 16 * half, inverse, out.values + 16 * half);
    }
    out.scale = range / 127.0f;
    out.scaled_sum = out.scale * static_cast<float>(out.half_sums[0] + out.half_sums[1]);
    out.block = static_cast<int32_t>(block);
  }

  // kLanes weight rows from n + lane on times X rows of x from r on.
  template <DType type, int X>
  static void packed_products(const LinearTile& t, const std::byte* stripe, int64_t n, int lane, int64_t r) {
    const int64_t blocks = t.columns / 32, stride = blocks + t.refinements;
    const QuantisedBlock* x = t.quantised + r * stride;
    F acc[X];
#pragma GCC unroll 8
    for (int j = 0; j < X; ++j) acc[j] = S::zero();
    for (int64_t b = 0; b < blocks; ++b) {
      if (X > 1 && r == 0) fetch_ahead<type>(stripe, b);
      add_block<type, X>(stripe, b, lane, x + b, stride, acc);
    }
    for (int64_t e = blocks; e < stride; ++e) {
      // Mostly the same for all rows of x: a channel that is large in one token is large in the others.
      bool shared = true;
      for (int j = 1; j < X; ++j) shared = shared && x[j * stride + e].block == x[e].block;
      if (shared) {
        add_block<type, X>(stripe, x[e].block, lane, x + e, stride, acc);
        continue;
      }
#pragma GCC unroll 8
      for (int j = 0; j < X; ++j) {
        const QuantisedBlock* own = x + j * stride + e;
        add_block<type, 1>(stripe, own->block, lane, own, stride, acc + j);
      }
    }
    const int64_t first = n + lane;
    const int count = static_cast<int>(t.weight_rows - first < S::kLanes ? t.weight_rows - first : S::kLanes);
#pragma GCC unroll 8
    for (int j = 0; j < X; ++j) {
      float* out = t.out + (r + j) * t.out_stride + first;
      if (count == S::kLanes) {
        S::store(out, t.bias == nullptr ? acc[j] : S::add(acc[j], S::load(t.bias + first)));
      } else {
        S::store_partial(out, count,
                         t.bias == nullptr ? acc[j] : S::add(acc[j], S::load_partial(t.bias + first, count)));
      }
    }
  }

  // With several rows of x so much is done between two blocks that the processor does not look far enough ahead by
  // itself. Once the first of them have passed, the weights are near.
  template <DType type>
  [[gnu::always_inline]] static void fetch_ahead(const std::byte* stripe, int64_t b) {
    constexpr int kBlockBytes = packed_layout(type).block_bytes(), kDistance = 4096;
    const auto* p = reinterpret_cast<const char*>(stripe + b * kBlockBytes) + kDistance;
    for (int i = 0; i < kBlockBytes; i += 64) __builtin_prefetch(p + i, 0, 2);
  }

  // acc[j] += block b of kLanes weight rows times x[j · stride], for X rows of x.
  template <DType type, int X>
  [[gnu::always_inline]] static void add_block(const std::byte* stripe, int64_t b, int lane, const QuantisedBlock* x,
                                               int64_t stride, F* acc) {
    constexpr PackedLayout kLayout = packed_layout(type);
    Bytes w[8];
    const std::byte* block = stripe + b * kLayout.block_bytes();
    unpack<kLayout.bits>(block, lane, w);
    const auto factor = [&](int lot) {
      const std::byte* place = block + kLayout.quant_bytes() + lot * kLayout.factor_bytes();
      if constexpr (kLayout.half) return S::load(reinterpret_cast<const uint16_t*>(place) + lane, F16Tag{});
      return S::load(reinterpret_cast<const float*>(place) + lane);
    };
    const F scale = factor(0);
    const F second = kLayout.scales == 2 ? factor(1) : scale;
    const F minimum = kLayout.minimum ? factor(kLayout.scales) : scale;
    // Several rows of x at a time: a sum of products waits for the one before it.
    constexpr int kTogether = X % 4 == 0 ? 4 : X % 2 == 0 ? 2 : 1;
    constexpr int kColumns = 8 / kLayout.scales;  // fours of columns that share a scale
#pragma GCC unroll 8
    for (int j = 0; j < X; j += kTogether) {
#pragma GCC unroll 2
      for (int lot = 0; lot < kLayout.scales; ++lot) {
        I sum[kTogether];
#pragma GCC unroll 4
        for (int i = 0; i < kTogether; ++i) {
          const int32_t* halves = x[(j + i) * stride].half_sums;
          sum[i] = S::template start<kLayout.bias>(kLayout.scales == 2 ? halves[lot] : halves[0] + halves[1]);
        }
#pragma GCC unroll 4
        for (int g = lot * kColumns; g < (lot + 1) * kColumns; g += 2) {
#pragma GCC unroll 4
          for (int i = 0; i < kTogether; ++i) {
            const int8_t* values = x[(j + i) * stride].values + 4 * g;
            sum[i] =
                S::template dot<kLayout.bias>(w[g], w[g + 1], S::broadcast4(values), S::broadcast4(values + 4), sum[i]);
          }
        }
#pragma GCC unroll 4
        for (int i = 0; i < kTogether; ++i) {
          const F scales = S::mul(lot == 0 ? scale : second, S::set1(x[(j + i) * stride].scale));
          acc[j + i] = S::fma(S::to_float(sum[i]), scales, acc[j + i]);
        }
      }
      if constexpr (kLayout.minimum) {
#pragma GCC unroll 4
        for (int i = 0; i < kTogether; ++i) {
          acc[j + i] = S::fma(minimum, S::set1(x[(j + i) * stride].scaled_sum), acc[j + i]);
        }
      }
    }
  }

  // w[g]: columns 4g … 4g + 3 of kLanes rows of a stripe's block.
  template <int bits>
  static void unpack(const std::byte* block, int lane, Bytes (&w)[8]) {
    const std::byte* quants = block + 4 * lane;
    if constexpr (bits == 8) {
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) w[g] = S::load_bytes(quants + 64 * g);
    } else {
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) S::nibbles_of(S::load_bytes(quants + 64 * v), w[v], w[v + 4]);
    }
    if constexpr (bits == 5 || bits == 6) {
      const std::byte* planes = block + 256 + lane / 2;  // four bits a row
#pragma GCC unroll 8
      for (int g = 0; g < 8; ++g) w[g] = S::merge_bytes(w[g], S::flags(planes + 8 * g));
      if constexpr (bits == 6) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; ++g) w[g] = S::merge_bytes(w[g], S::twice(S::flags(planes + 64 + 8 * g)));
      }
    }
  }

  static RowScales scales_after(float* base, int64_t blocks) {
    return {base, base + blocks, base + 2 * blocks};
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
