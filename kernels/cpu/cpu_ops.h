// The fast CPU backend: cuts operations into tiles for the threads and hands these to the kernels of the instruction
// set. One object is used by one thread at a time. Scratch memory belongs to the object; it grows to what the largest
// call needed and is kept, so that a steady state allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/rope_table.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops.h"

namespace glassbox::cpu {

class CpuOps : public Ops {
 public:
  CpuOps(const KernelTable& kernels, int threads, bool pin_threads);

  std::string description() const override;
  void embed(const Tensor& table, std::span<const int32_t> ids, float* out) override;
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override;
  void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                 float* out) override;
  void linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) override;
  void rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
            float attention_factor, float* out) override;
  void kv_store(const AttentionArgs& args, const float* k, const float* v) override;
  void attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                 std::span<const KeyRow> pattern, const PatternSummary& summary) override;
  void attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) override;
  void attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                         std::span<const KeyRow> pattern) override;
  void attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) override;
  void summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                         const PatternSummary& summary) override;
  void add(const float* a, const float* b, int64_t n, float* out) override;
  void multiply(const float* a, const float* b, int64_t n, float* out) override;
  void silu(const float* x, int64_t n, float* out) override;
  void gelu_tanh(const float* x, int64_t n, float* out) override;

 private:
  // Waking the other threads costs about a microsecond; below this many floats one thread is done sooner.
  static constexpr int64_t kParallelElements = 32768;
  static constexpr int64_t kPartElements = 8192;

  struct AttentionCall;                       // what one of the four attention functions reads and writes
  static constexpr size_t kTileQueries = 32;  // most queries of one kernel call
  // Queries that share a key/value head, with the arrays that the kernels' description of them points into.
  struct AttentionGroup {
    size_t first_row, row_count, first_head, head_count;
    AttentionTile tile;
    std::array<int32_t, kTileQueries> lengths;
    std::array<const float*, kTileQueries> query;
    std::array<float*, kTileQueries> weights, out;
    int64_t first_block, longest;
    size_t first_query;  // of all the groups' queries, where the keys are split
    bool all_scores;     // also those that the window hides

    size_t queries() const { return row_count * head_count; }
    size_t row(size_t query_index) const { return first_row + query_index / head_count; }
    size_t head(size_t query_index) const { return first_head + query_index % head_count; }
  };

  const QuantisedBlock* quantise(const float* x, int64_t rows, int64_t columns);
  void pack_missing(std::span<const Projection> layers);
  void attend(const AttentionCall& call);
  void attend_split(const AttentionCall& call, size_t row_floats, size_t together);
  void describe_group(const AttentionCall& call, size_t kv_head, AttentionGroup& group) const;
  static void place_weights(float* rows, size_t row_floats, AttentionGroup& group);
  static AttentionTile keys_of(const AttentionCall& call, const AttentionGroup& group);
  static AttentionTile values_of(const AttentionCall& call, const AttentionGroup& group);
  void weigh(const AttentionCall& call, AttentionGroup& group, size_t query);
  template <class T>
  void store_row(const AttentionArgs& args, int place, const float* k, const float* v, T* keys, T* values) const;
  // body(first, count) over 0 … n in parts, on several threads when `n` is worth it. Parts are whole registers.
  template <class Body>
  void for_parts(int64_t n, const Body& body);
  // body(row) for all rows, on several threads when rows · columns is worth it.
  template <class Body>
  void for_rows(int64_t rows, int64_t columns, const Body& body);
  // At least `bytes` for each worker, aligned to 64; what was there before is lost.
  void reserve_scratch(size_t bytes);
  std::byte* scratch(int worker) const { return scratch_[static_cast<size_t>(worker)].data(); }

  const KernelTable& kernels_;
  ThreadPool pool_;
  std::vector<Buffer> scratch_;  // one a worker
  Buffer quantised_;             // rows of x in 8 bits, shared by the workers
  Buffer packed_;                // weights that came without their packed form
  std::vector<RopeTable> rope_tables_;
  std::vector<size_t> tile_starts_;  // rows at which attention's runs start, and their end
  std::vector<AttentionGroup> groups_;
  Buffer split_;  // weights and sums of attention that is split along the keys
};

template <class Body>
void CpuOps::for_rows(int64_t rows, int64_t columns, const Body& body) {
  const int64_t together = rows * columns < kParallelElements ? rows : std::max<int64_t>(1, kPartElements / columns);
  if (together == 0) return;
  pool_.parallel_for((rows + together - 1) / together, [&](int, int64_t part) {
    const int64_t end = std::min(rows, (part + 1) * together);
    for (int64_t r = part * together; r < end; ++r) body(r);
  });
}

}  // namespace glassbox::cpu
