// The pool runs every tile once, on any number of threads, hot and after sleep.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <ctime>
#include <numeric>

#include "kernels/cpu/thread_pool.h"

namespace glassbox::cpu {
namespace {

TEST_CASE("every tile runs exactly once") {
  for (const int threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads, false);
    REQUIRE(pool.threads() == threads);
    // Plain integers: two threads at one tile, or a phase that returned too early, are races that ThreadSanitizer sees.
    std::vector<int> runs;
    for (int phase = 0; phase < 2000; ++phase) {
      runs.assign(static_cast<size_t>(phase % 37), 0);
      pool.parallel_for(phase % 37, [&](int worker, int64_t tile) {
        if (worker >= 0 && worker < threads) ++runs[static_cast<size_t>(tile)];
      });
      REQUIRE(std::accumulate(runs.begin(), runs.end(), 0) == phase % 37);
      REQUIRE((runs.empty() || *std::min_element(runs.begin(), runs.end()) == 1));
    }
  }
}

TEST_CASE("a pool that fell asleep wakes up again") {
  ThreadPool pool(3, false);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::vector<int> runs(64, 0);
    pool.parallel_for(64, [&](int, int64_t tile) { ++runs[static_cast<size_t>(tile)]; });
    REQUIRE(std::accumulate(runs.begin(), runs.end(), 0) == 64);
  }
}

TEST_CASE("one phase's results are seen by the next, whoever runs it") {
  ThreadPool pool(3, false);
  std::vector<int64_t> values(257, 1), sums(257, 0);
  for (int phase = 0; phase < 300; ++phase) {
    pool.parallel_for(257,
                      [&](int, int64_t i) { sums[static_cast<size_t>(i)] = values[static_cast<size_t>(256 - i)]; });
    pool.parallel_for(257, [&](int, int64_t i) { values[static_cast<size_t>(i)] = sums[static_cast<size_t>(i)] + 1; });
  }
  for (const int64_t v : values) CHECK(v == 301);
}

TEST_CASE("workers share the tiles") {
  ThreadPool pool(2, false);
  std::vector<int> by_worker(2, 0);
  int tiles = 0;
  // On a busy machine the second worker may be late by a phase or two.
  while (by_worker[1] == 0 && tiles < 4000) {
    tiles += 40;
    pool.parallel_for(40, [&](int worker, int64_t) {
      ++by_worker[static_cast<size_t>(worker)];
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // so that one cannot do all before the other is awake
    });
  }
  CHECK(by_worker[0] > 0);
  CHECK(by_worker[1] > 0);
  CHECK(by_worker[0] + by_worker[1] == tiles);
}

TEST_CASE("an idle pool burns nothing") {
  for (const bool pinned : {false, true}) {
    ThreadPool pool(4, pinned);
    pool.parallel_for(8, [](int, int64_t) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // past every worker's patience
    const std::clock_t before = std::clock();                    // processor time of all threads
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.02);
  }
}

}  // namespace
}  // namespace glassbox::cpu
