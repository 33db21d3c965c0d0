// Every load and store of the kernels, checked. Their files are compiled with -fsanitize=thread, which puts a call
// before each access; the calls end here and not in ThreadSanitizer's library, which knows nothing of barriers and
// blocks.
//
// An access must lie in memory that the kernel may touch, at a multiple of its size; what is read must have been
// written; a launch that may begin early must have waited for those before, unless it reads what was written once, by
// the host, or before the last copy or launch that was not early; and of two accesses to a byte in one launch, one of them a
// write, one must come before the other: by a barrier of the block, or in a warp by __syncwarp. Nothing orders two
// blocks. Shuffles and votes order nothing: the hardware promises no more. Atomic accesses do not race with each other.
// Known limit: of several lanes' reads in one segment the latest time counts for all, so __syncwarp with partial masks
// that come and go between them could be told as a race.
#include <dlfcn.h>

#include <cstring>

#include "tests/gpu/emulator/emulated_device.h"
#include "tests/gpu/emulator/machine.h"

extern "C" const char __executable_start, _end;  // the linker's: the program's own code, constants and variables

namespace glassbox::emulator {
namespace {

bool& checked() {
  static constinit bool state = false;
  return state;
}

struct Access {
  const std::byte* address;
  size_t bytes;
  bool reads, writes, atomic;
  const void* site;
};

// Sites fit in 32 bits as distances from the program's beginning.
uint32_t site_number(const void* site) {
  return static_cast<uint32_t>(static_cast<const char*>(site) - &__executable_start);
}

bool inside(const void* p, const void* begin, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(p), first = reinterpret_cast<uintptr_t>(begin);
  return at >= first && at - first < bytes;
}

std::string describe(const Access& access, const Region* region) {
  std::string text = access.atomic ? "atomically changes " : access.writes ? "writes " : "reads ";
  text += std::to_string(access.bytes) + " bytes";
  if (region != nullptr) {
    text += " at offset " + std::to_string(access.address - region->begin) + " of " + region->name;
  }
  return text;
}

[[noreturn]] void stop(FaultKind kind, const Access& access, const std::string& text) {
  stop_launch(kind, text, access.site);
}

[[noreturn]] void stop_race(const Access& access, const Region& region, const char* did, const std::string& who,
                            uint32_t site) {
  stop(FaultKind::race, access,
       "it " + describe(access, &region) + ", which " + who + " " + did +
           ", and nothing orders the two; the other is at " + describe_code(&__executable_start + site - 1));
}

// What the access does to one byte, after what was done to it before.
void check_byte(Cell& cell, const Access& access, const Region& region) {
  const Running& now = running();
  const unsigned own = now.thread->number, warp = own / kWarp, lane = own % kWarp;
  if (access.reads && !cell.written) {
    stop(FaultKind::uninitialised, access, "it " + describe(access, &region) + ", where nothing was written");
  }
  const bool unsettled = cell.changes && cell.last_change > now.settled_segment;
  if (!now.thread->waited && !region.shared && (access.writes || unsettled)) {
    stop(FaultKind::early, access,
         "it " + describe(access, &region) + " and has not waited for the launches before, which may " +
             (access.writes ? "use" : "change") + " that");
  }
  if (cell.write_segment >= now.launch_segment && !(access.atomic && cell.write_atomic)) {
    if (cell.write_segment < now.block_segment) stop_race(access, region, "wrote", "another block", cell.write_site);
    if (cell.write_segment == now.segment && cell.write_thread != own &&
        (cell.write_thread / kWarp != warp || !ordered_in_warp(cell.write_thread % kWarp, cell.write_time))) {
      stop_race(access, region, "wrote", describe_thread(cell.write_thread), cell.write_site);
    }
  }
  if (access.writes) {
    if (cell.other_read_segment >= now.launch_segment ||
        (cell.read_segment >= now.launch_segment && cell.read_segment < now.block_segment)) {
      stop_race(access, region, "read", "another block", cell.read_site);
    }
    if (cell.read_segment == now.segment) {
      if (cell.read_warp != warp) stop_race(access, region, "read", "a thread of another warp", cell.read_site);
      for (unsigned other = 0; other < kWarp; ++other) {
        if (other == lane || (cell.read_lanes >> other & 1) == 0) continue;
        if (!ordered_in_warp(other, cell.read_time)) {
          stop_race(access, region, "read", describe_thread(warp * kWarp + other), cell.read_site);
        }
      }
    }
    cell.written = cell.changes = true;
    cell.last_change = now.segment;
    cell.write_segment = now.segment;
    cell.write_thread = static_cast<uint16_t>(own);
    cell.write_time = warp_time();
    cell.write_site = site_number(access.site);
    cell.write_atomic = access.atomic;
    return;
  }
  if (cell.read_segment != now.segment) {
    if (cell.read_segment < now.block_segment) cell.other_read_segment = cell.read_segment;
    cell.read_segment = now.segment;
    cell.read_warp = static_cast<uint16_t>(warp);
    cell.read_lanes = 0;
  } else if (cell.read_warp != warp) {
    cell.read_warp = kSeveralWarps;
  }
  cell.read_lanes |= 1u << lane;
  cell.read_time = warp_time();
  cell.read_site = site_number(access.site);
}

void check(const Access& access, bool aligned) {
  Running& now = running();
  if (now.launch == nullptr || now.thread == nullptr) return;  // the host's own code in a kernel's file
  if (inside(access.address, now.thread->context.stack, now.thread->context.stack_bytes)) return;  // local variables
  static Region* last = nullptr;
  static uint32_t last_segment = 0;  // shared variables live as long as their block
  if (last_segment != now.block_segment) last = nullptr;
  Region* region = last != nullptr && last->contains(access.address) ? last : find_region(access.address);
  last = region;
  last_segment = now.block_segment;
  if (region == nullptr) {
    const bool program = inside(access.address, &__executable_start, static_cast<size_t>(&_end - &__executable_start));
    if (program && !access.writes) return;  // constants, and the built-in variables
    if (inside(access.address, now.launch->call->data(), now.launch->call->size()) && !access.writes) return;
    char place[32];
    std::snprintf(place, sizeof place, " at %p", static_cast<const void*>(access.address));
    stop(FaultKind::bounds, access,
         "it " + describe(access, nullptr) + place + ", which is " +
             (shared_memory().in_arena(access.address)   ? "in shared memory, outside of all variables"
              : device_memory().in_arena(access.address) ? "in the device's memory, outside of all live allocations"
                                                         : "no memory of the device"));
  }
  if (static_cast<size_t>(region->begin + region->bytes - access.address) < access.bytes) {
    stop(FaultKind::bounds, access, "it " + describe(access, region) + ", which runs over its end");
  }
  if (aligned && reinterpret_cast<uintptr_t>(access.address) % access.bytes != 0) {
    stop(FaultKind::alignment, access, "it " + describe(access, region) + ", which is no multiple of the size");
  }
  if (access.reads) region->traffic.bytes_read += access.bytes;
  if (access.writes) region->traffic.bytes_written += access.bytes;
  if (region->cells == nullptr) return;
  Cell* cell = region->cells.get() + (access.address - region->begin);
  for (size_t i = 0; i < access.bytes; ++i) check_byte(cell[i], access, *region);
}

void check_read(const void* p, size_t bytes, const void* site, bool aligned = true) {
  check({static_cast<const std::byte*>(p), bytes, true, false, false, site}, aligned);
}
void check_write(const void* p, size_t bytes, const void* site, bool aligned = true) {
  check({static_cast<const std::byte*>(p), bytes, false, true, false, site}, aligned);
}

}  // namespace

bool accesses_are_checked() {
  return checked();
}

void check_atomic(void* target, size_t bytes) {
  if (!checked()) return;
  check({static_cast<const std::byte*>(target), bytes, true, true, true, __builtin_return_address(0)}, true);
}

}  // namespace glassbox::emulator

// The names that GCC and Clang call.
#define GLASSBOX_SITE __builtin_return_address(0)
#define GLASSBOX_ACCESS_OF(bytes)                                    \
  void __tsan_read##bytes(void* p) {                                 \
    glassbox::emulator::check_read(p, bytes, GLASSBOX_SITE);         \
  }                                                                  \
  void __tsan_write##bytes(void* p) {                                \
    glassbox::emulator::check_write(p, bytes, GLASSBOX_SITE);        \
  }                                                                  \
  void __tsan_volatile_read##bytes(void* p) {                        \
    glassbox::emulator::check_read(p, bytes, GLASSBOX_SITE);         \
  }                                                                  \
  void __tsan_volatile_write##bytes(void* p) {                       \
    glassbox::emulator::check_write(p, bytes, GLASSBOX_SITE);        \
  }                                                                  \
  void __tsan_unaligned_read##bytes(void* p) {                       \
    glassbox::emulator::check_read(p, bytes, GLASSBOX_SITE, false);  \
  }                                                                  \
  void __tsan_unaligned_write##bytes(void* p) {                      \
    glassbox::emulator::check_write(p, bytes, GLASSBOX_SITE, false); \
  }

extern "C" {
void __tsan_init() {
  glassbox::emulator::checked() = true;
}  // each instrumented file calls it before main()
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
GLASSBOX_ACCESS_OF(1)
GLASSBOX_ACCESS_OF(2)
GLASSBOX_ACCESS_OF(4)
GLASSBOX_ACCESS_OF(8)
GLASSBOX_ACCESS_OF(16)
void __tsan_read_range(void* p, size_t bytes) {
  glassbox::emulator::check_read(p, bytes, GLASSBOX_SITE, false);
}
void __tsan_write_range(void* p, size_t bytes) {
  glassbox::emulator::check_write(p, bytes, GLASSBOX_SITE, false);
}
}
