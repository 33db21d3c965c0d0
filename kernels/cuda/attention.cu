// Attention over the blocks of the key/value cache. A block of threads takes one row and one of its heads; each of its
// warps takes every fourth chunk of 32 keys, counted from position 0, so that a row's bits depend on its own keys
// alone.
#include "kernels/cuda/cached_value.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr float kNothing = -INFINITY;

__device__ float value_of(float v) {
  return v;
}
__device__ float value_of(__half v) {
  return __half2float(v);
}

// One head of a sequence's keys [D, kKvBlock] or values [kKvBlock, D], block by block. The dimensions of a key lie
// kKvBlock apart, so that the lanes of a warp, with a key each, load side by side; those of a value lie together.
template <class T>
struct CachedHead {
  std::byte* const* blocks;
  int64_t first;  // bytes from a block's begin to the head
  int head_dim;
  __device__ const T* block(int j) const { return reinterpret_cast<const T*>(blocks[j / kKvBlock] + first); }
  __device__ const T* key(int j) const { return block(j) + j % kKvBlock; }
  __device__ const T* value(int j) const { return block(j) + int64_t{j % kKvBlock} * head_dim; }
};

// What a block works on.
struct Place {
  int row, head, length;     // length: keys that the row may see, position + 1
  int first_seen;            // the window hides those before
  std::byte* const* blocks;  // of its sequence
  int64_t vector;            // where the row's head begins in [R, H, D]
};

__device__ Place own_place(const AttentionArgs& args) {
  Place p;
  p.row = static_cast<int>(blockIdx.x);
  p.head = static_cast<int>(blockIdx.y);
  const RowPosition row = args.rows[p.row];
  p.length = row.position + 1;
  p.first_seen = args.window > 0 && args.window < p.length ? p.length - args.window : 0;
  p.blocks = args.sequences[row.sequence];
  p.vector = (int64_t{p.row} * args.heads + p.head) * args.head_dim;
  return p;
}

// layer: where its keys or values begin in a block.
template <class T>
__device__ CachedHead<T> cached_head(const AttentionArgs& args, const Place& p, int64_t layer) {
  const int kv_head = p.head / (args.heads / args.kv_heads);
  return {p.blocks, layer + int64_t{kv_head} * kKvBlock * args.head_dim * static_cast<int>(sizeof(T)), args.head_dim};
}

// Where the row's head stores what has a key axis, or null.
__device__ float* key_row(const KeyRow* rows, const Place& p) {
  return rows == nullptr || rows[p.row].data == nullptr ? nullptr : rows[p.row].data + p.head * rows[p.row].head_stride;
}

__device__ void fill_masked(const KeyRow* rows, const Place& p, float* row, float value) {
  for (int64_t j = p.length + int64_t{threadIdx.x}; j < rows[p.row].width; j += kThreads) row[j] = value;
}

// scale · (q · k), soft-capped. query: shared, [D]
template <class T>
__device__ float score_of(const AttentionArgs& args, const float* query, const T* key) {
  float dot = 0.0f;
  for (int d = 0; d < args.head_dim; ++d) dot = fmaf(query[d], value_of(key[d * kKvBlock]), dot);
  const float score = dot * args.scale;
  return args.soft_cap > 0.0f ? args.soft_cap * tanhf(score / args.soft_cap) : score;
}

__device__ void load_query(const AttentionArgs& args, const Place& p, const float* q, float* query) {
  for (int d = static_cast<int>(threadIdx.x); d < args.head_dim; d += kThreads) query[d] = q[p.vector + d];
  __syncthreads();
}

// Σ of the warps' sums, each times its factor (shared, and written before the call), to z. Lane l of a warp holds
// dimensions l, l + 32, …
template <int kSlices>
__device__ void merge_warps(const AttentionArgs& args, const Place& p, const float (&sum)[kSlices],
                            const float* factors, float* z) {
  GLASSBOX_SHARED(of_warps, float[kWarps][kMostHeadDim]);
  for (int slice = 0; slice < kSlices; ++slice) of_warps[own_warp()][own_lane() + kWarp * slice] = sum[slice];
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < args.head_dim; d += kThreads) {
    float total = 0.0f;
    for (int w = 0; w < kWarps; ++w) total = fmaf(of_warps[w][d], factors[w], total);
    z[p.vector + d] = total;
  }
}

// sum += weight · v
template <class T, int kSlices>
__device__ void add_value(const T* value, int head_dim, float weight, float (&sum)[kSlices]) {
  for (int slice = 0; slice < kSlices; ++slice) {
    const int d = own_lane() + kWarp * slice;
    if (d < head_dim) sum[slice] = fmaf(weight, value_of(value[d]), sum[slice]);
  }
}

// What the threads of a block share, whatever the type of the cache.
struct Scratch {
  float query[kMostHeadDim];
  float largest[kWarps], total[kWarps], factors[kWarps];
};

// The softmax along the way (Milakov & Gimelshein 2018): a warp keeps the largest score so far, the sum of exp(s −
// largest) and the values summed with these weights, and shrinks both when the largest grows. kSlices · 32 ≥ D.
template <class T, int kSlices>
__device__ void attend(const AttentionArgs& args, const Place& p, const float* q, float* z, const KeyRow* score_rows,
                       const KeyRow* pattern_rows, Scratch& shared) {
  const auto keys = cached_head<T>(args, p, args.keys_at), values = cached_head<T>(args, p, args.values_at);
  float *scores = key_row(score_rows, p), *pattern = key_row(pattern_rows, p);
  load_query(args, p, q, shared.query);

  float largest = kNothing, total = 0.0f, sum[kSlices] = {};
  for (int chunk = own_warp() * kWarp; chunk < p.length; chunk += kThreads) {
    if (scores == nullptr && chunk + kWarp <= p.first_seen) continue;
    const int j = chunk + own_lane();
    float score = kNothing;
    if (j < p.length) {
      score = score_of(args, shared.query, keys.key(j));
      if (scores != nullptr) scores[j] = score;
      if (j < p.first_seen) score = kNothing;
      if (pattern != nullptr) pattern[j] = score;  // becomes a weight when the total is known
    }
    const float most = fmaxf(largest, max_warp(score));
    if (most == kNothing) continue;
    const float shrink = expf(largest - most), weight = expf(score - most);
    largest = most;
    total = fmaf(total, shrink, sum_warp(weight));
    for (int slice = 0; slice < kSlices; ++slice) sum[slice] *= shrink;
    for (int i = 0; i < kWarp && chunk + i < p.length; ++i) {
      const float of_key = __shfl_sync(kAllLanes, weight, i);
      if (chunk + i >= p.first_seen) add_value(values.value(chunk + i), args.head_dim, of_key, sum);
    }
  }

  if (own_lane() == 0) {
    shared.largest[own_warp()] = largest;
    shared.total[own_warp()] = total;
  }
  __syncthreads();
  float most = kNothing, all = 0.0f;
  for (int w = 0; w < kWarps; ++w) most = fmaxf(most, shared.largest[w]);
  for (int w = 0; w < kWarps; ++w) {
    if (shared.largest[w] != kNothing) all = fmaf(shared.total[w], expf(shared.largest[w] - most), all);
  }
  if (threadIdx.x < kWarps) {
    const float own = shared.largest[threadIdx.x];
    shared.factors[threadIdx.x] = own == kNothing ? 0.0f : expf(own - most) / all;
  }
  merge_warps(args, p, sum, shared.factors, z);
  if (scores != nullptr) fill_masked(score_rows, p, scores, kNothing);
  if (pattern == nullptr) return;
  for (int j = static_cast<int>(threadIdx.x); j < p.length; j += kThreads) {
    pattern[j] = j < p.first_seen || most == kNothing ? 0.0f : expf(pattern[j] - most) / all;
  }
  fill_masked(pattern_rows, p, pattern, 0.0f);
}

template <int kSlices>
__global__ void attend_rows(AttentionArgs args, const float* q, float* z, const KeyRow* scores, const KeyRow* pattern) {
  GLASSBOX_SHARED(shared, Scratch);
  const Place p = own_place(args);
  if (args.dtype == DType::f16) {
    attend<__half, kSlices>(args, p, q, z, scores, pattern, shared);
  } else {
    attend<float, kSlices>(args, p, q, z, scores, pattern, shared);
  }
}

template <class T>
__device__ void score_keys(const AttentionArgs& args, const Place& p, const float* query, float* scores) {
  const auto keys = cached_head<T>(args, p, args.keys_at);
  for (int j = static_cast<int>(threadIdx.x); j < p.length; j += kThreads) {
    scores[j] = score_of(args, query, keys.key(j));
  }
}

__global__ void score_rows(AttentionArgs args, const float* q, const KeyRow* rows) {
  GLASSBOX_SHARED(query, float[kMostHeadDim]);
  const Place p = own_place(args);
  load_query(args, p, q, query);
  float* scores = key_row(rows, p);
  if (args.dtype == DType::f16) {
    score_keys<__half>(args, p, query, scores);
  } else {
    score_keys<float>(args, p, query, scores);
  }
  fill_masked(rows, p, scores, kNothing);
}

__global__ void softmax_rows(AttentionArgs args, const KeyRow* score_rows, const KeyRow* pattern_rows) {
  const Place p = own_place(args);
  const float* scores = key_row(score_rows, p);
  float* pattern = key_row(pattern_rows, p);
  const int first = p.first_seen + static_cast<int>(threadIdx.x);
  float largest = kNothing, total = 0.0f;
  for (int j = first; j < p.length; j += kThreads) largest = fmaxf(largest, scores[j]);
  largest = max_block<kThreads>(largest);
  const bool none = largest == kNothing;  // every edge is cut
  for (int j = first; j < p.length && !none; j += kThreads) total += expf(scores[j] - largest);
  total = sum_block<kThreads>(total);
  for (int j = static_cast<int>(threadIdx.x); j < p.length; j += kThreads) {
    pattern[j] = none || j < p.first_seen ? 0.0f : expf(scores[j] - largest) / total;
  }
  fill_masked(pattern_rows, p, pattern, 0.0f);
}

template <class T, int kSlices>
__device__ void mix_keys(const AttentionArgs& args, const Place& p, const float* pattern, float* z, float* factors) {
  const auto values = cached_head<T>(args, p, args.values_at);
  float sum[kSlices] = {};
  for (int j = own_warp(); j < p.length; j += kWarps) add_value(values.value(j), args.head_dim, pattern[j], sum);
  if (own_lane() == 0) factors[own_warp()] = 1.0f;
  merge_warps(args, p, sum, factors, z);
}

// All keys of the row: an edited pattern may reach outside of the window.
template <int kSlices>
__global__ void mix_rows(AttentionArgs args, const KeyRow* rows, float* z) {
  GLASSBOX_SHARED(factors, float[kWarps]);
  const Place p = own_place(args);
  if (args.dtype == DType::f16) {
    mix_keys<__half, kSlices>(args, p, key_row(rows, p), z, factors);
  } else {
    mix_keys<float, kSlices>(args, p, key_row(rows, p), z, factors);
  }
}

// k, v [R, G, D] to the cache's blocks.
__global__ void store_rows(AttentionArgs args, const float* k, const float* v) {
  const CachePlace place = cache_place(args, args.rows[blockIdx.x]);
  const int size = args.kv_heads * args.head_dim;
  for (int i = static_cast<int>(threadIdx.x); i < size; i += kThreads) {
    const int64_t from = int64_t{blockIdx.x} * size + i;
    const int d = i % args.head_dim;
    store_cached(args.dtype, k[from], cached_key(args, place, i - d, d));
    store_cached(args.dtype, v[from], cached_value(args, place, i - d, d));
  }
}

dim3 rows_by_heads(const AttentionArgs& args) {
  return dim3(static_cast<unsigned>(args.row_count), static_cast<unsigned>(args.heads));
}

bool fits(const AttentionArgs& args) {
  return args.head_dim <= kMostHeadDim;
}

}  // namespace

cudaError_t kv_store(const AttentionArgs& args, const float* k, const float* v, cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  return launch(store_rows, dim3(static_cast<unsigned>(args.row_count)), dim3(kThreads), 0, stream, args, k, v);
}

cudaError_t attention(const AttentionArgs& args, const float* q, float* z, const KeyRow* scores, const KeyRow* pattern,
                      cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  if (!fits(args)) return cudaErrorInvalidValue;
  if (suits_tiles(args)) return attention_tiles(args, q, z, scores, pattern, stream);
  const auto kernel = args.head_dim <= 32    ? attend_rows<1>
                      : args.head_dim <= 64  ? attend_rows<2>
                      : args.head_dim <= 128 ? attend_rows<4>
                                             : attend_rows<8>;
  return launch(kernel, rows_by_heads(args), dim3(kThreads), 0, stream, args, q, z, scores, pattern);
}

cudaError_t attention_scores(const AttentionArgs& args, const float* q, const KeyRow* scores, cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  if (!fits(args)) return cudaErrorInvalidValue;
  return launch(score_rows, rows_by_heads(args), dim3(kThreads), 0, stream, args, q, scores);
}

cudaError_t attention_softmax(const AttentionArgs& args, const KeyRow* scores, const KeyRow* pattern,
                              cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  return launch(softmax_rows, rows_by_heads(args), dim3(kThreads), 0, stream, args, scores, pattern);
}

cudaError_t attention_mix(const AttentionArgs& args, const KeyRow* pattern, float* z, cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  if (!fits(args)) return cudaErrorInvalidValue;
  const auto kernel = args.head_dim <= 32    ? mix_rows<1>
                      : args.head_dim <= 64  ? mix_rows<2>
                      : args.head_dim <= 128 ? mix_rows<4>
                                             : mix_rows<8>;
  return launch(kernel, rows_by_heads(args), dim3(kThreads), 0, stream, args, pattern, z);
}

}  // namespace glassbox::cuda
