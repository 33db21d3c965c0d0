// The three steps of attention for queries that share a key/value head, for one instruction set.
//
// A score is one dot product over D; a softmax and a mix go through the keys in chunks of kKvBlock, counted from
// position 0, and add the chunks up in order. So a query's bits depend on its own keys alone, not on the queries beside
// it.
#pragma once

#include <string.h>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/simd_tags.h"
#include "kernels/cpu/vector_math.h"

namespace glassbox::cpu {

template <class S>
struct AttentionKernels {
  using F = typename S::F;
  // As in ops.h, which this file does not include: it brings inline functions of the standard library.
  static constexpr int kChunk = 64;
  static constexpr int kQueries = S::kAttentionQueries;      // queries that use a loaded key or value together
  static constexpr int kRegisters = S::kAttentionRegisters;  // of keys or values, for each of these queries

  static void scores(const AttentionTile& t) {
    if (t.dtype == DType::f16) {
      all_scores<uint16_t>(t);
    } else {
      all_scores<float>(t);
    }
  }

  static void softmax(const float* scores, int64_t low, int64_t length, float* pattern) {
    F largest = S::set1(-kInfinity);
    for (int64_t j = low - low % kChunk; j < length; j += S::kLanes) {
      largest = S::max(largest, load_scores(scores, j, low, length));
    }
    const float max = S::max_lane(largest);
    for (int64_t j = 0; j < low; ++j) pattern[j] = 0.0f;
    if (max == -kInfinity) {
      for (int64_t j = low; j < length; ++j) pattern[j] = 0.0f;
      return;
    }
    float total = 0.0f;
    for (int64_t chunk = low - low % kChunk; chunk < length; chunk += kChunk) {
      F sum = S::zero();
      for (int64_t j = chunk; j < chunk + kChunk && j < length; j += S::kLanes) {
        const F e = VectorMath<S>::exp(S::sub(load_scores(scores, j, low, length), S::set1(max)));
        if (j + S::kLanes <= length) {
          S::store(pattern + j, e);
        } else {
          S::store_partial(pattern + j, static_cast<int>(length - j), e);
        }
        sum = S::add(sum, e);
      }
      total += S::sum(sum);
    }
    const F share = S::set1(1.0f / total);
    int64_t j = low - low % kChunk;
    for (; j + S::kLanes <= length; j += S::kLanes) S::store(pattern + j, S::mul(S::load(pattern + j), share));
    const int rest = static_cast<int>(length - j);
    if (rest > 0) S::store_partial(pattern + j, rest, S::mul(S::load_partial(pattern + j, rest), share));
  }

  static void mix(const AttentionTile& t) {
    for (int i = 0; i < t.queries; ++i) memset(t.out[i], 0, static_cast<size_t>(t.head_dim) * sizeof(float));
    if (t.dtype == DType::f16) {
      whole_mix<uint16_t>(t);
    } else {
      whole_mix<float>(t);
    }
  }

 private:
  static constexpr float kInfinity = __builtin_inff();

  static F load(const float* p) { return S::load(p); }
  static F load(const uint16_t* p) { return S::load(p, F16Tag{}); }
  static F load_partial(const float* p, int n) { return S::load_partial(p, n); }
  static F load_partial(const uint16_t* p, int n) { return S::load_partial(p, n, F16Tag{}); }

  // Scores j … j + kLanes, −∞ in the place of those outside [low, length).
  static F load_scores(const float* scores, int64_t j, int64_t low, int64_t length) {
    if (j >= low && j + S::kLanes <= length) return S::load(scores + j);
    float lanes[S::kLanes];
    for (int i = 0; i < S::kLanes; ++i) lanes[i] = j + i >= low && j + i < length ? scores[j + i] : -kInfinity;
    return S::load(lanes);
  }

  // Calls visit<Q>(i) for queries i … i + Q.
  template <class Visit>
  static void tile_queries(int queries, Visit visit) {
    int i = 0;
    for (; i + kQueries <= queries; i += kQueries) visit.template operator()<kQueries>(i);
    last_queries<kQueries - 1>(i, queries - i, visit);
  }
  template <int Q, class Visit>
  static void last_queries(int i, int rest, Visit visit) {
    if constexpr (Q > 0) {
      if (rest == Q) return visit.template operator()<Q>(i);
      last_queries<Q - 1>(i, rest, visit);
    }
  }

  // What comes next is fetched into the second-level cache meanwhile: it lies elsewhere, and the processor, which looks
  // for what follows in memory, would begin anew with every block.
  struct Ahead {
    const char* next = nullptr;  // null: nothing to fetch
    void fetch(int64_t place, int64_t bytes) const {
      if (next == nullptr) return;
      for (int64_t i = place; i < place + bytes; i += 64) __builtin_prefetch(next + i, 0, 2);
    }
  };
  static Ahead ahead_of(const AttentionTile& t, int64_t block) {
    const std::byte* next = block + 1 < t.end_block ? t.blocks[block + 1] + t.head_offset : t.ahead;
    return {reinterpret_cast<const char*>(next)};
  }

  template <class T>
  static void all_scores(const AttentionTile& t) {
    for (int64_t block = t.first_block; block < t.end_block; ++block) {
      const T* keys = reinterpret_cast<const T*>(t.blocks[block] + t.head_offset);
      tile_queries(t.queries, [&]<int Q>(int first) {
        const int64_t end = t.lengths[first + Q - 1] - block * kChunk;
        const Ahead ahead = first == 0 ? ahead_of(t, block) : Ahead{};
        constexpr int kStep = kRegisters * S::kLanes;
        for (int j = 0; j < kChunk && j < end; j += kStep) {
          block_scores<Q>(t, keys + j, first, block * kChunk + j, j == 0 ? ahead : Ahead{});
        }
      });
    }
  }

  // Q queries times kRegisters · kLanes keys, which lie side by side: a lane is a key, and no sum goes across lanes.
  // Past the last key there may be anything; nobody reads those scores.
  template <int Q, class T>
  static void block_scores(const AttentionTile& t, const T* keys, int first, int64_t place, Ahead ahead) {
    const float* query[Q];
    F acc[Q][kRegisters];
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      query[q] = t.query[first + q];
#pragma GCC unroll 8
      for (int v = 0; v < kRegisters; ++v) acc[q][v] = S::zero();
    }
    for (int d = 0; d < t.head_dim; ++d) {
      ahead.fetch(int64_t{d} * kChunk * static_cast<int64_t>(sizeof(T)), kChunk * static_cast<int64_t>(sizeof(T)));
      F key[kRegisters];
#pragma GCC unroll 8
      for (int v = 0; v < kRegisters; ++v) key[v] = load(keys + int64_t{d} * kChunk + v * S::kLanes);
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
        const F value = S::set1(query[q][d]);
#pragma GCC unroll 8
        for (int v = 0; v < kRegisters; ++v) acc[q][v] = S::fma(value, key[v], acc[q][v]);
      }
    }
    const F scale = S::set1(t.scale), cap = S::set1(t.soft_cap);
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      float* out = t.weights[first + q] + place;  // a row has room for whole blocks
#pragma GCC unroll 8
      for (int v = 0; v < kRegisters; ++v) {
        F score = S::mul(acc[q][v], scale);
        if (t.soft_cap > 0.0f) score = S::mul(cap, VectorMath<S>::tanh(S::div(score, cap)));
        S::store(out + v * S::kLanes, score);
      }
    }
  }

  template <class T>
  static void whole_mix(const AttentionTile& t) {
    const int64_t row_bytes = t.head_dim * static_cast<int64_t>(sizeof(T));
    for (int64_t block = t.first_block; block < t.end_block; ++block) {
      const T* values = reinterpret_cast<const T*>(t.blocks[block] + t.head_offset);
      tile_queries(t.queries, [&]<int Q>(int first) {
        if (t.lengths[first + Q - 1] <= block * kChunk) return;
        const Ahead ahead = first == 0 ? ahead_of(t, block) : Ahead{};
        constexpr int kSlab = kRegisters * S::kLanes;
        int d = 0;
        for (; d + kSlab <= t.head_dim; d += kSlab) {
          mix_slab<Q, kRegisters>(t, first, block, d, d == 0 ? ahead : Ahead{}, row_bytes, [=](int j, int v) {
            return load(values + static_cast<int64_t>(j) * t.head_dim + d + v * S::kLanes);
          });
        }
        for (; d + S::kLanes <= t.head_dim; d += S::kLanes) {
          mix_slab<Q, 1>(t, first, block, d, Ahead{}, row_bytes,
                         [=](int j, int) { return load(values + static_cast<int64_t>(j) * t.head_dim + d); });
        }
        if (d == t.head_dim) return;
        mix_slab<Q, 1>(t, first, block, d, Ahead{}, row_bytes, [=](int j, int) {
          return load_partial(values + static_cast<int64_t>(j) * t.head_dim + d, t.head_dim - d);
        });
      });
    }
  }

  // out[d …] += Σ_j weight_j · value_j[d …] over the keys of one block, for Q queries and V registers of the values;
  // value(j, v) is register v of key j.
  template <int Q, int V, class Value>
  static void mix_slab(const AttentionTile& t, int first, int64_t block, int d, Ahead ahead, int64_t row_bytes,
                       const Value& value) {
    const float* weight[Q];
    int count[Q];  // keys of this block that each query sees
    F acc[Q][V];
    for (int q = 0; q < Q; ++q) {
      const int64_t left = t.lengths[first + q] - block * kChunk;
      count[q] = static_cast<int>(left < 0 ? 0 : left < kChunk ? left : kChunk);
      weight[q] = t.weights[first + q] + block * kChunk;
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) acc[q][v] = S::zero();
    }
    int j = 0;
    for (; j < count[0]; ++j) {
      ahead.fetch(j * row_bytes, row_bytes);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        const F x = value(j, v);
#pragma GCC unroll 8
        for (int q = 0; q < Q; ++q) acc[q][v] = S::fma(S::set1(weight[q][j]), x, acc[q][v]);
      }
    }
    for (; j < count[Q - 1]; ++j) {  // keys that only the later of the queries see
#pragma GCC unroll 8
      for (int q = 0; q < Q; ++q) {
        if (j >= count[q]) continue;
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) acc[q][v] = S::fma(S::set1(weight[q][j]), value(j, v), acc[q][v]);
      }
    }
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        float* out = t.out[first + q] + d + v * S::kLanes;
        const int room = t.head_dim - d - v * S::kLanes;
        if (room >= S::kLanes) {
          S::store(out, S::add(S::load(out), acc[q][v]));
        } else {
          S::store_partial(out, room, S::add(S::load_partial(out, room), acc[q][v]));
        }
      }
    }
  }
};

}  // namespace glassbox::cpu
