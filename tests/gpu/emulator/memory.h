// The memory that a kernel may touch, piece by piece: device allocations, and the shared variables of a block. Each
// piece knows its bounds and, where accesses are checked, a cell for each byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/gpu/emulator/emulator.h"

namespace glassbox::emulator {

// What happened to one byte. Segments, times and sites: see machine.h and access_checks.cpp. All zeros: never touched.
struct Cell {
  uint32_t write_segment, write_time, write_site;
  uint32_t read_segment, read_time, read_site;
  uint32_t read_lanes;          // which lanes of read_warp read it in read_segment
  uint32_t other_read_segment;  // the last one in which an earlier block read it
  uint16_t write_thread;
  uint16_t read_warp;  // kSeveralWarps: more than one
  bool written, write_atomic;
  bool changes;          // written by a kernel, or twice
  uint32_t last_change;  // the segment then
};
inline constexpr uint16_t kSeveralWarps = 0xffff;

struct Region {
  std::byte* begin = nullptr;
  size_t bytes = 0;
  std::string name;
  bool shared = false;
  std::unique_ptr<Cell[], void (*)(void*)> cells{nullptr, nullptr};  // [bytes], or none
  Traffic traffic;

  bool contains(const void* p) const {
    const auto at = reinterpret_cast<uintptr_t>(p), first = reinterpret_cast<uintptr_t>(begin);
    return at >= first && at - first < bytes;
  }
};

class DeviceMemory {
 public:
  DeviceMemory();
  Region* allocate(size_t bytes);  // null: there is not so much left
  bool release(void* p);           // false: it is not the beginning of an allocation
  Region* find(const void* p);     // the allocation that holds the byte, or null
  bool in_arena(const void* p) const;
  size_t used() const { return used_; }
  size_t count() const { return regions_.size(); }
  size_t limit() const { return limit_; }
  void set_limit(size_t bytes);
  // The bytes count as written from now on, by nobody that could race. What is written a second time changes.
  static void mark_written(Region& region, const void* p, size_t bytes);
  std::map<uintptr_t, Region>& regions() { return regions_; }

 private:
  std::byte* arena_ = nullptr;
  size_t next_ = 0, used_ = 0, limit_ = 0;
  std::map<uintptr_t, Region> regions_;
};
DeviceMemory& device_memory();

// The shared memory of the block that runs, laid out as its threads come by the variables.
class SharedMemory {
 public:
  SharedMemory();
  void begin_block(size_t dynamic_bytes);  // all of it is unwritten again
  void end_block();
  void* variable(const void* key, size_t bytes, const char* name);
  void* dynamic() { return regions_.front()->begin; }
  Region* find(const void* p);
  bool in_arena(const void* p) const;

 private:
  Region* add(size_t bytes, const char* name);
  std::byte* arena_ = nullptr;
  size_t used_ = 0, variable_bytes_ = 0;
  std::vector<std::unique_ptr<Region>> regions_;  // the dynamic one first
  std::vector<const void*> keys_;
};
SharedMemory& shared_memory();

// The piece that holds the byte, or null.
Region* find_region(const void* p);

// Fills memory that nobody has written with the schedule's pattern.
void fill_unwritten(std::byte* p, size_t bytes);

std::unique_ptr<Cell[], void (*)(void*)> make_cells(size_t bytes);

// True where the kernels were compiled with checked accesses (Build::access).
bool accesses_are_checked();

}  // namespace glassbox::emulator
