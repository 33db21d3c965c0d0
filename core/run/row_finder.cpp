#include "core/run/row_finder.h"

#include <algorithm>
#include <cstring>

#include "core/model/failures.h"

namespace glassbox {
namespace {

constexpr size_t kListBytes = size_t{kNearnessMeasures} * kMostNearest * sizeof(NearestRow);

}  // namespace

std::shared_ptr<RowFinder> RowFinder::make(std::shared_ptr<const PlacedModel> model, const Ops& ops) {
  if (!ops.finds_nearest()) return nullptr;
  return std::make_shared<RowFinder>(std::move(model), ops.beside());
}

RowFinder::RowFinder(std::shared_ptr<const PlacedModel> model, std::shared_ptr<Ops> ops)
    : model_(std::move(model)), ops_(std::move(ops)) {
  const auto vocab = static_cast<size_t>(model_->config().vocab), width = static_cast<size_t>(model_->config().width);
  const size_t query_bytes = (width * sizeof(float) + 15) / 16 * 16;
  memory_ = ops_->allocate(query_bytes + kListBytes + vocab * sizeof(RowCloseness));
  staging_ = ops_->allocate_staging(query_bytes + kListBytes);
  query_ = memory_.f32();
  lists_ = reinterpret_cast<NearestRow*>(memory_.data() + query_bytes);
  closeness_ = reinterpret_cast<RowCloseness*>(memory_.data() + query_bytes + kListBytes);
}

Result<Neighbours> RowFinder::find(std::span<const float> query, int32_t leave_out, int count) {
  const std::lock_guard lock(mutex_);
  Neighbours found = begin_neighbours(query);
  count = std::clamp(count, 0, kMostNearest);
  if (count == 0) return found;
  const Result<void> done = report_failures([&]() -> Result<void> {
    const auto* const lists = reinterpret_cast<const NearestRow*>(
        staging_.data() + (reinterpret_cast<std::byte*>(lists_) - memory_.data()));
    const size_t listed = size_t{kNearnessMeasures} * static_cast<size_t>(count);
    std::memcpy(staging_.data(), query.data(), query.size_bytes());
    ops_->upload(staging_.data(), query.size_bytes(), query_);
    ops_->nearest_rows(model_->weights(Precision::exact).embedding, query_, found.query_norm, leave_out, count,
                       closeness_, lists_);
    ops_->download(lists_, listed * sizeof(NearestRow), const_cast<NearestRow*>(lists));
    ops_->wait();
    for (size_t measure = 0; measure < kNearnessMeasures; ++measure) {
      for (int i = 0; i < count; ++i) {
        const NearestRow& row = lists[measure * static_cast<size_t>(count) + static_cast<size_t>(i)];
        if (row.id == kTooManyEqual) return rank_on_host(leave_out, count, found);
        if (row.id >= 0) found.best[measure].push_back(make_neighbour(row.id, row.closeness, found.query_norm));
      }
    }
    return {};
  });
  if (!done) {
    works_ = false;
    return done.error();
  }
  return found;
}

Result<void> RowFinder::rank_on_host(int32_t leave_out, int count, Neighbours& found) {
  std::vector<RowCloseness> rows(static_cast<size_t>(model_->config().vocab));
  ops_->download(closeness_, rows.size() * sizeof(RowCloseness), rows.data());
  ops_->wait();
  found.best = {};
  rank_rows(
      model_->config().vocab, [&rows](int32_t id) { return rows[static_cast<size_t>(id)]; }, leave_out, count, found);
  return {};
}

}  // namespace glassbox
