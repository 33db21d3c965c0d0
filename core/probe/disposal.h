// Gives memory back to the system on a thread of its own: hundreds of megabytes take tens of milliseconds, and pinned
// ones may wait for the GPU as well, while it is often the window's thread that drops the last step that needed them.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels/tensor.h"

namespace glassbox {

// Thread safe. The destructor waits until all is given back.
class Disposal {
 public:
  void dispose(std::vector<Buffer> buffers);

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any more_;
  std::vector<Buffer> waiting_;
  std::jthread thread_;  // begun when first needed; last: it ends before what it uses
};

}  // namespace glassbox
