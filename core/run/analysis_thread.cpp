#include <algorithm>
#include <new>

#include "core/base/processors.h"
#include "core/run/analysis.h"

namespace glassbox {

AnalysisThread::AnalysisThread(std::function<void()> wake) : wake_(std::move(wake)) {
  thread_ = std::thread([this] { loop(); });
}

AnalysisThread::~AnalysisThread() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void AnalysisThread::post(const std::string& kind, std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    const auto waiting =
        std::find_if(jobs_.begin(), jobs_.end(), [&kind](const auto& job) { return job.first == kind; });
    if (waiting == jobs_.end()) {
      jobs_.emplace_back(kind, std::move(work));
    } else {
      waiting->second.swap(work);  // the old work is destroyed outside the lock
    }
  }
  keep_off_this_processor(thread_);
  changed_.notify_one();
}

bool AnalysisThread::idle() const {
  std::lock_guard lock(mutex_);
  return jobs_.empty() && !running_;
}

void AnalysisThread::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    std::function<void()> work = std::move(jobs_.front().second);
    jobs_.erase(jobs_.begin());
    running_ = true;
    lock.unlock();
    try {
      work();
    } catch (const std::bad_alloc&) {
      // The job has no result; what it would have shown stays empty. The thread serves the next one.
    }
    work = nullptr;  // what the job holds is let go before it counts as done
    lock.lock();
    running_ = false;  // before the wake, so that who is woken finds the thread idle
    lock.unlock();
    wake_();
    lock.lock();
  }
}

}  // namespace glassbox
