// Rows, queries and a key/value cache for operations of attention, in the host's memory and ready to be taken to
// another.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/support/ops_testing.h"

namespace glassbox::testing {

struct Shape {
  int heads, kv_heads, head_dim;
};

// The caches of some sequences in one piece of memory, in blocks that are poisoned with NaN where nothing was stored.
// Before a block's keys and values lies what another layer would have.
class CacheBytes {
 public:
  CacheBytes(const Shape& shape, DType dtype, const std::vector<int32_t>& lengths)
      : dtype_(dtype),
        side_(static_cast<size_t>(shape.kv_heads * kKvBlock * shape.head_dim * dtype_info(dtype).block_bytes)) {
    for (const int32_t length : lengths) {
      first_.push_back(blocks_);
      blocks_ += static_cast<size_t>((length + kKvBlock - 1) / kKvBlock);
    }
    memory_ = Buffer(blocks_ * block_bytes());
    std::memset(memory_.data(), 0xff, memory_.bytes());  // NaN in both types
  }
  const Buffer& memory() const { return memory_; }
  // Where the blocks are when the bytes lie at `memory`, and where each sequence's part of that table is when it lies
  // at `table`. The last block comes first, so that none follows the one before it.
  std::vector<std::byte*> table_of(std::byte* memory) const {
    std::vector<std::byte*> table;
    for (size_t b = 0; b < blocks_; ++b) table.push_back(memory + (blocks_ - 1 - b) * block_bytes());
    return table;
  }
  std::vector<std::byte* const*> sequences_of(std::byte* const* table) const {
    std::vector<std::byte* const*> sequences;
    for (const size_t first : first_) sequences.push_back(table + first);
    return sequences;
  }
  // Everything but where the sequences are.
  void describe(AttentionArgs& args) const {
    args.sequence_count = static_cast<int>(first_.size());
    args.keys_at = kGap;
    args.values_at = static_cast<int64_t>(side_ + 2 * kGap);
    args.dtype = dtype_;
  }

 private:
  static constexpr size_t kGap = 64;
  size_t block_bytes() const { return 2 * (side_ + kGap); }
  DType dtype_;
  size_t side_, blocks_ = 0;
  std::vector<size_t> first_;
  Buffer memory_;
};

// Rows first … end − 1 of a sequence.
inline std::vector<RowPosition> positions(int32_t sequence, int32_t first, int32_t end) {
  std::vector<RowPosition> rows;
  for (int32_t p = first; p < end; ++p) rows.push_back({sequence, p});
  return rows;
}
// The last ones of one sequence of `length` keys.
inline std::vector<RowPosition> last_rows(int32_t length, int32_t count) {
  return positions(0, std::max(0, length - count), length);
}

// Some rows of some sequences, whose keys are all stored.
struct AttentionCase {
  AttentionCase(const Shape& s, DType dtype, const std::vector<int32_t>& lengths, std::vector<RowPosition> r)
      : shape(s), cache(s, dtype, lengths), rows(std::move(r)) {
    table = cache.table_of(cache.memory().data());
    sequences = cache.sequences_of(table.data());
    cache.describe(host);
    host.sequences = sequences.data();
    set_rows(host, rows);
    host.heads = s.heads;
    host.kv_heads = s.kv_heads;
    host.head_dim = s.head_dim;
    host.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
    q = random_floats(rows.size() * static_cast<size_t>(s.heads * s.head_dim), 1, 1.5f);
    std::vector<RowPosition> all;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const std::vector<RowPosition> own = positions(static_cast<int32_t>(i), 0, lengths[i]);
      all.insert(all.end(), own.begin(), own.end());
    }
    const size_t n = all.size() * static_cast<size_t>(s.kv_heads * s.head_dim);
    AttentionArgs store = host;
    set_rows(store, all);
    make_reference_ops()->kv_store(store, random_floats(n, 2).data(), random_floats(n, 3).data());
  }
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  Shape shape;
  CacheBytes cache;
  std::vector<RowPosition> rows;
  std::vector<std::byte*> table;
  std::vector<std::byte* const*> sequences;
  AttentionArgs host;
  std::vector<float> q;
};

}  // namespace glassbox::testing
