#include "kernels/cpu/cpu_features.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kernels/cpu/cpu_ops.h"

namespace glassbox {
namespace cpu {
namespace {

#if defined(__x86_64__)
bool has_f16c() {  // not every compiler's __builtin_cpu_supports knows its name
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
const KernelTable* avx2_if_runs() {
  const bool runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  return runs && has_f16c() ? avx2_kernels() : nullptr;
}
const KernelTable* avx512_if_runs() {
  const bool runs = avx2_if_runs() != nullptr && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  return runs ? avx512_kernels() : nullptr;
}
#else
const KernelTable* avx2_if_runs() {
  return nullptr;
}
const KernelTable* avx512_if_runs() {
  return nullptr;
}
#endif

}  // namespace

const KernelTable* find_kernels(std::string_view isa) {
  if (isa == "portable") return portable_kernels();
  if (isa == "avx2") return avx2_if_runs();
  if (isa == "avx512") return avx512_if_runs();
  if (!isa.empty()) return nullptr;
  if (const KernelTable* best = avx512_if_runs()) return best;
  if (const KernelTable* best = avx2_if_runs()) return best;
  return portable_kernels();
}

}  // namespace cpu

std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options) {
  const char* forced = std::getenv("GLASSBOX_CPU");
  const cpu::KernelTable* kernels = cpu::find_kernels(forced != nullptr && *forced != '\0' ? forced : options.isa);
  if (kernels == nullptr) return nullptr;
  const int threads = options.threads > 0 ? options.threads : cpu::physical_cores();
  return std::make_unique<cpu::CpuOps>(*kernels, threads, options.pin_threads);
}

}  // namespace glassbox
