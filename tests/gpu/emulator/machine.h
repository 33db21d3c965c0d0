// What the parts of the emulator share: the launch that runs now, its threads, and how a fault ends it.
#pragma once

#include <vector_types.h>

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "tests/gpu/emulator/emulator.h"
#include "tests/gpu/emulator/fiber.h"
#include "tests/gpu/emulator/memory.h"

namespace glassbox::emulator {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kMostThreads = 1024;         // of a block
inline constexpr size_t kSharedBytes = 48 << 10;       // of a block without asking
inline constexpr size_t kMostSharedBytes = 227 << 10;  // after cudaFuncSetAttribute

// A kernel with its arguments.
struct Launch {
  const void* kernel = nullptr;
  dim3 grid, block;
  size_t shared_bytes = 0;                             // dynamic
  bool early = false;                                  // the launches before it may still run
  std::shared_ptr<const std::vector<std::byte>> call;  // the kernel's address and arguments, as invoke() wants them
  void (*invoke)(const void* call) = nullptr;
};

enum class WarpCall : uint8_t { sync, shuffle, vote };

struct Thread {
  enum class State : uint8_t { ready, at_barrier, in_warp, ended };
  Context context;
  uint3 index{};
  unsigned number = 0;  // in the block
  State state = State::ready;
  bool waited = false;         // for the launches before, or need not
  std::source_location where;  // of the barrier or the call in which it waits
  // The call in which it waits:
  WarpCall call = WarpCall::sync;
  unsigned mask = 0, source_lane = 0, result = 0;  // result: of a vote
  size_t value_bytes = 0;
  alignas(16) std::byte value[16], received[16];
};

// Within one segment nothing orders the threads of a block except __syncwarp; each barrier begins a new segment. Their
// numbers grow over all blocks and launches.
struct Running {
  const Launch* launch = nullptr;  // null: the host runs
  uint3 block{};
  Thread* thread = nullptr;
  bool failed = false;
  uint32_t segment = 0;        // now
  uint32_t block_segment = 0;  // the block's first
  uint32_t launch_segment = 0;
  uint32_t settled_segment = 0;  // what was written up to it was done and seen before the launch could begin
};
inline Running& running() {
  static constinit Running state;
  return state;
}

void run_launch(const Launch& launch);

// Whether what lane `lane` of the thread's own warp did before `time` is ordered before what the thread does now.
bool ordered_in_warp(unsigned lane, uint32_t time);
// How many times lanes of the thread's warp have met in __syncwarp.
uint32_t warp_time();

const Schedule& schedule();

// Notes the fault with the kernel, block and thread that run now. `address` is of the instruction that did it, or null.
void note_fault(FaultKind kind, const std::string& text, const void* address = nullptr);
// The same, and ends the launch: the fiber is left and never goes on.
[[noreturn]] void stop_launch(FaultKind kind, const std::string& text, const void* address = nullptr);
bool any_fault();

std::string describe(const std::source_location& where);
std::string describe(const uint3& v);
std::string describe_thread(unsigned number);    // of the running block
std::string describe_code(const void* address);  // function and line, as far as the program knows
void catch_sanitizers();                         // once: their reports become faults

}  // namespace glassbox::emulator
