// Steps recorded as CUDA graphs: hundreds of launches that the host then starts with one call.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <vector>

#include "kernels/ops.h"

namespace glassbox::cuda {

// Throws DeviceMemoryError when memory ran out, else DeviceError with what was being done.
void check(cudaError_t error, const char* what);

class Recordings {
 public:
  Recordings() = default;
  ~Recordings() { clear(); }
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // Ops::repeat on a stream. A key is met for the first time: the operations just run, so that what is made at first
  // use (scratch memory, a library's handle) is there, and what comes once costs no recording. For the second time:
  // they are recorded. From then on the recording runs. Where recording fails they run as they are.
  void run(const Ops::RepeatKey& key, cudaStream_t stream, const std::function<void()>& operations);
  void clear();

 private:
  struct Recording {
    Ops::RepeatKey key;
    cudaGraphExec_t graph = nullptr;  // null: met once, or not recorded
    int failures = 0;                 // to record it
  };
  static void try_to_record(Recording& recording, cudaStream_t stream, const std::function<void()>& operations);
  std::vector<Recording> recordings_;  // the one used last stands last
};

}  // namespace glassbox::cuda
