#include "kernels/cpu/make_table.h"
#include "kernels/cpu/simd_portable.h"

namespace glassbox::cpu {

const KernelTable* portable_kernels() {
  return TableOf<Portable>::get();
}

}  // namespace glassbox::cpu
