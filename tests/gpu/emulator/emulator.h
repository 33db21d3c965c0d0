// An emulator of the CUDA execution model, for tests on machines without a GPU (ARCHITECTURE §8). The kernels' files
// are compiled as C++ of the host; the threads of a block are fibers, and the functions cuda…() are the emulator's own.
// This header is what a test sees: how the threads take turns, what was found, what was counted.
//
// What it is not: blocks run one after the other, so a kernel whose blocks wait for each other does not end here;
// threads change only where they meet (barriers, shuffles, votes), so one that waits for another's store in a loop does
// not either. Speed says nothing.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace glassbox::emulator {

// Which of the threads that can go on goes on: the next one in turn, upwards or downwards, or always the one of the
// highest priority. Priorities are drawn for warps and for threads: where one runs as far ahead of the others as it
// can, a missing barrier shows.
enum class Order : uint8_t { forwards, backwards, priorities };
// What memory holds that nobody wrote: zeros, ones (NaN in every float format), or noise.
enum class Fill : uint8_t { zeros, ones, noise };

struct Schedule {
  Order order = Order::forwards;
  Fill fill = Fill::ones;
  uint32_t seed = 1;  // of priorities, noise and the order of the blocks; blocks run in their own order with `forwards`
  // The device is of compute capability 9.0, which can launch early, and not of 8.0.
  bool launches_early = true;
  std::string name() const;
};

// Forwards, backwards and `seeds` drawn ones, with all fills among them; all but the one backwards with early launches.
std::vector<Schedule> schedules(int seeds);
void set_schedule(const Schedule& schedule);

enum class FaultKind : uint8_t {
  barrier,        // not reached by all threads of the block, or not at the same place
  warp,           // a shuffle, vote or __syncwarp whose mask is wrong, or that its lanes do not reach together
  uninitialised,  // shared or global memory is read that nothing wrote
  bounds,         // an access outside of all memory that the kernel may touch
  alignment,      // an access at an address that is no multiple of its size
  race,           // two threads, one of them writing, without a barrier between
  sanitizer,      // what AddressSanitizer and UBSan found, of which the kind is in the text
  transfer,       // a copy outside of an allocation
  early,          // a thread of an early launch (kernels/cuda/device.h) does not wait for the launches before, or reads
                  // what others than the host have written, or what was written twice, or writes, before it does
};

struct Fault {
  FaultKind kind;
  std::string text;  // kernel, block, thread, what, and where in the source
};

// What was found since the last call, the first fault of each launch. As on a GPU, every call after a fault fails; this
// makes the device whole again, and drops what was queued.
std::vector<Fault> take_faults();

// How the kernels were compiled. `access`: each of their loads and stores is checked, exactly (access_checks.cpp).
enum class Build : uint8_t { plain, address, access };
Build build();

struct Counters {
  int64_t launches = 0;        // kernels that ran
  int64_t early_launches = 0;  // of these, those that may begin before the one before has ended
  int64_t recordings = 0;      // graphs that were made to run
  int64_t graph_launches = 0;  // graphs that ran; their kernels are counted too
  int64_t graph_nodes = 0;     // kernels, copies and what else there is in those
  int64_t allocations = 0;     // of device memory, that live now
  int64_t allocated_bytes = 0;
};
Counters counters();
void reset_counters();  // the launches and graphs

// What kernels loaded from an allocation and stored into it, since it was made or reset. Counted in Build::access only.
struct Traffic {
  uint64_t bytes_read = 0, bytes_written = 0;
};
Traffic traffic(const void* allocation);
void reset_traffic(const void* allocation);
// Of all allocations that live.
struct Allocation {
  const void* begin;
  size_t bytes;
  Traffic traffic;
};
std::vector<Allocation> allocations();

// How much device memory there is, for tests of what happens when it does not suffice; 0: all that the emulator has.
void set_memory_limit(size_t bytes);

// How much host memory can be pinned, for tests of what happens when it does not suffice; 0: any amount.
void set_pinned_limit(size_t bytes);

// How many devices there are, with one memory. What is of one device is refused where a thread has chosen another.
void set_device_count(int count);

// The device with this number answers, but nothing starts on it; −1: there is none such.
void set_broken_device(int device);

// What the devices say of themselves: compute capability 61 is 6.1; 0: as ever. And whether the program holds code for
// it.
void set_compute_capability(int both);
void set_without_code(bool without);
// What the driver is for, 12040 being CUDA 12.4; 0: what the program needs. An old one makes everything else fail with
// cudaErrorInsufficientDriver, see set_failure().
void set_driver_version(int version);

// From now on every call fails with this error and nothing that is queued runs, as after a card was lost
// (cudaErrorDevicesUnavailable) or without a driver (cudaErrorInsufficientDriver); cudaSuccess ends it.
void set_failure(cudaError_t error);
cudaError_t failure();

}  // namespace glassbox::emulator
