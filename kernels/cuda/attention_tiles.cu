// Attention of many rows. A block of threads takes consecutive rows of one sequence with the query heads of one key
// head, up to 32 queries, and goes over the keys once, a tile at a time: keys and values lie in shared memory as fp32
// while all queries use them. The softmax along the way is that of Milakov & Gimelshein 2018; that a tile of scores
// never leaves the multiprocessor, of Dao et al. 2022.
//
// Each group of four warps takes every second tile, and the groups' sums are merged at the end: the causal mask gives
// few blocks most of the work, which so becomes shorter. Eight queries belong to a warp, four to a thread: lane l has
// queries 4·(l % 2) …, and of a tile the part l / 2 of 16 of its keys, later of the dimensions. Neighbouring lanes then
// read either the same queries or the same keys, so that a load of 16 bytes for each lane is two of shared memory's.
#include <climits>

#include "kernels/cuda/cache_tiles.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

constexpr int kQueries = 32;             // of a block, at most
constexpr int kPitch = kQueries + kOwn;  // keeps four queries together, and rows apart
constexpr int kMostGroups = 2;
constexpr float kNothing = -INFINITY;
static_assert(kQueries == 2 * kOwn * kGroupWarps && kQueries == kWarp);

template <int kDims>
struct QueryShared {
  float query[kDims][kPitch];
  float other_largest[kQueries], other_total[kQueries];  // of the second group
  float largest[kQueries], total[kQueries];              // of all
};
template <int kDims>
struct GroupShared {
  float tiles[2 * kTile];  // keys [D, kKeys] and values [kKeys, D]; at the end, sums of the threads
  float weights[Sizes<kDims>::kKeys][kPitch];
  __device__ float* keys() { return tiles; }
  __device__ float* values() { return tiles + kTile; }
};
template <int kDims>
constexpr size_t shared_bytes(int groups) {
  return sizeof(QueryShared<kDims>) + static_cast<size_t>(groups) * sizeof(GroupShared<kDims>);
}

// Queries of rows first_row … of one sequence, with heads first_head …: query m is row m / heads, head m % heads.
struct Run {
  int first_row, rows, first_head, heads;
  __device__ int queries() const { return rows * heads; }
  __device__ int row(int m) const { return first_row + m / heads; }
  __device__ int head(int m) const { return first_head + m % heads; }
  __device__ int64_t vector(const AttentionArgs& args, int m) const {
    return (int64_t{row(m)} * args.heads + head(m)) * args.head_dim;
  }
  // Where the query's values with a key axis lie, or null.
  __device__ float* keys(const KeyRow* list, int m) const {
    const KeyRow& place = list[row(m)];
    return place.data == nullptr ? nullptr : place.data + head(m) * place.head_stride;
  }
};

__device__ int first_seen_of(const AttentionArgs& args, int position) {
  return args.window > 0 && args.window <= position ? position + 1 - args.window : 0;
}

// What a thread knows and sums of its four queries. A query that there is not has position −1, and sees nothing.
template <int kDims>
struct Own {
  int first_query, part;
  int position[kOwn];
  float largest[kOwn], total[kOwn];  // total: of the thread's own keys, until the end
  float sum[kOwn][Sizes<kDims>::kSlices][kOwn];
  int last, first;  // of the warp's queries: the greatest position, and the first key that one of them sees

  __device__ Own(const AttentionArgs& args, const Run& run) {
    first_query = own_warp() % kGroupWarps * 2 * kOwn + own_lane() % 2 * kOwn;
    part = own_lane() / 2;
    last = -1;
    first = INT_MAX;
    GLASSBOX_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      const int m = first_query + i;
      position[i] = m < run.queries() ? args.rows[run.row(m)].position : -1;
      last = max(last, position[i]);
      if (position[i] >= 0) first = min(first, first_seen_of(args, position[i]));
      largest[i] = kNothing;
      total[i] = 0.0f;
      GLASSBOX_UNROLL
      for (int s = 0; s < Sizes<kDims>::kSlices; ++s) {
        for (int d = 0; d < kOwn; ++d) sum[i][s][d] = 0.0f;
      }
    }
    last = max(last, __shfl_xor_sync(kAllLanes, last, 1));
    first = min(first, __shfl_xor_sync(kAllLanes, first, 1));
  }
};

// kCount floats side by side.
template <int kCount>
__device__ void read_floats(const float* from, float (&to)[kCount]) {
  if constexpr (kCount == 4) {
    const float4 v = *reinterpret_cast<const float4*>(from);
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
  } else if constexpr (kCount == 2) {
    const float2 v = *reinterpret_cast<const float2*>(from);
    to[0] = v.x, to[1] = v.y;
  } else {
    to[0] = from[0];
  }
}

// scores[i][c] = scale · (q · k), soft-capped
template <int kDims>
__device__ void multiply_keys(const AttentionArgs& args, const Own<kDims>& own, const QueryShared<kDims>& shared,
                              const float* keys, float (&scores)[kOwn][Sizes<kDims>::kOwnKeys]) {
  constexpr int kKeys = Sizes<kDims>::kKeys, kOwnKeys = Sizes<kDims>::kOwnKeys;
  const float* own_keys = keys + own.part * kOwnKeys;
  for (int d = 0; d < args.head_dim; ++d) {
    float a[kOwn], b[kOwnKeys];
    read_floats(&shared.query[d][own.first_query], a);
    read_floats(own_keys + d * kKeys, b);
    GLASSBOX_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      for (int c = 0; c < kOwnKeys; ++c) scores[i][c] = fmaf(a[i], b[c], scores[i][c]);
    }
  }
  GLASSBOX_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    for (int c = 0; c < kOwnKeys; ++c) {
      scores[i][c] *= args.scale;
      if (args.soft_cap > 0.0f) scores[i][c] = args.soft_cap * tanhf(scores[i][c] / args.soft_cap);
    }
  }
}

// To the rows that want them, as far as the causal mask lets see.
template <int kDims>
__device__ void keep(const KeyRow* list, const Run& run, const Own<kDims>& own, int first_key,
                     const float (&values)[kOwn][Sizes<kDims>::kOwnKeys]) {
  GLASSBOX_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    if (own.position[i] < 0) continue;
    float* to = run.keys(list, own.first_query + i);
    if (to == nullptr) continue;
    for (int c = 0; c < Sizes<kDims>::kOwnKeys; ++c) {
      if (first_key + c <= own.position[i]) to[first_key + c] = values[i][c];
    }
  }
}

// Scores, of which hidden ones are −∞, to weights; what was summed before shrinks where the largest grows.
template <int kDims>
__device__ void weigh(Own<kDims>& own, float (&scores)[kOwn][Sizes<kDims>::kOwnKeys]) {
  GLASSBOX_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    float most = own.largest[i];
    for (int c = 0; c < Sizes<kDims>::kOwnKeys; ++c) most = fmaxf(most, scores[i][c]);
    for (int lanes = 2; lanes < kWarp; lanes *= 2) most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, lanes));
    const float base = most == kNothing ? 0.0f : most;  // nothing seen yet: all weights are exp(−∞)
    const float shrink = expf(own.largest[i] - base);
    own.largest[i] = most;
    own.total[i] *= shrink;
    for (int c = 0; c < Sizes<kDims>::kOwnKeys; ++c) {
      scores[i][c] = expf(scores[i][c] - base);
      own.total[i] += scores[i][c];
    }
    GLASSBOX_UNROLL
    for (int s = 0; s < Sizes<kDims>::kSlices; ++s) {
      for (int d = 0; d < kOwn; ++d) own.sum[i][s][d] *= shrink;
    }
  }
}

// sum += weights · values
template <int kDims>
__device__ void mix_values(const AttentionArgs& args, Own<kDims>& own, GroupShared<kDims>& shared) {
  const float* values = shared.values() + own.part * kOwn;
  for (int key = 0; key < Sizes<kDims>::kKeys; ++key) {
    float a[kOwn];
    read_floats(&shared.weights[key][own.first_query], a);
    GLASSBOX_UNROLL
    for (int s = 0; s < Sizes<kDims>::kSlices; ++s) {
      if (s * kParts * kOwn + own.part * kOwn >= args.head_dim) break;
      float b[kOwn];
      read_floats(values + key * args.head_dim + s * kParts * kOwn, b);
      GLASSBOX_UNROLL
      for (int i = 0; i < kOwn; ++i) {
        for (int d = 0; d < kOwn; ++d) own.sum[i][s][d] = fmaf(a[i], b[d], own.sum[i][s][d]);
      }
    }
  }
}

// The keys that one of the run's rows sees begin and end there.
__device__ void limits_of(const AttentionArgs& args, const Run& run, int& first, int& end) {
  const int m = own_lane();
  const int position = m < run.queries() ? args.rows[run.row(m)].position : -1;
  first = position < 0 ? INT_MAX : first_seen_of(args, position);
  end = position + 1;
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    first = min(first, __shfl_xor_sync(kAllLanes, first, lanes));
    end = max(end, __shfl_xor_sync(kAllLanes, end, lanes));
  }
}

template <int kDims>
__device__ void load_queries(const AttentionArgs& args, const Run& run, const float* q, QueryShared<kDims>& shared) {
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (int m = own_warp(); m < kQueries; m += warps) {
    const float* query = m < run.queries() ? q + run.vector(args, m) : nullptr;
    for (int d = own_lane(); d < args.head_dim; d += kWarp) shared.query[d][m] = query == nullptr ? 0.0f : query[d];
  }
}

// The threads' sums of the keys, of both groups together, to z.
template <int kDims>
__device__ void finish(const AttentionArgs& args, const Run& run, Own<kDims>& own, QueryShared<kDims>& shared,
                       GroupShared<kDims>* groups, float* z) {
  constexpr int kSlices = Sizes<kDims>::kSlices;
  const int thread = static_cast<int>(threadIdx.x) % kGroupThreads,
            group = static_cast<int>(threadIdx.x) / kGroupThreads;
  const bool merges = static_cast<int>(blockDim.x) > kGroupThreads;
  GLASSBOX_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    for (int lanes = 2; lanes < kWarp; lanes *= 2) own.total[i] += __shfl_xor_sync(kAllLanes, own.total[i], lanes);
  }
  // The second group's sums of a thread go to the same thread of the first.
  float* sums = groups[merges ? 1 : 0].tiles + thread;
  __syncthreads();  // the last tile has been read
  if (group == 1) {
    GLASSBOX_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      GLASSBOX_UNROLL
      for (int v = 0; v < kSlices * kOwn; ++v) {
        sums[(i * kSlices * kOwn + v) * kGroupThreads] = own.sum[i][v / kOwn][v % kOwn];
      }
      if (own.part == 0) {
        shared.other_largest[own.first_query + i] = own.largest[i];
        shared.other_total[own.first_query + i] = own.total[i];
      }
    }
  }
  __syncthreads();
  if (group != 0) return;
  GLASSBOX_UNROLL
  for (int i = 0; i < kOwn; ++i) {
    const int m = own.first_query + i;
    if (m >= run.queries()) break;
    float most = own.largest[i], factor = 1.0f, other = 0.0f, all = own.total[i];
    if (merges) {
      most = fmaxf(own.largest[i], shared.other_largest[m]);
      factor = expf(own.largest[i] - most);
      other = expf(shared.other_largest[m] - most);
      all = fmaf(own.total[i], factor, shared.other_total[m] * other);
    }
    float* out = z + run.vector(args, m) + own.part * kOwn;
    GLASSBOX_UNROLL
    for (int s = 0; s < kSlices; ++s) {
      if (s * kParts * kOwn + own.part * kOwn >= args.head_dim) break;
      float of_all[kOwn];
      for (int d = 0; d < kOwn; ++d) {
        of_all[d] = own.sum[i][s][d] * factor;
        if (merges) of_all[d] = fmaf(sums[((i * kSlices + s) * kOwn + d) * kGroupThreads], other, of_all[d]);
      }
      *reinterpret_cast<float4*>(out + s * kParts * kOwn) =
          make_float4(of_all[0] / all, of_all[1] / all, of_all[2] / all, of_all[3] / all);
    }
    if (own.part == 0) {
      shared.largest[m] = most;
      shared.total[m] = all;
    }
  }
}

// What is wanted with a key axis beyond the scores that were kept: hidden keys, and weights instead of their scores.
template <int kDims>
__device__ void finish_keys(const AttentionArgs& args, const Run& run, const QueryShared<kDims>& shared,
                            const KeyRow* scores, const KeyRow* pattern) {
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (int m = own_warp(); m < run.queries(); m += warps) {
    const int length = args.rows[run.row(m)].position + 1, first_seen = first_seen_of(args, length - 1);
    float* of_scores = scores == nullptr ? nullptr : run.keys(scores, m);
    if (of_scores != nullptr) {
      const int64_t width = scores[run.row(m)].width;
      for (int64_t j = length + own_lane(); j < width; j += kWarp) of_scores[j] = kNothing;
    }
    float* weights = pattern == nullptr ? nullptr : run.keys(pattern, m);
    if (weights == nullptr) continue;
    const int64_t width = pattern[run.row(m)].width > length ? pattern[run.row(m)].width : length;
    for (int64_t j = own_lane(); j < width; j += kWarp) {
      const bool seen = j >= first_seen && j < length;
      weights[j] = seen ? expf(weights[j] - shared.largest[m]) / shared.total[m] : 0.0f;
    }
  }
}

template <class Raw, int kDims>
__device__ void attend(const AttentionArgs& args, const Run& run, const float* q, float* z, const KeyRow* scores,
                       const KeyRow* pattern, QueryShared<kDims>& shared, GroupShared<kDims>* groups) {
  constexpr int kKeys = Sizes<kDims>::kKeys, kOwnKeys = Sizes<kDims>::kOwnKeys;
  const int group_count = static_cast<int>(blockDim.x) / kGroupThreads, group = own_warp() / kGroupWarps;
  GroupShared<kDims>& tiles = groups[group];
  std::byte* const* blocks = args.sequences[args.rows[run.first_row].sequence];
  const int kv_head = run.first_head / (args.heads / args.kv_heads);
  const int64_t head = int64_t{kv_head} * kKvBlock * args.head_dim * static_cast<int>(sizeof(Raw));

  Own<kDims> own(args, run);
  int first, end;
  limits_of(args, run, first, end);
  // In tiles, counted from position 0. Which group takes which does not depend on where they begin.
  const int first_tile = scores != nullptr ? 0 : first / kKeys, end_tile = (end + kKeys - 1) / kKeys;
  const auto is_there = [&](int tile) { return tile >= first_tile && tile < end_tile; };
  const auto valid_keys = [&](int tile) { return is_there(tile) ? min(end - tile * kKeys, kKeys) : 0; };
  // `layer`: where its keys or values begin in a block; `step`: from one key to the next.
  const auto cached = [&](int tile, int64_t layer, int step) -> const Raw* {
    if (!is_there(tile)) return nullptr;
    return reinterpret_cast<const Raw*>(blocks[tile * kKeys / kKvBlock] + layer + head) +
           tile * kKeys % kKvBlock * step;
  };
  Transfer<Raw, kDims> keys;
  int turn = first_tile / group_count * group_count;
  keys.load_keys(cached(turn + group, args.keys_at, 1), args.head_dim, valid_keys(turn + group));
  load_queries(args, run, q, shared);
  for (; turn < end_tile; turn += group_count) {
    const int tile = turn + group, first_key = tile * kKeys + own.part * kOwnKeys;
    if (is_there(tile)) keys.store_keys(tiles.keys(), args.head_dim);
    Transfer<Raw, kDims> values;
    values.load_values(cached(tile, args.values_at, args.head_dim), args.head_dim, valid_keys(tile));
    __syncthreads();
    const bool has_scores = is_there(tile) && tile * kKeys <= own.last;
    const bool is_seen = has_scores && (tile + 1) * kKeys > own.first;
    if (has_scores) {
      float of_keys[kOwn][kOwnKeys] = {};
      multiply_keys(args, own, shared, tiles.keys(), of_keys);
      if (scores != nullptr) keep(scores, run, own, first_key, of_keys);
      if (is_seen) {
        GLASSBOX_UNROLL
        for (int i = 0; i < kOwn; ++i) {
          const int first_seen = first_seen_of(args, own.position[i]);
          for (int c = 0; c < kOwnKeys; ++c) {
            if (first_key + c > own.position[i] || first_key + c < first_seen) of_keys[i][c] = kNothing;
          }
        }
        if (pattern != nullptr) keep(pattern, run, own, first_key, of_keys);
        weigh(own, of_keys);
        for (int c = 0; c < kOwnKeys; ++c) {
          *reinterpret_cast<float4*>(&tiles.weights[own.part * kOwnKeys + c][own.first_query]) =
              make_float4(of_keys[0][c], of_keys[1][c], of_keys[2][c], of_keys[3][c]);
        }
      }
    }
    if (is_there(tile)) values.store_values(tiles.values(), args.head_dim);
    keys.load_keys(cached(tile + group_count, args.keys_at, 1), args.head_dim, valid_keys(tile + group_count));
    __syncthreads();
    if (is_seen) mix_values(args, own, tiles);
  }
  finish(args, run, own, shared, groups, z);
  if (scores == nullptr && pattern == nullptr) return;
  __syncthreads();
  finish_keys(args, run, shared, scores, pattern);
}

// Blocks of threads: tiles of rows, the last rows first because they have the most keys, by groups of heads.
template <class Raw, int kDims>
__global__ void __launch_bounds__(kMostGroups* kGroupThreads, sizeof(Raw) * kDims <= 128 ? 2 : 1)
    attend_tiles(AttentionArgs args, int rows_per_tile, int heads_per_tile, const float* q, float* z,
                 const KeyRow* scores, const KeyRow* pattern) {
  GLASSBOX_DYNAMIC_SHARED(shared, QueryShared<kDims>);
  auto* groups = reinterpret_cast<GroupShared<kDims>*>(shared + 1);
  const int per_kv_head = args.heads / args.kv_heads, parts = (per_kv_head + heads_per_tile - 1) / heads_per_tile;
  const int kv_head = static_cast<int>(blockIdx.y) / parts, part = static_cast<int>(blockIdx.y) % parts;
  Run run;
  run.first_head = kv_head * per_kv_head + part * heads_per_tile;
  run.heads = min(heads_per_tile, per_kv_head - part * heads_per_tile);
  run.first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * rows_per_tile;
  const int end = min(run.first_row + rows_per_tile, args.row_count);
  // Nearly always the rows are of one sequence.
  while (run.first_row < end) {
    const int sequence = args.rows[run.first_row].sequence;
    run.rows = 1;
    while (run.first_row + run.rows < end && args.rows[run.first_row + run.rows].sequence == sequence) ++run.rows;
    attend<Raw, kDims>(args, run, q, z, scores, pattern, *shared, groups);
    run.first_row += run.rows;
    __syncthreads();  // what the next rows write there has been read
  }
}

template <class Raw, int kDims>
cudaError_t start(const AttentionArgs& args, const float* q, float* z, const KeyRow* scores, const KeyRow* pattern,
                  size_t most_shared, cudaStream_t stream) {
  int groups = kMostGroups;
  while (groups > 1 && shared_bytes<kDims>(groups) > most_shared) --groups;
  const size_t bytes = shared_bytes<kDims>(groups);
  const auto kernel = attend_tiles<Raw, kDims>;
  if (const cudaError_t e =
          cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes))) {
    return e;
  }
  const int per_kv_head = args.heads / args.kv_heads;
  const int heads_per_tile = per_kv_head < kQueries ? per_kv_head : kQueries, rows_per_tile = kQueries / heads_per_tile;
  const dim3 grid(static_cast<unsigned>((args.row_count + rows_per_tile - 1) / rows_per_tile),
                  static_cast<unsigned>(args.kv_heads * ((per_kv_head + heads_per_tile - 1) / heads_per_tile)));
  return launch(kernel, grid, dim3(static_cast<unsigned>(groups * kGroupThreads)), bytes, stream, args, rows_per_tile,
                heads_per_tile, q, z, scores, pattern);
}

size_t shared_bytes_needed(int head_dim) {
  return head_dim <= 64 ? shared_bytes<64>(1) : head_dim <= 128 ? shared_bytes<128>(1) : shared_bytes<256>(1);
}

size_t shared_bytes_of_device() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) != cudaSuccess) {
    return 0;
  }
  return static_cast<size_t>(bytes);
}

}  // namespace

bool has_few_rows_each(const AttentionArgs& args) {
  constexpr int kRowsOfASequence = 4;
  return args.row_count < kRowsOfASequence * args.sequence_count;
}

bool suits_tiles(const AttentionArgs& args) {
  return args.row_count > kFewRows && !has_few_rows_each(args) && args.head_dim % kOctet == 0 &&
         args.head_dim <= kMostHeadDim && args.keys_at % 16 == 0 && args.values_at % 16 == 0 &&
         shared_bytes_needed(args.head_dim) <= shared_bytes_of_device();
}

cudaError_t attention_tiles(const AttentionArgs& args, const float* q, float* z, const KeyRow* scores,
                            const KeyRow* pattern, cudaStream_t stream, size_t most_shared) {
  if (most_shared == 0) most_shared = shared_bytes_of_device();
  if (args.head_dim % kOctet != 0 || args.head_dim > kMostHeadDim || shared_bytes_needed(args.head_dim) > most_shared) {
    return cudaErrorInvalidValue;
  }
  const auto begin = [&](auto raw) {
    using Raw = decltype(raw);
    const auto kernel = args.head_dim <= 64 ? start<Raw, 64> : args.head_dim <= 128 ? start<Raw, 128> : start<Raw, 256>;
    return kernel(args, q, z, scores, pattern, most_shared, stream);
  };
  return args.dtype == DType::f16 ? begin(uint16_t{}) : begin(uint32_t{});
}

}  // namespace glassbox::cuda
