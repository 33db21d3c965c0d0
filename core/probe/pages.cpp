#include "core/probe/pages.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "kernels/device_error.h"

namespace glassbox {
namespace {

// Sizes of staged memory are an eighth of a power of two apart, so that a text that grows finds its predecessor's.
size_t rounded_size(size_t bytes) {
  const size_t step = std::max<size_t>(std::bit_floor(bytes) / 8, 1);
  return (bytes + step - 1) / step * step;
}

}  // namespace

PagePool::PagePool(const std::shared_ptr<Ops>& ops, size_t keep_bytes)
    : ops_(ops == nullptr || ops->on_host() ? nullptr : ops), keep_bytes_(keep_bytes) {}

Buffer PagePool::allocate(size_t bytes, bool& staged) const {
  if (const std::shared_ptr<Ops> ops = staged ? ops_.lock() : nullptr) {
    try {
      return ops->allocate_staging(rounded_size(bytes));
    } catch (const DeviceError&) {  // the system pins no more; a device that has failed says so in the forward
    }
  }
  staged = false;
  return Buffer(bytes);
}

PagePool::Memory PagePool::take(size_t bytes, int positions) {
  Memory memory;
  memory.staged = bytes >= least_staged_ && positions >= kLeastStagedPositions && !ops_.expired();
  {
    std::lock_guard lock(mutex_);
    // A kept buffer serves a page of up to half its size, so that growing texts find their predecessor's memory.
    Shelf& kept = shelf(memory.staged);
    const auto found = kept.free.lower_bound(bytes);
    if (found != kept.free.end() && found->first <= 2 * bytes) {
      memory.buffer = std::move(found->second);
      kept.bytes -= found->first;
      kept.free.erase(found);
    }
  }
  if (memory.buffer.bytes() == 0) memory.buffer = allocate(bytes, memory.staged);
  live_.fetch_add(memory.buffer.bytes(), std::memory_order_relaxed);
  return memory;
}

void PagePool::give_back(Memory memory) {
  const size_t bytes = memory.buffer.bytes();
  live_.fetch_sub(bytes, std::memory_order_relaxed);
  std::vector<Buffer> dropped;
  {
    std::lock_guard lock(mutex_);
    dropped = keep(shelf(memory.staged), std::move(memory.buffer));
  }
  disposal_.dispose(std::move(dropped));
}

std::vector<Buffer> PagePool::keep(Shelf& kept, Buffer buffer) const {
  const size_t bytes = buffer.bytes();
  std::vector<Buffer> dropped;
  // What comes back is of the size that is asked for next: what does not suit it goes first.
  while (kept.bytes + bytes > keep_bytes_ && !kept.free.empty()) {
    const auto largest = std::prev(kept.free.end()), smallest = kept.free.begin();
    const auto unsuited = largest->first > 2 * bytes ? largest : smallest;
    if (unsuited == smallest && smallest->first >= bytes) break;
    kept.bytes -= unsuited->first;
    dropped.push_back(std::move(unsuited->second));
    kept.free.erase(unsuited);
  }
  if (kept.bytes + bytes > keep_bytes_) {
    dropped.push_back(std::move(buffer));
    return dropped;
  }
  kept.bytes += bytes;
  kept.free.emplace(bytes, std::move(buffer));
  return dropped;
}

Page::Page(std::shared_ptr<PagePool> pool, Tap tap, int layer, int begin, int end, int heads, int64_t width,
           bool poison)
    : pool_(std::move(pool)),
      writes_(static_cast<size_t>(end - begin), uint8_t{0}),
      tap_(tap),
      layer_(layer),
      begin_(begin),
      end_(end),
      heads_(heads),
      width_(width) {
  memory_ = pool_->take(bytes(), end - begin);
  if (poison) std::fill_n(memory_.buffer.f32(), bytes() / sizeof(float), std::numeric_limits<float>::quiet_NaN());
}

Page::~Page() {
  pool_->give_back(std::move(memory_));
}

std::span<const float> Page::head(int position, int head) const {
  const int64_t count = has_key_axis(tap_) ? position + 1 : width_;
  return {row_data(position) + head * width_, static_cast<size_t>(count)};
}

bool Page::complete(int end) const {
  return std::all_of(writes_.begin(), writes_.begin() + (end - begin_), [](uint8_t writes) { return writes == 1; });
}

}  // namespace glassbox
