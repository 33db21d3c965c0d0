#include <sys/mman.h>

#include <cstdint>

#include "kernels/large_pages.h"

namespace glassbox {

void ask_for_large_pages(std::byte* data, size_t bytes) {
  // Whole 2 MiB pages inside; what lies before and after keeps small ones.
  constexpr uintptr_t kLarge = uintptr_t{2} << 20;
  const auto begin = (reinterpret_cast<uintptr_t>(data) + kLarge - 1) / kLarge * kLarge;
  const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) / kLarge * kLarge;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace glassbox
