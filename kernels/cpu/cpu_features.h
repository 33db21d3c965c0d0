// Which kernels this machine can run.
#pragma once

#include <string_view>

#include "kernels/cpu/kernel_table.h"

namespace glassbox::cpu {

// "portable", "avx2", "avx512", or "" for the best. Null when the name is unknown or the machine cannot run it.
const KernelTable* find_kernels(std::string_view isa);

}  // namespace glassbox::cpu
