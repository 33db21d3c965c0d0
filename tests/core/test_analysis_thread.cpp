#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <future>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "core/run/analysis.h"

using namespace glassbox;

namespace {

// Waits until nothing waits or runs; false after ten seconds.
bool wait_idle(const AnalysisThread& thread) {
  for (int i = 0; i < 10000; ++i) {
    if (thread.idle()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// Holds the thread until it is opened.
struct Gate {
  std::promise<void> opened;
  std::shared_future<void> wait = opened.get_future().share();
};

}  // namespace

TEST_CASE("a newer job of a kind replaces the waiting one in its place", "[analysis][thread]") {
  std::atomic<int> wakes{0};
  std::vector<std::string> done;  // written by the thread, read when it is idle
  AnalysisThread thread([&wakes] { ++wakes; });
  Gate gate;
  std::promise<void> started;
  thread.post("gate", [&] {
    started.set_value();
    gate.wait.wait();
    done.push_back("gate");
  });
  started.get_future().wait();
  CHECK_FALSE(thread.idle());
  for (int i = 0; i < 5; ++i) thread.post("chain", [&done, i] { done.push_back("chain " + std::to_string(i)); });
  thread.post("neighbours", [&done] { done.push_back("neighbours"); });
  thread.post("chain", [&done] { done.push_back("chain last"); });
  thread.post("gate", [&done] { done.push_back("second gate"); });  // the first one runs, so this is no replacement
  gate.opened.set_value();
  REQUIRE(wait_idle(thread));
  CHECK(done == std::vector<std::string>{"gate", "chain last", "neighbours", "second gate"});
  while (wakes < 4) std::this_thread::yield();  // the last wake comes after idle
}

TEST_CASE("who is woken by the last job finds the thread idle", "[analysis][thread]") {
  std::atomic<AnalysisThread*> thread{nullptr};
  std::atomic<int> busy_wakes{0}, wakes{0};
  {
    AnalysisThread made([&] {
      if (AnalysisThread* at = thread.load(); at && !at->idle()) ++busy_wakes;
      ++wakes;
    });
    thread = &made;
    for (int i = 0; i < 50; ++i) {
      made.post("job", [] {});
      while (wakes <= i) std::this_thread::yield();
    }
    CHECK(busy_wakes == 0);
  }
}

TEST_CASE("the end waits for the running job and drops the others", "[analysis][thread]") {
  std::atomic<bool> finished{false}, dropped_ran{false};
  const auto held = std::make_shared<int>(1);
  {
    std::promise<void> started;
    AnalysisThread thread([] {});
    thread.post("slow", [&] {
      started.set_value();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      finished = true;
    });
    started.get_future().wait();
    thread.post("dropped", [&dropped_ran, held] { dropped_ran = true; });
  }
  CHECK(finished);
  CHECK_FALSE(dropped_ran);
  CHECK(held.use_count() == 1);
}

TEST_CASE("a job without memory has no result, and the thread goes on", "[analysis][thread]") {
  AnalysisThread thread([] {});
  std::atomic<bool> ran{false};
  thread.post("big", [] { throw std::bad_alloc(); });
  thread.post("next", [&ran] { ran = true; });
  REQUIRE(wait_idle(thread));
  CHECK(ran);
}

TEST_CASE("many posters at once", "[analysis][thread]") {
  std::atomic<int> ran{0}, wakes{0};
  {
    AnalysisThread thread([&wakes] { ++wakes; });
    std::vector<std::thread> posters;
    for (int t = 0; t < 4; ++t) {
      posters.emplace_back([&, t] {
        for (int i = 0; i < 500; ++i) {
          const auto result = std::make_shared<int>(i);
          thread.post("kind " + std::to_string(t), [result, &ran] { ran += *result >= 0; });
          (void)thread.idle();
        }
      });
    }
    for (std::thread& poster : posters) poster.join();
    REQUIRE(wait_idle(thread));
    CHECK(ran >= 4);
    CHECK(ran <= 2000);
  }
  CHECK(wakes == ran);
}
