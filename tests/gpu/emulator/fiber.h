// Fibers: the threads of an emulated block, which run on one thread of the host and hand over to each other by name.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace glassbox::emulator {

// A point of execution to switch away from and back to. A fiber's registers wait on its own stack meanwhile.
struct Context {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t registers;
#endif
  const void* stack = nullptr;  // its lowest address; AddressSanitizer wants to know
  size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
};

inline constexpr size_t kStackBytes = 64 << 10;

// Stack number i out of a pool that is mapped once; an inaccessible page lies below each, so that an overflow is a
// crash at the place where it happens.
std::byte* fiber_stack(size_t i);

// Makes `fiber` begin at `entry` on stack number i with the first switch to it. `entry` must never return.
void prepare_fiber(Context& fiber, size_t i, void (*entry)());

// Goes on where `to` left off; returns when somebody switches back to `from`.
void switch_fiber(Context& from, Context& to);

// What a fiber calls first; `from` is the context that switched to it.
void fiber_entered(Context& from);

// For a fiber that was given up in the middle of a function: what AddressSanitizer still guards on its stack is free.
void forget_stack(size_t i);

}  // namespace glassbox::emulator
