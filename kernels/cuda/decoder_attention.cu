// The second kernel of a decoder layer: attention over a part of a row's keys, for all query heads that share them.
//
// A thread block takes block after block of the cache, of which it asks for everything at once: a warp takes eight
// dimensions of all 64 keys, two keys a lane, and eight whole values, two dimensions a lane. Between the two stand the
// scores of the block, in shared memory. The softmax goes along the way (Milakov & Gimelshein 2018).
#include <algorithm>

#include "kernels/cuda/decoder.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarp;
constexpr int kPerWarp = kKvBlock / kWarps;  // dimensions of a key's slice; values
constexpr int kSlice = kWarps * kPerWarp;    // dimensions that are worked on at a time
static_assert(kSlice == 2 * kWarp && kKvBlock == 2 * kWarp, "a lane has two of them");
constexpr float kNothing = -INFINITY;

// Two neighbours in the cache.
template <DType kType>
struct Pair;
template <>
struct Pair<DType::f16> {
  using Value = uint16_t;
  // count: how many of the two there are; the others become 0.
  __device__ void load(const Value* from, int count) {
    bits = count >= 2 ? load_new(reinterpret_cast<const uint32_t*>(from)) : count == 1 ? load_new(from) : 0;
  }
  __device__ float first() const { return half_value(static_cast<uint16_t>(bits)); }
  __device__ float second() const { return half_value(static_cast<uint16_t>(bits >> 16)); }
  uint32_t bits;
};
template <>
struct Pair<DType::f32> {
  using Value = float;
  __device__ void load(const Value* from, int count) {
    both = count >= 2 ? load_new(reinterpret_cast<const float2*>(from))
                      : make_float2(count == 1 ? load_new(from) : 0.0f, 0.0f);
  }
  __device__ float first() const { return both.x; }
  __device__ float second() const { return both.y; }
  float2 both;
};

struct Attention {
  AttentionArgs args;
  const float* q;   // [R, H, D]
  float* z;         // [splits, R, H, D]
  float2* softmax;  // [splits, R, H]
  WantedOutputs wanted;
  int head_groups;  // of at most kHeads heads with the same keys
};

// What a thread block works on: a split of the keys of a row and of some heads.
struct Place {
  int row, kv_head, first_head, heads;
  int length, first_seen;       // of the row's keys; the window hides those before first_seen
  int first_block, begin, end;  // blocks: the first that is seen, and those of this split
  std::byte* const* blocks;
};

template <int kHeads>
__device__ Place own_place(const Attention& a) {
  Place p;
  const int split = static_cast<int>(blockIdx.x), splits = static_cast<int>(gridDim.x);
  const int sharing = a.args.heads / a.args.kv_heads, group = static_cast<int>(blockIdx.y) % a.head_groups;
  p.kv_head = static_cast<int>(blockIdx.y) / a.head_groups;
  p.first_head = p.kv_head * sharing + group * kHeads;
  p.heads = sharing - group * kHeads < kHeads ? sharing - group * kHeads : kHeads;
  p.row = static_cast<int>(blockIdx.z);
  const RowPosition row = a.args.rows[p.row];
  p.blocks = a.args.sequences[row.sequence];
  p.length = row.position + 1;
  p.first_seen = a.args.window > 0 && a.args.window < p.length ? p.length - a.args.window : 0;
  p.first_block = p.first_seen / kKvBlock;
  const int blocks = (p.length + kKvBlock - 1) / kKvBlock, each = (blocks - p.first_block + splits - 1) / splits;
  p.begin = p.first_block + split * each;
  p.end = p.begin + each < blocks ? p.begin + each : blocks;
  return p;
}

// A KeyRow as it may lie in shared memory.
struct SeenRow {
  float* data;
  int64_t head_stride, width;
};

template <int kHeads>
struct Shared {
  float sums[kWarps][kHeads][kKvBlock];  // of the warps: first of the scores, in the end of z
  float weights[kHeads][kKvBlock];
  float shrink[kHeads];
  SeenRow scores, pattern;  // of the block's row, if anything is wanted
};

// Before the launches before are waited for; it is there after the block's next barrier.
template <int kHeads>
__device__ void fetch_outputs(const Attention& a, Shared<kHeads>& shared) {
  if (a.wanted.outputs == nullptr || threadIdx.x > 1) return;
  const bool of_scores = threadIdx.x == 0;
  const KeyRow* const rows = of_scores ? a.wanted.outputs->scores : a.wanted.outputs->pattern;
  const KeyRow row = rows == nullptr ? KeyRow{} : rows[a.wanted.first_row + static_cast<int>(blockIdx.z)];
  SeenRow& seen = of_scores ? shared.scores : shared.pattern;
  seen.data = row.data;
  seen.head_stride = row.head_stride;
  seen.width = row.width;
}
// A head's part; null: nobody wants it.
__device__ float* seen_head(const Attention& a, const SeenRow& row, int h) {
  return a.wanted.outputs == nullptr || row.data == nullptr ? nullptr : row.data + h * row.head_stride;
}

// The dimensions slice · kSlice + own_warp · kPerWarp + i of the lane's two keys of block b.
template <DType kType>
__device__ void load_keys(const Attention& a, const Place& p, int b, int slice, Pair<kType> (&keys)[kPerWarp]) {
  const auto* of_block = reinterpret_cast<const typename Pair<kType>::Value*>(p.blocks[b] + a.args.keys_at);
  const int left = p.length - b * kKvBlock - 2 * own_lane(), first = slice * kSlice + own_warp() * kPerWarp;
  const auto* from = of_block + (p.kv_head * a.args.head_dim + first) * kKvBlock + 2 * own_lane();
  for (int i = 0; i < kPerWarp; ++i) {
    keys[i].load(from + i * kKvBlock, first + i < a.args.head_dim ? left : 0);
  }
}

// The lane's two dimensions of the values own_warp · kPerWarp + i of block b.
template <DType kType>
__device__ void load_values(const Attention& a, const Place& p, int b, int slice, Pair<kType> (&values)[kPerWarp]) {
  const auto* of_block = reinterpret_cast<const typename Pair<kType>::Value*>(p.blocks[b] + a.args.values_at);
  const int first = own_warp() * kPerWarp, d = slice * kSlice + 2 * own_lane();
  const auto* from = of_block + (p.kv_head * kKvBlock + first) * a.args.head_dim + d;
  for (int i = 0; i < kPerWarp; ++i) {
    values[i].load(from + i * a.args.head_dim, d < a.args.head_dim && b * kKvBlock + first + i < p.length ? 2 : 0);
  }
}

// The keys and values of the split's first blocks come into the second-level cache: as many as there is time for before
// the wait is over, and room for of all splits and heads. Those of the newest position may still be on their way: they
// meet there.
template <DType kType>
__device__ void prefetch_split(const Attention& a, const Place& p) {
  constexpr int kLine = 128, kMostBlocks = 4;
  const int bytes = a.args.head_dim * kKvBlock * static_cast<int>(sizeof(typename Pair<kType>::Value));
  for (int b = p.begin; b < p.end && b < p.begin + kMostBlocks; ++b) {
    const std::byte* const of_head = p.blocks[b] + int64_t{p.kv_head} * bytes;
    for (int at = static_cast<int>(threadIdx.x) * kLine; at < bytes; at += kThreads * kLine) {
      prefetch(of_head + a.args.keys_at + at);
      prefetch(of_head + a.args.values_at + at);
    }
  }
}

struct TwoSums {
  float first = 0.0f, second = 0.0f;
  template <class AnyPair>
  __device__ void add(const AnyPair& pair, float weight) {
    first = fmaf(weight, pair.first(), first);
    second = fmaf(weight, pair.second(), second);
  }
};

// sum[h] += q[h] · keys over the warp's dimensions. All of q is asked for before any of it is used.
template <DType kType, int kHeads>
__device__ void add_scores(const Attention& a, const Place& p, int slice, const Pair<kType> (&keys)[kPerWarp],
                           TwoSums (&sum)[kHeads]) {
  constexpr int kQuads = kPerWarp / 4;
  const int first = slice * kSlice + own_warp() * kPerWarp;
  const float* q = a.q + (int64_t{p.row} * a.args.heads + p.first_head) * a.args.head_dim + first;
  float4 quads[kHeads][kQuads];
  GLASSBOX_UNROLL for (int h = 0; h < kHeads; ++h) {
    GLASSBOX_UNROLL for (int i = 0; i < kQuads; ++i) {
      const bool there = h < p.heads && first + 4 * i < a.args.head_dim;
      quads[h][i] =
          there ? load_new(reinterpret_cast<const float4*>(q + h * a.args.head_dim + 4 * i)) : make_float4(0, 0, 0, 0);
    }
  }
  GLASSBOX_UNROLL for (int h = 0; h < kHeads; ++h) {
    GLASSBOX_UNROLL for (int i = 0; i < kQuads; ++i) {
      const float4 quad = quads[h][i];
      sum[h].add(keys[4 * i], quad.x);
      sum[h].add(keys[4 * i + 1], quad.y);
      sum[h].add(keys[4 * i + 2], quad.z);
      sum[h].add(keys[4 * i + 3], quad.w);
    }
  }
}

template <int kHeads>
__device__ void leave(const TwoSums (&sum)[kHeads], const Place& p, Shared<kHeads>& shared) {
  GLASSBOX_UNROLL for (int h = 0; h < kHeads; ++h) {
    if (h >= p.heads) break;
    *reinterpret_cast<float2*>(&shared.sums[own_warp()][h][2 * own_lane()]) = make_float2(sum[h].first, sum[h].second);
  }
}

// The scores of the lane's two keys of block b for head h, which those who look are given; −∞ beyond the causal end.
template <int kHeads>
__device__ float2 take_scores(const Attention& a, const Place& p, const Shared<kHeads>& shared, int b, int h) {
  const int j = b * kKvBlock + 2 * own_lane();
  float dot[2] = {};
  for (int w = 0; w < kWarps; ++w) {
    const float2 part = *reinterpret_cast<const float2*>(&shared.sums[w][h][2 * own_lane()]);
    dot[0] += part.x;
    dot[1] += part.y;
  }
  float* const seen = seen_head(a, shared.scores, p.first_head + h);
  for (int i = 0; i < 2; ++i) {
    dot[i] *= a.args.scale;
    if (a.args.soft_cap > 0.0f) dot[i] = a.args.soft_cap * tanhf(dot[i] / a.args.soft_cap);
    if (j + i >= p.length) dot[i] = kNothing;
    if (seen != nullptr && j + i < p.length) seen[j + i] = dot[i];
  }
  return make_float2(dot[0], dot[1]);
}

// Scores of blocks that the window hides, and what is beyond the causal end: for those who look.
template <DType kType, int kHeads, int kSlices>
__device__ void store_unseen_scores(const Attention& a, const Place& p, Shared<kHeads>& shared) {
  const SeenRow wanted = shared.scores;
  if (wanted.data == nullptr) return;
  for (int b = static_cast<int>(blockIdx.x); b < p.first_block; b += static_cast<int>(gridDim.x)) {
    TwoSums sum[kHeads];
    GLASSBOX_UNROLL for (int slice = 0; slice < kSlices; ++slice) {
      Pair<kType> keys[kPerWarp];
      load_keys(a, p, b, slice, keys);
      add_scores(a, p, slice, keys, sum);
    }
    __syncthreads();
    leave(sum, p, shared);
    __syncthreads();
    if (own_warp() < p.heads) (void)take_scores(a, p, shared, b, own_warp());
  }
  __syncthreads();
  if (blockIdx.x != 0) return;
  for (int h = p.first_head; h < p.first_head + p.heads; ++h) {
    for (int64_t j = p.length + int64_t{threadIdx.x}; j < wanted.width; j += kThreads) {
      wanted.data[h * wanted.head_stride + j] = kNothing;
    }
  }
}

// kHeads ≤ kWarps; kSlices · kSlice ≥ D.
template <DType kType, int kHeads, int kSlices>
__global__ void attend_split(Attention a) {
  GLASSBOX_SHARED(shared, Shared<kHeads>);
  let_next_launch_begin();
  const Place p = own_place<kHeads>(a);
  prefetch_split<kType>(a, p);
  fetch_outputs(a, shared);
  wait_for_launches_before();
  const int warp = own_warp(), lane = own_lane();
  TwoSums z[kHeads][kSlices];
  float largest = kNothing, total = 0.0f;  // of head `warp`
  for (int b = p.begin; b < p.end; ++b) {
    Pair<kType> keys[kPerWarp], values[kPerWarp];
    load_keys(a, p, b, 0, keys);
    load_values(a, p, b, 0, values);
    TwoSums sum[kHeads];
    add_scores(a, p, 0, keys, sum);
    GLASSBOX_UNROLL for (int slice = 1; slice < kSlices; ++slice) {
      load_keys(a, p, b, slice, keys);
      add_scores(a, p, slice, keys, sum);
    }
    leave(sum, p, shared);
    __syncthreads();
    float own_weights = 0.0f;
    if (warp < p.heads) {
      float* const pattern = seen_head(a, shared.pattern, p.first_head + warp);
      const float2 both = take_scores(a, p, shared, b, warp);
      float score[] = {both.x, both.y};
      for (int i = 0; i < 2; ++i) {
        const int j = b * kKvBlock + 2 * lane + i;
        if (j < p.first_seen) score[i] = kNothing;
        if (pattern != nullptr && j >= p.first_seen && j < p.length) pattern[j] = score[i];
      }
      const float most = fmaxf(largest, max_warp(fmaxf(score[0], score[1])));
      const float shrink = most == kNothing ? 1.0f : expf(largest - most);
      for (int i = 0; i < 2; ++i) {
        const float weight = most == kNothing ? 0.0f : expf(score[i] - most);
        shared.weights[warp][2 * lane + i] = weight;
        own_weights += weight;
      }
      if (lane == 0) shared.shrink[warp] = shrink;
      largest = most;
      total *= shrink;
    }
    __syncthreads();
    GLASSBOX_UNROLL for (int slice = 0; slice < kSlices; ++slice) {
      if (slice > 0) load_values(a, p, b, slice, values);
      GLASSBOX_UNROLL for (int h = 0; h < kHeads; ++h) {
        if (h >= p.heads) break;
        TwoSums& of_head = z[h][slice];
        const float shrink = shared.shrink[h];
        of_head = {of_head.first * shrink, of_head.second * shrink};
        for (int i = 0; i < kPerWarp; ++i) of_head.add(values[i], shared.weights[h][warp * kPerWarp + i]);
      }
    }
    total += sum_warp(own_weights);
  }

  const int64_t row = int64_t{blockIdx.x} * a.args.row_count + p.row;
  GLASSBOX_UNROLL for (int slice = 0; slice < kSlices; ++slice) {
    TwoSums of_slice[kHeads];
    GLASSBOX_UNROLL for (int h = 0; h < kHeads; ++h) of_slice[h] = z[h][slice];
    leave(of_slice, p, shared);
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < p.heads * kSlice; i += kThreads) {
      const int h = i / kSlice, d = slice * kSlice + i % kSlice;
      float value = 0.0f;
      for (int w = 0; w < kWarps; ++w) value += shared.sums[w][h][i % kSlice];
      if (d < a.args.head_dim) a.z[(row * a.args.heads + p.first_head + h) * a.args.head_dim + d] = value;
    }
    if (slice + 1 < kSlices) __syncthreads();
  }
  if (warp < p.heads && lane == 0) a.softmax[row * a.args.heads + p.first_head + warp] = make_float2(largest, total);
  if (a.wanted.outputs != nullptr) store_unseen_scores<kType, kHeads, kSlices>(a, p, shared);
}

template <DType kType, int kHeads>
auto kernel_for(int head_dim) {
  return head_dim <= kSlice       ? attend_split<kType, kHeads, 1>
         : head_dim <= 2 * kSlice ? attend_split<kType, kHeads, 2>
                                  : attend_split<kType, kHeads, 4>;
}

template <int kHeads>
cudaError_t start(Attention a, cudaStream_t stream) {
  const AttentionArgs& args = a.args;
  a.head_groups = (args.heads / args.kv_heads + kHeads - 1) / kHeads;
  const auto kernel = args.dtype == DType::f16 ? kernel_for<DType::f16, kHeads>(args.head_dim)
                                               : kernel_for<DType::f32, kHeads>(args.head_dim);
  const dim3 grid(static_cast<unsigned>(split_count(args)), static_cast<unsigned>(args.kv_heads * a.head_groups),
                  static_cast<unsigned>(args.row_count));
  return launch_early(kernel, grid, dim3(kThreads), 0, stream, a);
}

}  // namespace

cudaError_t attend(const AttentionArgs& args, const DecoderScratch& scratch, const WantedOutputs& wanted,
                   cudaStream_t stream) {
  const Attention a{args, scratch.q, scratch.z, scratch.softmax, wanted, 1};
  const int sharing = args.heads / args.kv_heads;
  // More heads than four read the keys once for every four: a kernel for eight takes the compiler as long as all else.
  return sharing == 1 ? start<1>(a, stream) : start<4>(a, stream);
}

}  // namespace glassbox::cuda
