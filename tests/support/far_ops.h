// The reference backend with its memory out of the host's reach, as on a GPU: outside of an operation every page of it
// is closed, so that code which reads or writes it by itself crashes. Copies beside the operations are made as late as
// they may be, so that memory which is used again too early shows.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <string>

#include "kernels/ops.h"

namespace glassbox {

class FarMemory {
 public:
  static FarMemory& get() {
    static FarMemory memory;
    return memory;
  }
  Buffer allocate(size_t bytes) {
    const size_t whole = (std::max<size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
    void* data = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    pieces_[static_cast<std::byte*>(data)] = whole;
    return {static_cast<std::byte*>(data), bytes, [](std::byte* p) { get().release(p); }};
  }
  void protect(int how) {
    for (const auto& [data, bytes] : pieces_) mprotect(data, bytes, how);
  }

 private:
  static constexpr size_t kPage = 4096;
  void release(std::byte* data) {
    munmap(data, pieces_.at(data));
    pieces_.erase(data);
  }
  std::map<std::byte*, size_t> pieces_;
};

class FarOps : public Ops {
 public:
  std::string description() const override { return "far"; }
  bool on_host() const override { return false; }
  Buffer allocate(size_t bytes) override { return FarMemory::get().allocate(bytes); }
  void upload(const void* host, size_t bytes, void* to) override {
    call([&](Ops& ops) { ops.upload(host, bytes, to); });
  }
  void download(const void* from, size_t bytes, void* host) override {
    call([&](Ops& ops) { ops.download(from, bytes, host); });
  }
  void copy(const void* from, size_t bytes, void* to) override {
    call([&](Ops& ops) { ops.copy(from, bytes, to); });
  }
  void download_beside(const void* from, size_t bytes, void* host) override {
    beside_.push_back({from, bytes, host});
    bytes_beside_ += bytes;
  }
  void mark_downloads(int mark) override { marks_.at(static_cast<size_t>(mark)) = finished_ + beside_.size(); }
  void await_downloads(int mark) override { finish(marks_.at(static_cast<size_t>(mark))); }
  void wait() override { finish(finished_ + beside_.size()); }
  // What was copied beside the operations, and how many of these copies are still to be made.
  size_t bytes_beside() const { return bytes_beside_; }
  size_t unfinished() const { return beside_.size(); }

  void embed(const Tensor& table, std::span<const int32_t> ids, float* out) override {
    call([&](Ops& ops) { ops.embed(table, ids, out); });
  }
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.rmsnorm(x, weight, eps, rows, n, out); });
  }
  void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                 float* out) override {
    call([&](Ops& ops) { ops.layernorm(x, weight, bias, eps, rows, n, out); });
  }
  void linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) override {
    call([&](Ops& ops) { ops.linears(x, layers, precision, rows); });
  }
  void rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
            float attention_factor, float* out) override {
    call([&](Ops& ops) { ops.rope(x, rows, heads, head_dim, frequency, attention_factor, out); });
  }
  void kv_store(const AttentionArgs& args, const float* k, const float* v) override {
    call([&](Ops& ops) { ops.kv_store(args, k, v); });
  }
  void attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                 std::span<const KeyRow> pattern, const PatternSummary& summary) override {
    call([&](Ops& ops) { ops.attention(args, q, z, scores, pattern); });
    if (summary.wanted()) summarise_pattern(args, pattern, summary);  // of what is stored, as a GPU does
  }
  void attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) override {
    call([&](Ops& ops) { ops.attention_scores(args, q, scores); });
  }
  void attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                         std::span<const KeyRow> pattern) override {
    call([&](Ops& ops) { ops.attention_softmax(args, scores, pattern); });
  }
  void attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) override {
    call([&](Ops& ops) { ops.attention_mix(args, pattern, z); });
  }
  void summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                         const PatternSummary& summary) override {
    call([&](Ops& ops) { ops.summarise_pattern(args, pattern, summary); });
  }
  void heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out) override {
    call([&](Ops& ops) { ops.heads_alone(z, rows, heads, head_dim, out); });
  }
  void gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out) override {
    call([&](Ops& ops) { ops.gather_rows(x, rows, columns, out); });
  }
  void scale(const float* x, float factor, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.scale(x, factor, n, out); });
  }
  void soft_cap(const float* x, float cap, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.soft_cap(x, cap, n, out); });
  }
  void round_to_f16(const float* x, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.round_to_f16(x, n, out); });
  }
  void add(const float* a, const float* b, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.add(a, b, n, out); });
  }
  void multiply(const float* a, const float* b, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.multiply(a, b, n, out); });
  }
  void silu(const float* x, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.silu(x, n, out); });
  }
  void gelu_tanh(const float* x, int64_t n, float* out) override {
    call([&](Ops& ops) { ops.gelu_tanh(x, n, out); });
  }

 private:
  struct Beside {
    const void* from;
    size_t bytes;
    void* host;
  };
  void finish(uint64_t end) {
    for (; finished_ < end; ++finished_, beside_.pop_front()) {
      const Beside& next = beside_.front();
      call([&](Ops& ops) { ops.download(next.from, next.bytes, next.host); });
    }
  }
  template <class Operation>
  void call(const Operation& operation) {
    FarMemory::get().protect(PROT_READ | PROT_WRITE);
    operation(*inner_);
    FarMemory::get().protect(PROT_NONE);
  }
  std::deque<Beside> beside_;
  uint64_t finished_ = 0;  // copies beside since the beginning
  std::array<uint64_t, kDownloadMarks> marks_{};
  size_t bytes_beside_ = 0;
  std::unique_ptr<Ops> inner_ = make_reference_ops();
};

}  // namespace glassbox
