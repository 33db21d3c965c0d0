#include <pthread.h>
#include <sched.h>

#include "core/base/processors.h"

namespace glassbox {

void keep_off_this_processor(std::thread& other) {
  cpu_set_t others;
  const int here = sched_getcpu();
  if (here < 0 || sched_getaffinity(0, sizeof others, &others) != 0 || CPU_COUNT(&others) < 2) return;
  CPU_CLR(static_cast<unsigned>(here), &others);
  (void)pthread_setaffinity_np(other.native_handle(), sizeof others, &others);
}

}  // namespace glassbox
