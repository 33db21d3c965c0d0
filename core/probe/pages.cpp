#include "core/probe/pages.h"

#include <algorithm>
#include <limits>

namespace glassbox {

Buffer PagePool::take(size_t bytes) {
  Buffer buffer;
  {
    std::lock_guard lock(mutex_);
    // A kept buffer serves a page of up to half its size, so that growing texts find their predecessor's memory.
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first <= 2 * bytes) {
      buffer = std::move(found->second);
      free_bytes_ -= found->first;
      free_.erase(found);
    }
  }
  if (buffer.bytes() == 0) buffer = Buffer(bytes);
  live_.fetch_add(buffer.bytes(), std::memory_order_relaxed);
  return buffer;
}

void PagePool::give_back(Buffer buffer) {
  live_.fetch_sub(buffer.bytes(), std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  if (free_bytes_ + buffer.bytes() > keep_bytes_) return;
  free_bytes_ += buffer.bytes();
  const size_t bytes = buffer.bytes();
  free_.emplace(bytes, std::move(buffer));
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
  buffer_ = pool_->take(bytes());
  if (poison) std::fill_n(buffer_.f32(), bytes() / sizeof(float), std::numeric_limits<float>::quiet_NaN());
}

Page::~Page() {
  pool_->give_back(std::move(buffer_));
}

std::span<const float> Page::head(int position, int head) const {
  const int64_t count = has_key_axis(tap_) ? position + 1 : width_;
  return {row_data(position) + head * width_, static_cast<size_t>(count)};
}

bool Page::complete(int end) const {
  return std::all_of(writes_.begin(), writes_.begin() + (end - begin_), [](uint8_t writes) { return writes == 1; });
}

void PageTable::insert(std::shared_ptr<const Page> page, int end) {
  const int begin = page->begin();
  drop(page->tap(), page->layer(), begin);
  slices_[{page->tap(), page->layer()}].push_back({std::move(page), begin, end});
}

const Page* PageTable::find(Tap tap, int layer, int position) const {
  const auto found = slices_.find({tap, layer});
  if (found == slices_.end()) return nullptr;
  const auto& slices = found->second;
  const auto after = std::upper_bound(slices.begin(), slices.end(), position,
                                      [](int p, const Slice& slice) { return p < slice.begin; });
  if (after == slices.begin()) return nullptr;
  const Slice& slice = *(after - 1);
  return position < slice.end ? slice.page.get() : nullptr;
}

int PageTable::first_missing(Tap tap, int layer, int length) const {
  const auto found = slices_.find({tap, layer});
  int covered = 0;
  if (found != slices_.end()) {
    for (const Slice& slice : found->second) {
      if (slice.begin > covered) break;
      covered = slice.end;
    }
  }
  return std::min(covered, length);
}

namespace {

void cut_slices(std::vector<PageTable::Slice>& slices, int length) {
  while (!slices.empty() && slices.back().begin >= length) slices.pop_back();
  if (!slices.empty()) slices.back().end = std::min(slices.back().end, length);
}

}  // namespace

void PageTable::truncate(int length) {
  for (auto& [key, slices] : slices_) cut_slices(slices, length);
}

void PageTable::drop(Tap tap, int layer, int from) {
  if (const auto found = slices_.find({tap, layer}); found != slices_.end()) cut_slices(found->second, from);
}

size_t PageTable::bytes() const {
  size_t bytes = 0;
  for (const auto& [key, slices] : slices_) {
    for (const Slice& slice : slices) bytes += slice.page->bytes();
  }
  return bytes;
}

}  // namespace glassbox
