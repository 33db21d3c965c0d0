// Cores and pinning on Linux.
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "kernels/cpu/thread_pool.h"

namespace glassbox::cpu {
namespace {

// The first logical processor of each core that this process may run on.
std::vector<int> usable_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> cores, groups;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    // The file lists the hyperthreads of this core, as "0,4" or "0-1"; its first number names the core.
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    int group = -1;
    if (!(file >> group)) group = cpu;
    if (std::find(groups.begin(), groups.end(), group) != groups.end()) continue;
    groups.push_back(group);
    cores.push_back(cpu);
  }
  return cores;
}

}  // namespace

int physical_cores() {
  return std::max(1, static_cast<int>(usable_cores().size()));
}

int current_core() {
  const std::vector<int> cores = usable_cores();
  // Where the caller is on the second hyperthread of a core, the one before it in the list is that core.
  const auto after = std::upper_bound(cores.begin(), cores.end(), sched_getcpu());
  return after == cores.begin() ? 0 : static_cast<int>(after - cores.begin()) - 1;
}

void pin_to_core(int core) {
  const std::vector<int> cores = usable_cores();
  if (cores.empty()) return;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cores[static_cast<size_t>(core) % cores.size()], &one);
  sched_setaffinity(0, sizeof one, &one);
}

}  // namespace glassbox::cpu
