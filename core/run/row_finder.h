// Nearest rows of the embedding table on the device that holds it, beside the engine: no copy of the table on the host, and
// a millisecond instead of a pass over gigabytes.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>

#include "core/base/result.h"
#include "core/model/placed_model.h"
#include "core/run/analysis.h"

namespace glassbox {

class RowFinder {
 public:
  // Null where the backend does not find rows by itself. Throws DeviceMemoryError, DeviceError or std::bad_alloc.
  static std::shared_ptr<RowFinder> make(std::shared_ptr<const PlacedModel> model, const Ops& ops);
  // For make().
  RowFinder(std::shared_ptr<const PlacedModel> model, std::shared_ptr<Ops> ops);

  // As find_neighbours(), up to the rounding of sums; at most kMostNearest. Any thread. Errors: device, failed.
  Result<Neighbours> find(std::span<const float> query, int32_t leave_out, int count);
  // False once it has failed: the host is to look then.
  bool works() const { return works_.load(); }

 private:
  // Where the device could not make its lists: too many rows at one end of the table's order.
  Result<void> rank_on_host(int32_t leave_out, int count, Neighbours& found);

  std::shared_ptr<const PlacedModel> model_;
  std::shared_ptr<Ops> ops_;
  std::mutex mutex_;
  std::atomic<bool> works_{true};
  Buffer memory_, staging_;
  // In memory_; what the host reads and writes of them has the same places in staging_.
  float* query_;             // [C]
  NearestRow* lists_;        // [kNearnessMeasures, kMostNearest]
  RowCloseness* closeness_;  // [V], device only
};

}  // namespace glassbox
