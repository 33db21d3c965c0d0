#include "core/probe/page_table.h"

#include <algorithm>

namespace glassbox {
namespace {

constexpr size_t kRun = 64;  // slices that are shared together

}  // namespace

void PageTable::insert(std::shared_ptr<const Page> page, int end) {
  Slices& slices = slices_[{page->tap(), page->layer()}];
  const int begin = page->begin();
  slices.cut(begin);
  slices.add({std::move(page), begin, end});
}

const Page* PageTable::find(Tap tap, int layer, int position) const {
  const auto found = slices_.find({tap, layer});
  return found == slices_.end() ? nullptr : found->second.find(position);
}

int PageTable::first_missing(Tap tap, int layer, int length) const {
  const auto found = slices_.find({tap, layer});
  return found == slices_.end() ? 0 : std::min(found->second.first_missing(), length);
}

int PageTable::first_missing(const TapNeed& need, int layer, int length) const {
  if (!need.last_only) return first_missing(need.tap, layer, length);
  return find(need.tap, layer, length - 1) == nullptr ? length - 1 : length;
}

void PageTable::truncate(int length) {
  for (auto& [key, slices] : slices_) slices.cut(length);
}

void PageTable::keep(const ProbeSpec& needs) {
  std::erase_if(slices_, [&](const auto& entry) {
    const auto [tap, layer] = entry.first;
    const auto names = [tap = tap, layer = layer](const TapNeed& need) {
      return need.tap == tap && layer >= need.layer_begin && layer < need.layer_end;
    };
    return std::none_of(needs.needs.begin(), needs.needs.end(), names);
  });
}

void PageTable::Slices::add(Slice slice) {
  last_.push_back(std::move(slice));
  if (last_.size() < kRun) return;
  const int begin = last_.front().begin, end = last_.back().end;
  const bool whole = covered_to(last_, begin) == end;
  shared_.push_back({std::make_shared<const Run>(std::exchange(last_, {})), begin, end, whole});
}

void PageTable::Slices::cut(int length) {
  while (!shared_.empty() && shared_.back().end > length) {
    last_ = *shared_.back().slices;  // what is dropped for it lies behind it
    shared_.pop_back();
  }
  while (!last_.empty() && last_.back().begin >= length) last_.pop_back();
  if (!last_.empty()) last_.back().end = std::min(last_.back().end, length);
}

const Page* PageTable::Slices::find(int position) const {
  if (!last_.empty() && position >= last_.front().begin) return find_in(last_, position);
  const auto after = std::upper_bound(shared_.begin(), shared_.end(), position,
                                      [](int p, const SharedRun& run) { return p < run.begin; });
  return after == shared_.begin() ? nullptr : find_in(*(after - 1)->slices, position);
}

const Page* PageTable::Slices::find_in(const Run& run, int position) {
  const auto after =
      std::upper_bound(run.begin(), run.end(), position, [](int p, const Slice& slice) { return p < slice.begin; });
  if (after == run.begin()) return nullptr;
  const Slice& slice = *(after - 1);
  return position < slice.end ? slice.page.get() : nullptr;
}

int PageTable::Slices::first_missing() const {
  int covered = 0;
  for (const SharedRun& run : shared_) {
    if (run.begin > covered) return covered;
    if (!run.whole) return covered_to(*run.slices, covered);
    covered = run.end;
  }
  return covered_to(last_, covered);
}

// How far the slices go from there without a gap.
int PageTable::Slices::covered_to(const Run& run, int from) {
  for (const Slice& slice : run) {
    if (slice.begin > from) break;
    from = slice.end;
  }
  return from;
}

}  // namespace glassbox
