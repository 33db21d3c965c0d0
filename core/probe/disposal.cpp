#include "core/probe/disposal.h"

#include <iterator>
#include <utility>

namespace glassbox {

void Disposal::dispose(std::vector<Buffer> buffers) {
  if (buffers.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    std::move(buffers.begin(), buffers.end(), std::back_inserter(waiting_));
    if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  more_.notify_one();
}

void Disposal::run(const std::stop_token& stop) {
  for (;;) {
    std::vector<Buffer> now;
    {
      std::unique_lock lock(mutex_);
      more_.wait(lock, stop, [this] { return !waiting_.empty(); });
      if (waiting_.empty()) return;
      now.swap(waiting_);
    }
  }
}

}  // namespace glassbox
