// Copies from the GPU to the host on a stream of their own, beside the kernels.
#pragma once

#include <cuda_runtime_api.h>

#include <array>

#include "kernels/ops.h"

namespace glassbox::cuda {

// Ops::download_beside and its marks. For the thread's current device; throws as check() does.
class SideCopies {
 public:
  SideCopies();
  ~SideCopies();
  SideCopies(const SideCopies&) = delete;
  SideCopies& operator=(const SideCopies&) = delete;

  // Begins when what `after` holds now is done.
  void download(cudaStream_t after, const void* from, size_t bytes, void* host);
  void mark(int mark);
  void await(cudaStream_t stream, int mark);
  void wait();

 private:
  cudaStream_t stream_ = nullptr;
  cudaEvent_t computed_ = nullptr;  // recorded anew for each copy: who awaits an event awaits its last record
  std::array<cudaEvent_t, Ops::kDownloadMarks> marks_{};
  bool running_ = false;  // since the last wait()
};

}  // namespace glassbox::cuda
