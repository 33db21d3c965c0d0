#include "kernels/cpu/make_table.h"
#include "kernels/cpu/simd_avx512.h"

namespace glassbox::cpu {

const KernelTable* avx512_kernels() {
  return TableOf<Avx512>::get();
}

}  // namespace glassbox::cpu
