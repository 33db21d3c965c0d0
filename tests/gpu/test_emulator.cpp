// The emulator tested by itself: every kind of fault that it is there to find, planted in a kernel that is sound
// without it. What each build can see of a fault is part of the test: what a build cannot see, another must.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/overlap.h"
#include "tests/gpu/device_buffer.h"
#include "tests/gpu/emulator/emulator.h"
#include "tests/gpu/planted_faults.h"

namespace glassbox::testing {
namespace {

using emulator::Build;
using emulator::Fault;
using emulator::FaultKind;

// What shows of a fault: nothing, a wrong result under some schedule, or a report.
enum class Shows : uint8_t { nowhere, in_results, as_fault };
struct Expectation {
  Shows shows;
  FaultKind kind = FaultKind::barrier;
};
constexpr Expectation kUnseen{Shows::nowhere}, kWrong{Shows::in_results};
constexpr Expectation fault(FaultKind kind) {
  return {Shows::as_fault, kind};
}

struct Case {
  Planted planted;
  const char* name;
  Expectation plain, address, access;
};

constexpr Expectation kBarrier = fault(FaultKind::barrier), kWarpFault = fault(FaultKind::warp);
constexpr Expectation kRace = fault(FaultKind::race), kBounds = fault(FaultKind::bounds);
constexpr Expectation kEarly = fault(FaultKind::early);
constexpr Expectation kUnwritten = fault(FaultKind::uninitialised), kSanitizer = fault(FaultKind::sanitizer);

const Case kCases[] = {
    {Planted::barrier_left_out_of_loop, "a barrier left out of a loop", kWrong, kWrong, kRace},
    {Planted::second_barrier_left_out, "the second barrier of a loop left out", kWrong, kWrong, kRace},
    {Planted::barrier_after_early_return, "a barrier after an early return", kBarrier, kBarrier, kBarrier},
    {Planted::barrier_in_two_branches, "a barrier in each of two branches", kBarrier, kBarrier, kBarrier},
    {Planted::barrier_in_uneven_loop, "a barrier in a loop of uneven length", kBarrier, kBarrier, kBarrier},
    {Planted::shuffle_with_ended_lane, "a shuffle with a lane that has ended", kWarpFault, kWarpFault, kWarpFault},
    {Planted::shuffle_beyond_the_block, "a shuffle beyond the block's end", kWarpFault, kWarpFault, kWarpFault},
    {Planted::shuffle_outside_mask, "a shuffle from outside its mask", kWarpFault, kWarpFault, kWarpFault},
    {Planted::shuffle_in_two_branches, "a shuffle in each of two branches", kWarpFault, kWarpFault, kWarpFault},
    {Planted::vote_against_barrier, "a vote whose lanes are in a barrier", kWarpFault, kWarpFault, kWarpFault},
    {Planted::shared_word_not_written, "a shared word that was not written", kWrong, kWrong, kUnwritten},
    {Planted::global_word_not_written, "a global word that was not written", kWrong, kWrong, kUnwritten},
    {Planted::shared_index_too_large, "a shared index that is too large", kUnseen, kSanitizer, kBounds},
    {Planted::dynamic_shared_too_small, "too little dynamic shared memory", kUnseen, kSanitizer, kBounds},
    {Planted::global_index_too_large, "a global index that is too large", kUnseen, kSanitizer, kBounds},
    {Planted::shuffle_instead_of_syncwarp, "a vote in the place of __syncwarp", kUnseen, kUnseen, kRace},
    {Planted::blocks_add_without_atomics, "blocks that add without atomics", kUnseen, kUnseen, kRace},
    {Planted::misaligned_vector, "a misaligned vector", kBounds, kSanitizer, fault(FaultKind::alignment)},
    {Planted::early_without_wait, "a thread of an early launch that never waits", kEarly, kEarly, kEarly},
    {Planted::early_read, "a read before the launches before are waited for", kUnseen, kUnseen, kEarly},
    {Planted::early_write, "a write before the launches before are waited for", kUnseen, kUnseen, kEarly},
};

std::vector<float> inputs() {
  std::vector<float> in(kPlantedValues);  // whole numbers: sums are exact in any order
  for (int i = 0; i < kPlantedValues; ++i) in[static_cast<size_t>(i)] = static_cast<float>(1 + i * 7 % 31);
  return in;
}

struct Outcome {
  bool right = true;
  std::vector<Fault> faults;
};

Outcome run(Planted kind, bool planted) {
  const std::vector<float> in = inputs();
  DeviceBuffer<float> source(in), scratch(in.size()), out(in.size());
  Outcome outcome;
  const cudaError_t launched = run_planted(kind, planted, source.data(), scratch.data(), out.data(), nullptr);
  outcome.faults = emulator::take_faults();
  if (!outcome.faults.empty()) {
    CHECK(launched != cudaSuccess);
    return outcome;
  }
  const std::vector<float> values = out.read();
  for (int i = 0; i < kPlantedValues; ++i) {
    outcome.right = outcome.right && values[static_cast<size_t>(i)] == planted_result(kind, in.data(), i);
  }
  return outcome;
}

const char* build_name() {
  const char* names[] = {"plain", "AddressSanitizer and UBSan", "checked accesses"};
  return names[static_cast<int>(emulator::build())];
}

TEST_CASE("a sound kernel has its result under every schedule and in every build") {
  for (const Case& c : kCases) {
    for (const emulator::Schedule& schedule : emulator::schedules(10)) {
      INFO(c.name << "; " << schedule.name() << "; " << build_name());
      emulator::set_schedule(schedule);
      const Outcome outcome = run(c.planted, false);
      CHECK(outcome.right);
      for (const Fault& found : outcome.faults) FAIL_CHECK(found.text);
    }
  }
}

TEST_CASE("a planted fault is found") {
  for (const Case& c : kCases) {
    INFO(c.name << "; " << build_name());
    const Expectation& expected = emulator::build() == Build::plain     ? c.plain
                                  : emulator::build() == Build::address ? c.address
                                                                        : c.access;
    if (expected.kind == FaultKind::early && cuda::overlap_is_off()) continue;
    int wrong = 0, reported = 0, runs = 0;
    for (emulator::Schedule schedule : emulator::schedules(20)) {
      schedule.launches_early = true;
      emulator::set_schedule(schedule);
      const Outcome outcome = run(c.planted, true);
      ++runs;
      wrong += outcome.right ? 0 : 1;
      for (const Fault& found : outcome.faults) {
        INFO(schedule.name() << ": " << found.text);
        CHECK(expected.shows == Shows::as_fault);
        // UBSan tells of a place once; after that it is the processor that stops the kernel there.
        const bool refused = c.planted == Planted::misaligned_vector && found.kind == FaultKind::bounds;
        CHECK((found.kind == expected.kind || refused));
        CHECK(found.text.find("kernel ") == 0);
        CHECK(found.text.find("planted_faults.cu") != std::string::npos);
      }
      reported += outcome.faults.empty() ? 0 : 1;
    }
    if (expected.shows == Shows::as_fault) CHECK(reported == runs);  // whatever the schedule
    if (expected.shows == Shows::in_results) CHECK(wrong > 0);
    if (expected.shows == Shows::nowhere) CHECK(wrong + reported == 0);
  }
  emulator::set_schedule({});
}

TEST_CASE("a fault tells the kernel, the block, the thread and the place") {
  emulator::set_schedule({});
  const std::vector<Fault> faults = run(Planted::shuffle_with_ended_lane, true).faults;
  REQUIRE(faults.size() == 1);
  const std::string& text = faults[0].text;
  INFO(text);
  CHECK(text.find("ended_lane") != std::string::npos);
  CHECK(text.find("block (0,0,0), thread (") != std::string::npos);
  CHECK(text.find("names lane 8, which has ended") != std::string::npos);
  CHECK(text.find("a shuffle at tests/gpu/planted_faults.cu:") != std::string::npos);
}

TEST_CASE("memory of the host and memory that was freed are not the kernel's") {
  std::vector<float> host = inputs();
  DeviceBuffer<float> out(host.size());
  auto freed = std::make_unique<DeviceBuffer<float>>(host);
  const float* late = freed->data();
  freed.reset();
  for (const bool is_host : {true, false}) {
    INFO((is_host ? "the host's" : "freed") << "; " << build_name());
    run_planted(Planted::global_index_too_large, false, is_host ? host.data() : late, nullptr, out.data(), nullptr);
    const std::vector<Fault> faults = emulator::take_faults();
    const bool seen = emulator::build() == Build::access || (emulator::build() == Build::address && !is_host);
    CHECK(faults.empty() == !seen);
    if (seen && !faults.empty()) {
      CHECK(faults[0].kind == (emulator::build() == Build::access ? FaultKind::bounds : FaultKind::sanitizer));
    }
  }
}

TEST_CASE("traffic is counted where accesses are checked") {
  emulator::set_schedule({});
  DeviceBuffer<float> in(inputs()), out(static_cast<size_t>(kPlantedValues));
  must(run_planted(Planted::misaligned_vector, false, in.data(), nullptr, out.data(), nullptr));
  const bool counts = emulator::build() == Build::access;
  CHECK(emulator::traffic(in.data()).bytes_read == (counts ? kPlantedValues * sizeof(float) : 0));
  CHECK(emulator::traffic(out.data()).bytes_written == (counts ? kPlantedValues * sizeof(float) : 0));
  CHECK(emulator::traffic(out.data()).bytes_read == 0);
}

}  // namespace
}  // namespace glassbox::testing
