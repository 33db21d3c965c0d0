#include "kernels/cpu/thread_pool.h"

namespace glassbox::cpu {
namespace {

constexpr uint32_t kClosed = 0xFFFFFFFF;  // no tile can be claimed
// Longer than the serial work between two phases of a layer; shorter than what a person or the machine's other programs
// notice.
constexpr std::chrono::microseconds kPatience{50};
constexpr std::chrono::microseconds kPinnedPatience{1000};
constexpr int kLooksPerClock = 64;  // reading the clock costs more than a look

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Waits until `value` is no longer `old`: looks for `patience`, then sleeps.
uint32_t wait_for_change(std::atomic<uint32_t>& value, uint32_t old, std::chrono::nanoseconds patience) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      const uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      pause();
    }
  } while (std::chrono::steady_clock::now() - start < patience);
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads, bool pinned) : patience_(pinned ? kPinnedPatience : kPatience) {
  const int home = pinned ? current_core() : 0;
  for (int worker = 1; worker < threads; ++worker) {
    const int core = pinned ? home + worker : -1;
    workers_.emplace_back([this, worker, core] { worker_main(worker, core); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  phase_.fetch_add(1);
  phase_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t tiles, Call call, const void* body) {
  const uint64_t phase = static_cast<uint64_t>(phase_.load(std::memory_order_relaxed) + 1) << 32;
  // Closed first: whoever sees a part of the new description can no longer claim under the old number.
  claim_.store(phase | kClosed, std::memory_order_release);
  call_.store(call, std::memory_order_release);
  body_.store(body, std::memory_order_release);
  tiles_.store(tiles, std::memory_order_release);
  pending_.store(static_cast<uint32_t>(tiles), std::memory_order_release);
  claim_.store(phase, std::memory_order_release);
  phase_.fetch_add(1);
  phase_.notify_all();
  work(0);
  uint32_t pending = pending_.load(std::memory_order_acquire);
  while (pending != 0) pending = wait_for_change(pending_, pending, patience_);
}

void ThreadPool::work(int worker) {
  uint64_t claim = claim_.load(std::memory_order_acquire);
  for (;;) {
    const int64_t tile = static_cast<uint32_t>(claim);
    if (tile >= tiles_.load(std::memory_order_acquire)) return;
    const Call call = call_.load(std::memory_order_acquire);
    const void* body = body_.load(std::memory_order_acquire);
    // Success says that the phase is still the one that was read: it cannot end while a tile of it is unclaimed.
    if (!claim_.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    call(body, worker, tile);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
    claim = claim_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_main(int worker, int core) {
  if (core >= 0) pin_to_core(core);
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_change(phase_, seen, patience_);
    if (stop_.load()) return;
    work(worker);
  }
}

}  // namespace glassbox::cpu
