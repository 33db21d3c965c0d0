#include "tests/gpu/emulator/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

#include "kernels/cuda/device.h"
#include "tests/gpu/emulator/machine.h"
#include "tests/gpu/emulator/sanitizers.h"

namespace glassbox::emulator {
namespace {

constexpr size_t kArenaBytes = 512 << 20;  // all the memory of the device; only what is touched costs
constexpr size_t kSharedArenaBytes = 1 << 20;
constexpr size_t kAlignment = 256;  // what cudaMalloc promises
constexpr size_t kGap = 256;        // between two pieces, so that a small step outside hits none

std::byte* map_arena(size_t bytes) {
  void* place = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) throw std::bad_alloc();
  poison(place, bytes);
  return static_cast<std::byte*>(place);
}

size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

bool within(const void* p, const std::byte* begin, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(p), first = reinterpret_cast<uintptr_t>(begin);
  return at >= first && at - first < bytes;
}

}  // namespace

void fill_unwritten(std::byte* p, size_t bytes) {
  if (schedule().fill == Fill::noise) {
    std::minstd_rand random(schedule().seed + static_cast<uint32_t>(bytes));
    for (size_t i = 0; i < bytes; ++i) p[i] = static_cast<std::byte>(random() >> 7);
  } else {
    std::memset(p, schedule().fill == Fill::zeros ? 0 : 0xff, bytes);
  }
}

std::unique_ptr<Cell[], void (*)(void*)> make_cells(size_t bytes) {
  if (!accesses_are_checked()) return {nullptr, std::free};
  auto* cells = static_cast<Cell*>(std::calloc(bytes, sizeof(Cell)));  // the kernel gives zeroed pages when touched
  if (cells == nullptr) throw std::bad_alloc();
  return {cells, std::free};
}

DeviceMemory::DeviceMemory() : arena_(map_arena(kArenaBytes)), limit_(kArenaBytes) {}

Region* DeviceMemory::allocate(size_t bytes) {
  if (regions_.empty()) next_ = 0;  // freed memory is used again only when all is free: a late access is then seen
  const size_t at = next_ + kGap;
  if (bytes > limit_ - std::min(used_, limit_) || at + bytes + kGap > kArenaBytes) return nullptr;
  next_ = round_up(at + bytes, kAlignment);
  used_ += bytes;
  Region region;
  region.begin = arena_ + at;
  region.bytes = bytes;
  region.name = "the device allocation of " + std::to_string(bytes) + " bytes";
  region.cells = make_cells(bytes);
  unpoison(region.begin, bytes);
  fill_unwritten(region.begin, bytes);
  const auto key = reinterpret_cast<uintptr_t>(region.begin);
  return &regions_.emplace(key, std::move(region)).first->second;
}

bool DeviceMemory::release(void* p) {
  const auto found = regions_.find(reinterpret_cast<uintptr_t>(p));
  if (found == regions_.end()) return false;
  used_ -= found->second.bytes;
  std::memset(found->second.begin, 0xdb, found->second.bytes);
  poison(found->second.begin, found->second.bytes);
  regions_.erase(found);
  return true;
}

Region* DeviceMemory::find(const void* p) {
  auto found = regions_.upper_bound(reinterpret_cast<uintptr_t>(p));
  if (found == regions_.begin()) return nullptr;
  Region& region = std::prev(found)->second;
  return region.contains(p) ? &region : nullptr;
}

bool DeviceMemory::in_arena(const void* p) const {
  return within(p, arena_, kArenaBytes);
}

void DeviceMemory::set_limit(size_t bytes) {
  limit_ = bytes == 0 ? kArenaBytes : std::min(bytes, kArenaBytes);
}

void DeviceMemory::mark_written(Region& region, const void* p, size_t bytes) {
  if (region.cells == nullptr) return;
  Cell* cell = region.cells.get() + (static_cast<const std::byte*>(p) - region.begin);
  for (size_t i = 0; i < bytes; ++i) {
    cell[i].changes = cell[i].written;
    cell[i].written = true;
    cell[i].last_change = running().segment;
  }
}

DeviceMemory& device_memory() {
  static DeviceMemory memory;
  return memory;
}

SharedMemory::SharedMemory() : arena_(map_arena(kSharedArenaBytes)) {}

void SharedMemory::begin_block(size_t dynamic_bytes) {
  regions_.clear();
  keys_.clear();
  used_ = 0;
  variable_bytes_ = 0;
  add(dynamic_bytes, "dynamic shared memory");
}

void SharedMemory::end_block() {
  poison(arena_, used_);
}

// At a multiple of what device.h promises, and of nothing larger.
Region* SharedMemory::add(size_t bytes, const char* name) {
  const size_t at = round_up(used_ + kGap, 2 * kSharedAlignment) + kSharedAlignment;
  used_ = at + bytes;
  if (used_ + kGap > kSharedArenaBytes) {
    stop_launch(FaultKind::bounds, "more shared memory than the emulator has");
  }
  auto region = std::make_unique<Region>();
  region->begin = arena_ + at;
  region->bytes = bytes;
  region->name = name;
  region->shared = true;
  region->cells = make_cells(bytes);
  unpoison(region->begin, bytes);
  fill_unwritten(region->begin, bytes);
  regions_.push_back(std::move(region));
  return regions_.back().get();
}

void* SharedMemory::variable(const void* key, size_t bytes, const char* name) {
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (keys_[i] == key) return regions_[i + 1]->begin;
  }
  variable_bytes_ += bytes;
  const size_t dynamic = regions_.front()->bytes, most = dynamic > kSharedBytes ? kMostSharedBytes : kSharedBytes;
  if (variable_bytes_ + dynamic > most) {
    stop_launch(FaultKind::bounds, "shared variables of " + std::to_string(variable_bytes_) + " bytes beside " +
                                       std::to_string(dynamic) + " of dynamic shared memory; there are " +
                                       std::to_string(most));
  }
  keys_.push_back(key);
  return add(bytes, name)->begin;
}

Region* SharedMemory::find(const void* p) {
  for (const auto& region : regions_) {
    if (region->contains(p)) return region.get();
  }
  return nullptr;
}

bool SharedMemory::in_arena(const void* p) const {
  return within(p, arena_, kSharedArenaBytes);
}

SharedMemory& shared_memory() {
  static SharedMemory memory;
  return memory;
}

Region* find_region(const void* p) {
  if (shared_memory().in_arena(p)) return shared_memory().find(p);
  return device_memory().in_arena(p) ? device_memory().find(p) : nullptr;
}

}  // namespace glassbox::emulator
