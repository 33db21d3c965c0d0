#include "tests/gpu/emulator/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>
#include <vector>

#include "tests/gpu/emulator/sanitizers.h"

#if defined(__x86_64__)
// glassbox_switch_stack(void** save, void* to): pushes what the System V ABI lets a callee keep, exchanges the stacks,
// and pops the same from the other.
asm(R"(
  .text
  .globl glassbox_switch_stack
  .type glassbox_switch_stack, @function
glassbox_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size glassbox_switch_stack, .-glassbox_switch_stack
)");
extern "C" void glassbox_switch_stack(void** save, void* to);
#endif

namespace glassbox::emulator {

std::byte* fiber_stack(size_t i) {
  static std::vector<std::byte*> pool;
  while (i >= pool.size()) {
    const auto guard = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void* place =
        mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED || mprotect(place, guard, PROT_NONE) != 0) throw std::bad_alloc();
    pool.push_back(static_cast<std::byte*>(place) + guard);
  }
  return pool[i];
}

void prepare_fiber(Context& fiber, size_t i, void (*entry)()) {
  std::byte* stack = fiber_stack(i);
  fiber.stack = stack;
  fiber.stack_bytes = kStackBytes;
  fiber.fake_stack = nullptr;
#if defined(__x86_64__)
  // Six registers, the entry as the address to return to, and nothing to return to from there. The return leaves the
  // stack pointer 8 past a multiple of 16, as the ABI wants it at a function's first instruction.
  auto** top = reinterpret_cast<void**>(stack + kStackBytes - 16);
  for (int place = -8; place <= 1; ++place) top[place] = nullptr;
  top[-2] = reinterpret_cast<void*>(entry);
  fiber.stack_pointer = top - 8;
#else
  getcontext(&fiber.registers);
  fiber.registers.uc_stack.ss_sp = stack;
  fiber.registers.uc_stack.ss_size = kStackBytes;
  fiber.registers.uc_link = nullptr;
  makecontext(&fiber.registers, entry, 0);
#endif
}

void switch_fiber(Context& from, Context& to) {
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
  }
#if defined(__x86_64__)
  glassbox_switch_stack(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.registers, &to.registers);
#endif
  if (__sanitizer_finish_switch_fiber != nullptr) __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}

void fiber_entered(Context& from) {
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(nullptr, &from.stack, &from.stack_bytes);
  }
}

void forget_stack(size_t i) {
  unpoison(fiber_stack(i), kStackBytes);
}

}  // namespace glassbox::emulator
