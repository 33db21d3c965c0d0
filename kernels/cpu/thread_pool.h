// The backend's own threads. A phase is a number of tiles; every worker, and the caller as worker 0, claims the next
// tile until none is left. A worker that is not running at that moment holds nothing up, unless it has claimed a tile.
//
// Between phases workers look for the next one for a short while and then sleep: an idle pool burns nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace glassbox::cpu {

class ThreadPool {
 public:
  // pinned: each worker stays on a core of its own, none on the one where the caller is now (who is not pinned), and
  // looks for work longer before it sleeps.
  ThreadPool(int threads, bool pinned);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(worker, tile) once for each tile 0 … tiles − 1, with 0 ≤ worker < threads(); returns when all have
  // returned. Precondition: tiles < 2³² − 1; one caller at a time; body does not throw and does not call parallel_for.
  template <class Body>
  void parallel_for(int64_t tiles, const Body& body) {
    if (tiles <= 1 || workers_.empty()) {
      for (int64_t tile = 0; tile < tiles; ++tile) body(0, tile);
      return;
    }
    run(
        tiles, [](const void* b, int worker, int64_t tile) { (*static_cast<const Body*>(b))(worker, tile); }, &body);
  }

 private:
  using Call = void (*)(const void* body, int worker, int64_t tile);

  void run(int64_t tiles, Call call, const void* body);
  void work(int worker);
  void worker_main(int worker, int core);

  const std::chrono::nanoseconds patience_;
  // The phase's number in the high half, the next tile in the low half: a claim by a worker that is late by a phase
  // fails.
  alignas(64) std::atomic<uint64_t> claim_{0};
  // What the phase is. Written while claim_ is closed.
  alignas(64) std::atomic<Call> call_{nullptr};
  std::atomic<const void*> body_{nullptr};
  std::atomic<int64_t> tiles_{0};
  alignas(64) std::atomic<uint32_t> pending_{0};  // tiles not finished yet
  alignas(64) std::atomic<uint32_t> phase_{0};    // what sleeping workers wait on
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

// thread_pool_linux.cpp. Processor cores this process may use, hyperthreads of one core counted once; at least 1.
int physical_cores();
// Which of them the calling thread is on now.
int current_core();
// Keeps the calling thread on the given one of them (modulo their number). Does nothing where that is not allowed.
void pin_to_core(int core);

}  // namespace glassbox::cpu
