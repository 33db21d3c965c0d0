// Pages: what a forward pass captured. A page is immutable once its call has succeeded; steps and branches share it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/probe/disposal.h"
#include "core/probe/taps.h"
#include "kernels/ops.h"
#include "kernels/tensor.h"

namespace glassbox {

// Keeps the memory of dropped pages for the next ones (touching new memory costs ten times more than writing to memory
// already touched), and counts what is alive. Where the backend's memory is not the host's, large pages are "staged":
// they lie in memory to which it copies fastest, and what was captured goes there straight. Such memory is slow to get,
// and comes in whole pages of the system, so small pages do without. Thread safe.
class PagePool {
 public:
  // Without `ops`, or where its memory is the host's, no page is staged. Pages outlive the backend; nothing here keeps
  // it.
  explicit PagePool(const std::shared_ptr<Ops>& ops = nullptr, size_t keep_bytes = size_t{320} << 20);
  struct Memory {
    Buffer buffer;
    bool staged = false;
  };
  // For a page of so many positions.
  Memory take(size_t bytes, int positions);
  void give_back(Memory memory);
  size_t live_bytes() const { return live_.load(std::memory_order_relaxed); }
  // From how many bytes on a copy of its own is worth it.
  size_t least_staged() const { return least_staged_; }
  void set_least_staged(size_t bytes) { least_staged_ = bytes; }  // tests: small models go the way of large ones

 private:
  // A page of fewer positions belongs to a step that continues a text, and the host fills it.
  static constexpr int kLeastStagedPositions = 16;
  Buffer allocate(size_t bytes, bool& staged) const;

  struct Shelf {
    std::multimap<size_t, Buffer> free;  // by size
    size_t bytes = 0;
  };
  // What no longer finds room is returned.
  std::vector<Buffer> keep(Shelf& kept, Buffer buffer) const;
  Shelf& shelf(bool staged) { return staged ? staged_ : plain_; }

  const std::weak_ptr<Ops> ops_;  // none where no page is staged
  const size_t keep_bytes_;       // at most this much free memory of each kind is kept
  size_t least_staged_ = size_t{64} << 10;
  std::atomic<size_t> live_{0};
  std::mutex mutex_;
  Shelf plain_, staged_;
  Disposal disposal_;  // last: what it still gives back may be the backend's
};

// The values of one tap in one layer for the positions [begin, end). A row of a tap with a key axis is [H, end]: the
// keys after its own position are 0 in a pattern and −∞ in scores, as the causal mask has them.
class Page {
 public:
  // Rows are filled with NaN in `poison` mode (tests): a value that no capture wrote is then seen.
  Page(std::shared_ptr<PagePool> pool, Tap tap, int layer, int begin, int end, int heads, int64_t width, bool poison);
  ~Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  Tap tap() const { return tap_; }
  int layer() const { return layer_; }
  int begin() const { return begin_; }
  int end() const { return end_; }
  int heads() const { return heads_; }      // 0: no head axis
  int64_t width() const { return width_; }  // of one head, or of the row without heads; S = end for a key axis
  int64_t row_size() const { return (heads_ == 0 ? 1 : heads_) * width_; }
  size_t bytes() const { return static_cast<size_t>(row_size()) * static_cast<size_t>(end_ - begin_) * sizeof(float); }

  std::span<const float> row(int position) const { return {row_data(position), static_cast<size_t>(row_size())}; }
  // One head's values at a position; for a tap with a key axis only the keys 0 … position.
  std::span<const float> head(int position, int head) const;

  // For captures. Whether the backend copies the rows of so many positions straight to where they belong.
  bool takes_copies(size_t positions) const {
    return memory_.staged && positions * static_cast<size_t>(row_size()) * sizeof(float) >= pool_->least_staged();
  }
  // A row is marked once when it has been written.
  float* row_data(int position) const { return memory_.buffer.f32() + (position - begin_) * row_size(); }
  void mark_written(int position) { ++writes_[static_cast<size_t>(position - begin_)]; }
  int writes(int position) const { return writes_[static_cast<size_t>(position - begin_)]; }
  bool complete(int end) const;  // every row before `end` was written exactly once

 private:
  std::shared_ptr<PagePool> pool_;
  PagePool::Memory memory_;
  std::vector<uint8_t> writes_;
  Tap tap_;
  int layer_, begin_, end_, heads_;
  int64_t width_;
};

}  // namespace glassbox
