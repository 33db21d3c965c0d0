#include "kernels/cpu/make_table.h"
#include "kernels/cpu/simd_avx2.h"

namespace glassbox::cpu {

const KernelTable* avx2_kernels() {
  return TableOf<Avx2>::get();
}

}  // namespace glassbox::cpu
