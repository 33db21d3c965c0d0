// Cuts attention into tiles: some neighbouring rows of one sequence times the query heads of one key/value head.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"

namespace glassbox::cpu {
namespace {

static_assert(kKvBlock == 64, "the kernels' chunk");

constexpr size_t kTileRows = 4;      // neighbouring rows that read the same keys together
constexpr size_t kTileQueries = 32;  // most queries of one kernel call
// Scores of fewer keys than this are done before another thread is awake.
constexpr int64_t kParallelKeys = 64;

int64_t whole_blocks(int64_t keys) {
  return (keys + kKvBlock - 1) / kKvBlock * kKvBlock;
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
};

void CpuOps::attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                       std::span<const KeyRow> pattern) {
  attend({.args = args, .q = q, .z = z, .scores = scores, .pattern = pattern});
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

void CpuOps::attend(const AttentionCall& call) {
  const AttentionArgs& args = call.args;
  if (args.rows.empty()) return;
  const size_t group = static_cast<size_t>(args.heads / args.kv_heads);
  const size_t most_rows = std::clamp<size_t>(kTileQueries / group, 1, kTileRows);
  int64_t keys = 0, longest = 0;
  for (const RowPosition& row : args.rows) {
    keys += row.position + 1;
    longest = std::max<int64_t>(longest, row.position + 1);
  }
  reserve_scratch(kTileQueries * static_cast<size_t>(whole_blocks(longest)) *
                  sizeof(float));  // a row of scores a query

  // Tiles start where the sequence or the run of positions breaks, so their number is counted first.
  tile_starts_.clear();
  for (size_t r = 0; r < args.rows.size();) {
    tile_starts_.push_back(r);
    size_t end = r + 1;
    while (end < args.rows.size() && end - r < most_rows && args.rows[end].sequence == args.rows[r].sequence &&
           args.rows[end].position == args.rows[end - 1].position + 1) {
      ++end;
    }
    r = end;
  }
  tile_starts_.push_back(args.rows.size());
  const int64_t runs = static_cast<int64_t>(tile_starts_.size()) - 1;
  const auto tile = [&](int worker, int64_t index) {
    const size_t run = static_cast<size_t>(runs - 1 - index / args.kv_heads);  // the longest first
    attend_tile(call, worker, tile_starts_[run], tile_starts_[run + 1] - tile_starts_[run],
                static_cast<int>(index % args.kv_heads));
  };
  if (keys * args.heads < kParallelKeys * 8) {
    for (int64_t i = 0; i < runs * args.kv_heads; ++i) tile(0, i);
  } else {
    pool_.parallel_for(runs * args.kv_heads, tile);
  }
}

void CpuOps::attend_tile(const AttentionCall& call, int worker, size_t first_row, size_t row_count, int kv_head) {
  const AttentionArgs& args = call.args;
  const size_t group = static_cast<size_t>(args.heads / args.kv_heads);
  const int64_t longest = args.rows[first_row + row_count - 1].position + 1;
  const int64_t stride = whole_blocks(longest);
  const KvSpan& cache = args.sequences[static_cast<size_t>(args.rows[first_row].sequence)];

  std::array<int32_t, kTileQueries> lengths;
  std::array<const float*, kTileQueries> query;
  std::array<float*, kTileQueries> weights, out;
  AttentionTile tile{};
  tile.head_offset = int64_t{kv_head} * kKvBlock * args.head_dim * dtype_info(cache.dtype).block_bytes;
  tile.dtype = cache.dtype;
  tile.head_dim = args.head_dim;
  tile.lengths = lengths.data();
  tile.query = query.data();
  tile.weights = weights.data();
  tile.out = out.data();
  tile.scale = args.scale;
  tile.soft_cap = args.soft_cap;

  const auto low = [&](size_t row) -> int64_t {  // the first key that the row's window leaves
    return args.window > 0 ? std::max(0, args.rows[row].position + 1 - args.window) : 0;
  };
  bool all_scores = false;
  for (size_t r = first_row; r < first_row + row_count; ++r) {
    all_scores = all_scores || row_or_none(call.scores, r).data != nullptr;
  }
  const int64_t first_block = low(first_row) / kKvBlock;

  const size_t heads_together = std::max<size_t>(1, std::min(group, kTileQueries / row_count));
  for (size_t first_head = 0; first_head < group; first_head += heads_together) {
    const size_t heads = std::min(heads_together, group - first_head);
    tile.queries = static_cast<int>(row_count * heads);
    const auto for_queries = [&](const auto& visit) {  // visit(query, row, head)
      for (size_t i = 0; i < row_count * heads; ++i) {
        visit(i, first_row + i / heads, static_cast<size_t>(kv_head) * group + first_head + i % heads);
      }
    };
    const auto in = [](KeyRow row, size_t head) { return row.data + static_cast<int64_t>(head) * row.head_stride; };
    for_queries([&](size_t i, size_t row, size_t head) {
      const size_t vector = (row * static_cast<size_t>(args.heads) + head) * static_cast<size_t>(args.head_dim);
      lengths[i] = args.rows[row].position + 1;
      query[i] = call.q == nullptr ? nullptr : call.q + vector;
      out[i] = call.z == nullptr ? nullptr : call.z + vector;
      weights[i] = reinterpret_cast<float*>(scratch(worker)) + static_cast<int64_t>(i) * stride;
    });

    if (call.q != nullptr) {
      tile.blocks = cache.keys;
      tile.first_block = all_scores ? 0 : first_block;
      kernels_.scores(tile);
      for_queries([&](size_t i, size_t row, size_t head) {
        const KeyRow wanted = row_or_none(call.scores, row);
        if (wanted.data != nullptr)
          std::memcpy(in(wanted, head), weights[i], sizeof(float) * static_cast<size_t>(lengths[i]));
      });
    }
    if (call.z != nullptr && call.q != nullptr) {
      for_queries([&](size_t i, size_t row, size_t head) {
        kernels_.softmax(weights[i], low(row), lengths[i], weights[i]);
        const KeyRow wanted = row_or_none(call.pattern, row);
        if (wanted.data != nullptr)
          std::memcpy(in(wanted, head), weights[i], sizeof(float) * static_cast<size_t>(lengths[i]));
      });
    } else if (!call.given_scores.empty()) {
      for_queries([&](size_t i, size_t row, size_t head) {
        kernels_.softmax(in(call.given_scores[row], head), low(row), lengths[i], in(call.pattern[row], head));
      });
    }
    if (call.z != nullptr) {
      tile.blocks = cache.values;
      tile.first_block = call.q != nullptr ? first_block : 0;  // an edited pattern may reach beyond the window
      if (call.q == nullptr) {
        for_queries([&](size_t i, size_t row, size_t head) { weights[i] = in(call.given_pattern[row], head); });
      }
      kernels_.mix(tile);
    }
  }
}

void CpuOps::kv_store(const AttentionArgs& args, const float* k, const float* v) {
  const int64_t columns = int64_t{args.kv_heads} * args.head_dim;
  for_rows(static_cast<int64_t>(args.rows.size()), columns, [&](int64_t r) {
    const RowPosition& row = args.rows[static_cast<size_t>(r)];
    const KvSpan& cache = args.sequences[static_cast<size_t>(row.sequence)];
    const int64_t value_bytes = dtype_info(cache.dtype).block_bytes;
    const auto store = [&](const float* from, std::byte* to) {
      if (cache.dtype == DType::f16) {
        kernels_.to_f16(from, args.head_dim, reinterpret_cast<uint16_t*>(to));
      } else {
        std::memcpy(to, from, static_cast<size_t>(args.head_dim) * sizeof(float));
      }
    };
    for (int64_t g = 0; g < args.kv_heads; ++g) {
      const int64_t place = (g * kKvBlock + row.position % kKvBlock) * args.head_dim * value_bytes;
      const int64_t from = r * columns + g * args.head_dim;
      store(k + from, cache.keys[row.position / kKvBlock] + place);
      store(v + from, cache.values[row.position / kKvBlock] + place);
    }
  });
}

}  // namespace glassbox::cpu
