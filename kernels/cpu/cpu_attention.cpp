// Cuts attention into tiles: some neighbouring rows of one sequence times the query heads of one key/value head.
#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "kernels/cpu/cpu_ops.h"

namespace glassbox::cpu {
namespace {

static_assert(kKvBlock == 64, "the kernels' chunk");

constexpr size_t kTileRows = 4;  // neighbouring rows that read the same keys together
// Fewer groups for each thread than this leave some threads without work at the end; then blocks of keys are shared
// out.
constexpr int64_t kGroupsPerThread = 4;
constexpr int64_t kSplitKeys = 256;  // below, three more phases cost more than they bring
constexpr int64_t kSplitBlocks = 8;  // in one part
// Scores of fewer keys than this are done before another thread is awake.
constexpr int64_t kParallelKeys = 64;

int64_t whole_blocks(int64_t keys) {
  return (keys + kKvBlock - 1) / kKvBlock * kKvBlock;
}

// The first key that the row's window leaves.
int64_t first_key(const AttentionArgs& args, size_t row) {
  return args.window > 0 ? std::max(0, args.rows[row].position + 1 - args.window) : 0;
}

KeyRow row_or_none(std::span<const KeyRow> rows, size_t r) {
  return rows.empty() ? KeyRow{} : rows[r];
}

}  // namespace

// Null or empty is what a function does not do. `given` is what attention_softmax and attention_mix start from.
struct CpuOps::AttentionCall {
  const AttentionArgs& args;
  const float* q = nullptr;
  float* z = nullptr;
  std::span<const KeyRow> scores = {};
  std::span<const KeyRow> pattern = {};
  std::span<const KeyRow> given_scores = {};
  std::span<const KeyRow> given_pattern = {};
  PatternSummary summary = {};
};

void CpuOps::attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                       std::span<const KeyRow> pattern, const PatternSummary& summary) {
  attend({.args = args, .q = q, .z = z, .scores = scores, .pattern = pattern, .summary = summary});
}

void CpuOps::attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) {
  attend({.args = args, .q = q, .scores = scores});
}

void CpuOps::attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                               std::span<const KeyRow> pattern) {
  attend({.args = args, .pattern = pattern, .given_scores = scores});
}

void CpuOps::attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) {
  attend({.args = args, .z = z, .given_pattern = pattern});
}

void CpuOps::summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                               const PatternSummary& summary) {
  for_rows(args.row_count, int64_t{args.heads} * args.longest, [&](int64_t r) {
    AttentionArgs one = args;
    one.rows += r;
    one.row_count = 1;
    Ops::summarise_pattern(one, pattern.subspan(static_cast<size_t>(r), 1), summary.from(r * args.heads));
  });
}

void CpuOps::attend(const AttentionCall& call) {
  const AttentionArgs& args = call.args;
  const std::span<const RowPosition> rows = args.all_rows();
  if (rows.empty()) return;
  const size_t heads = static_cast<size_t>(args.heads), kv_heads = static_cast<size_t>(args.kv_heads);
  const size_t shared = heads / kv_heads, heads_together = std::min(shared, kTileQueries);
  const size_t most_rows = std::clamp<size_t>(kTileQueries / shared, 1, kTileRows);
  int64_t keys = 0, longest = 0;
  for (const RowPosition& row : rows) {
    keys += row.position + 1;
    longest = std::max<int64_t>(longest, row.position + 1);
  }

  // Runs end where the sequence or the row of positions breaks, so their number is counted first.
  tile_starts_.clear();
  for (size_t r = 0; r < rows.size();) {
    tile_starts_.push_back(r);
    size_t end = r + 1;
    while (end < rows.size() && end - r < most_rows && rows[end].sequence == rows[r].sequence &&
           rows[end].position == rows[end - 1].position + 1) {
      ++end;
    }
    r = end;
  }
  tile_starts_.push_back(rows.size());
  const size_t runs = tile_starts_.size() - 1, parts = (shared + heads_together - 1) / heads_together;
  const int64_t groups = static_cast<int64_t>(runs * kv_heads * parts);
  const auto describe = [&](int64_t index, AttentionGroup& group) {
    const size_t i = static_cast<size_t>(index), run = runs - 1 - i / (kv_heads * parts);  // the longest first
    const size_t kv_head = i / parts % kv_heads, first_head = i % parts * heads_together;
    group.first_row = tile_starts_[run];
    group.row_count = tile_starts_[run + 1] - tile_starts_[run];
    group.first_head = kv_head * shared + first_head;
    group.head_count = std::min(heads_together, shared - first_head);
    describe_group(call, kv_head, group);
  };
  const size_t row_floats = static_cast<size_t>(whole_blocks(longest));

  if (pool_.threads() > 1 && groups < pool_.threads() * kGroupsPerThread && longest >= kSplitKeys) {
    groups_.resize(static_cast<size_t>(groups));
    for (int64_t i = 0; i < groups; ++i) describe(i, groups_[static_cast<size_t>(i)]);
    return attend_split(call, row_floats, kv_heads * parts);
  }
  reserve_scratch(kTileQueries * row_floats * sizeof(float));  // a row of scores a query
  const auto whole_group = [&](int worker, int64_t index) {
    AttentionGroup group;
    describe(index, group);
    place_weights(reinterpret_cast<float*>(scratch(worker)), row_floats, group);
    if (call.q != nullptr) kernels_.scores(keys_of(call, group));
    for (size_t i = 0; i < group.queries(); ++i) weigh(call, group, i);
    if (call.z != nullptr) kernels_.mix(values_of(call, group));
  };
  if (keys * args.heads < kParallelKeys * 8) {
    for (int64_t i = 0; i < groups; ++i) whole_group(0, i);
  } else {
    pool_.parallel_for(groups, whole_group);
  }
}

// Few groups with many keys, a step of decoding: the blocks of keys are shared out too. The sums over the values of
// each block are kept and added up in the blocks' order, as the kernels do it for a whole group: the bits are the same.
// `together`: as many groups, one after the other, read the same blocks, which hold their heads side by side.
void CpuOps::attend_split(const AttentionCall& call, size_t row_floats, size_t together) {
  const size_t dim = static_cast<size_t>(call.args.head_dim);
  size_t queries = 0;
  int64_t most_blocks = 0;
  for (const AttentionGroup& group : groups_) {
    queries += group.queries();
    most_blocks = std::max(most_blocks, group.tile.end_block);
  }
  const size_t sum_floats = static_cast<size_t>(most_blocks) * dim;  // of a query
  const size_t bytes = queries * (row_floats + sum_floats) * sizeof(float);
  if (split_.bytes() < bytes) split_ = Buffer(bytes);
  float *next = split_.f32(), *const sums = next + queries * row_floats;
  size_t first_query = 0;
  for (AttentionGroup& group : groups_) {
    place_weights(next, row_floats, group);
    next += group.queries() * row_floats;
    group.first_query = first_query;
    first_query += group.queries();
  }

  const int64_t parts = (most_blocks + kSplitBlocks - 1) / kSplitBlocks;
  const auto runs = static_cast<int64_t>(groups_.size() / together);
  // work(group, tile) for each block and group; tile_of(call, group) says what the group reads of all blocks.
  const auto for_blocks = [&](const auto& tile_of, const auto& work) {
    pool_.parallel_for(runs * parts, [&](int, int64_t index) {
      const auto first_group = groups_.begin() + static_cast<ptrdiff_t>(index / parts * static_cast<int64_t>(together));
      const int64_t first = index % parts * kSplitBlocks;
      for (int64_t block = first; block < first + kSplitBlocks; ++block) {
        for (size_t i = 0; i < together; ++i) {
          AttentionGroup& group = first_group[static_cast<ptrdiff_t>(i)];
          AttentionTile tile = tile_of(call, group);
          if (block < tile.first_block || block >= tile.end_block) continue;
          const bool last_here = i + 1 == together;
          if (!last_here || block + 1 < tile.end_block) {
            const AttentionGroup& after = first_group[last_here ? 0 : static_cast<ptrdiff_t>(i + 1)];
            tile.ahead = tile.blocks[last_here ? block + 1 : block] + tile_of(call, after).head_offset;
          }
          tile.first_block = block;
          tile.end_block = block + 1;
          work(group, tile);
        }
      }
    });
  };
  const auto for_queries = [&](const auto& work) {  // work(group, its query)
    pool_.parallel_for(static_cast<int64_t>(queries), [&](int, int64_t index) {
      const auto query = static_cast<size_t>(index);
      size_t g = groups_.size() - 1;
      while (groups_[g].first_query > query) --g;
      work(groups_[g], query - groups_[g].first_query);
    });
  };

  if (call.q != nullptr)
    for_blocks(keys_of, [&](AttentionGroup&, const AttentionTile& tile) { kernels_.scores(tile); });
  for_queries([&](AttentionGroup& group, size_t i) { weigh(call, group, i); });
  if (call.z == nullptr) return;
  const auto sum_of = [&](const AttentionGroup& group, size_t i, int64_t block) {
    return sums + (group.first_query + i) * sum_floats + static_cast<size_t>(block) * dim;
  };
  for_blocks(values_of, [&](AttentionGroup& group, AttentionTile& tile) {
    std::array<float*, kTileQueries> out;
    for (size_t i = 0; i < group.queries(); ++i) out[i] = sum_of(group, i, tile.first_block);
    tile.out = out.data();
    kernels_.mix(tile);
  });
  for_queries([&](AttentionGroup& group, size_t i) {
    std::memset(group.out[i], 0, dim * sizeof(float));
    const int64_t end = whole_blocks(group.lengths[i]) / kKvBlock;
    for (int64_t block = values_of(call, group).first_block; block < end; ++block) {
      kernels_.add(group.out[i], sum_of(group, i, block), call.args.head_dim, group.out[i]);
    }
  });
}

// Everything but where the weights lie.
void CpuOps::describe_group(const AttentionCall& call, size_t kv_head, AttentionGroup& group) const {
  const AttentionArgs& args = call.args;
  AttentionTile& tile = group.tile;
  tile = {};
  tile.head_offset = static_cast<int64_t>(kv_head) * kKvBlock * args.head_dim * dtype_info(args.dtype).block_bytes;
  tile.dtype = args.dtype;
  tile.blocks = args.sequences[args.rows[group.first_row].sequence];
  tile.head_dim = args.head_dim;
  tile.queries = static_cast<int>(group.queries());
  tile.lengths = group.lengths.data();
  tile.query = group.query.data();
  tile.weights = group.weights.data();
  tile.out = group.out.data();
  tile.scale = args.scale;
  tile.soft_cap = args.soft_cap;
  group.longest = args.rows[group.first_row + group.row_count - 1].position + 1;
  tile.end_block = whole_blocks(group.longest) / kKvBlock;
  group.first_block = first_key(args, group.first_row) / kKvBlock;
  group.all_scores = false;
  for (size_t r = group.first_row; r < group.first_row + group.row_count; ++r) {
    group.all_scores = group.all_scores || row_or_none(call.scores, r).data != nullptr;
  }
  for (size_t i = 0; i < group.queries(); ++i) {
    const size_t row = group.row(i);
    const size_t vector = (row * static_cast<size_t>(args.heads) + group.head(i)) * static_cast<size_t>(args.head_dim);
    group.lengths[i] = args.rows[row].position + 1;
    group.query[i] = call.q == nullptr ? nullptr : call.q + vector;
    group.out[i] = call.z == nullptr ? nullptr : call.z + vector;
  }
}

void CpuOps::place_weights(float* rows, size_t row_floats, AttentionGroup& group) {
  for (size_t i = 0; i < group.queries(); ++i) group.weights[i] = rows + i * row_floats;
}

AttentionTile CpuOps::keys_of(const AttentionCall& call, const AttentionGroup& group) {
  AttentionTile tile = group.tile;
  tile.head_offset += call.args.keys_at;
  tile.first_block = group.all_scores ? 0 : group.first_block;
  return tile;
}

AttentionTile CpuOps::values_of(const AttentionCall& call, const AttentionGroup& group) {
  AttentionTile tile = group.tile;
  tile.head_offset += call.args.values_at;
  tile.first_block = call.q != nullptr ? group.first_block : 0;  // an edited pattern may reach beyond the window
  return tile;
}

// From scores to weights for one query of a group, and both to where they are wanted.
void CpuOps::weigh(const AttentionCall& call, AttentionGroup& group, size_t query) {
  const size_t row = group.row(query), head = group.head(query);
  const int64_t length = group.lengths[query], low = first_key(call.args, row);
  const auto in = [&](KeyRow keys) { return keys.data + static_cast<int64_t>(head) * keys.head_stride; };
  const auto fill = [&](KeyRow keys, float masked) {
    if (keys.width > length) std::fill(in(keys) + length, in(keys) + keys.width, masked);
  };
  float*& weights = group.weights[query];
  if (!call.given_pattern.empty()) {
    weights = in(call.given_pattern[row]);
    return;
  }
  if (const KeyRow wanted = row_or_none(call.scores, row); wanted.data != nullptr) {
    std::memcpy(in(wanted), weights, sizeof(float) * static_cast<size_t>(length));
    fill(wanted, -std::numeric_limits<float>::infinity());
  }
  const float* scores = call.given_scores.empty() ? weights : in(call.given_scores[row]);
  if (call.z == nullptr && call.given_scores.empty()) return;
  // Straight to where the pattern is wanted, and read there by the mix.
  const KeyRow wanted = row_or_none(call.pattern, row);
  if (wanted.data != nullptr) weights = in(wanted);
  kernels_.softmax(scores, low, length, weights);
  if (wanted.data != nullptr) fill(wanted, 0.0f);
  if (!call.summary.wanted()) return;
  summarise_row(weights, static_cast<int>(length),
                call.summary.from(static_cast<int64_t>(row * static_cast<size_t>(call.args.heads) + head)));
}

void CpuOps::kv_store(const AttentionArgs& args, const float* k, const float* v) {
  const int64_t columns = int64_t{args.kv_heads} * args.head_dim;
  for_rows(args.row_count, columns, [&](int64_t r) {
    const RowPosition& row = args.rows[r];
    std::byte* const block = args.sequences[row.sequence][row.position / kKvBlock];
    std::byte *const keys = block + args.keys_at, *const values = block + args.values_at;
    if (args.dtype == DType::f16) {
      store_row(args, row.position % kKvBlock, k + r * columns, v + r * columns, reinterpret_cast<uint16_t*>(keys),
                reinterpret_cast<uint16_t*>(values));
    } else {
      store_row(args, row.position % kKvBlock, k + r * columns, v + r * columns, reinterpret_cast<float*>(keys),
                reinterpret_cast<float*>(values));
    }
  });
}

// One position's keys and values [G, D] at `place` of a block.
template <class T>
void CpuOps::store_row(const AttentionArgs& args, int place, const float* k, const float* v, T* keys, T* values) const {
  const auto convert = [&](const float* from, int n, T* to) {
    if constexpr (sizeof(T) == sizeof(float)) {
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
    } else {
      kernels_.to_f16(from, n, to);
    }
  };
  std::array<T, 64> part;
  for (int g = 0; g < args.kv_heads; ++g) {
    const int64_t head = int64_t{g} * kKvBlock * args.head_dim;
    convert(v + g * args.head_dim, args.head_dim, values + head + int64_t{place} * args.head_dim);
    for (int first = 0; first < args.head_dim; first += 64) {
      const int n = std::min(64, args.head_dim - first);
      convert(k + g * args.head_dim + first, n, part.data());
      for (int d = 0; d < n; ++d) keys[head + int64_t{first + d} * kKvBlock + place] = part[static_cast<size_t>(d)];
    }
  }
}

}  // namespace glassbox::cpu
