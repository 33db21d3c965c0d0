// The CUDA backend as the rest of the program sees it; no CUDA header is needed for it. Where the program was built
// without the toolkit, cuda_absent.cpp says so.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace glassbox {

struct CudaDevice {
  int index = 0;
  std::string name;          // as the driver calls it, "NVIDIA H200"
  int major = 0, minor = 0;  // compute capability
  size_t total_bytes = 0, free_bytes = 0;
};

struct CudaDevices {
  bool built_in = false;            // this program has the CUDA backend
  std::string problem;              // why there is no device, in the driver's words; empty when there is one
  std::vector<CudaDevice> devices;  // that can run this program's kernels
};
CudaDevices find_cuda_devices();

// Throws DeviceError: the program is built without CUDA, there is no such device, or it does not start.
std::shared_ptr<Ops> make_cuda_ops(int device);

}  // namespace glassbox
