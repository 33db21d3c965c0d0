// The CUDA backend as the rest of the program sees it; no CUDA header is needed for it. Where the program was built
// without the toolkit, cuda_absent.cpp says so.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace glassbox {

struct CudaDevice {
  int index = 0;
  std::string name;          // as the driver calls it, "NVIDIA H200"
  int major = 0, minor = 0;  // compute capability
  size_t total_bytes = 0;
  std::optional<size_t> free_bytes;  // none: nobody has asked, see ask_cuda_device()
  std::string problem = {};  // why it cannot be used, to be read after the name; empty: nothing is known against it
};

struct CudaDevices {
  bool built_in = false;            // this program has the CUDA backend
  std::string problem;              // why no device can be used, in the driver's words; empty when one can
  std::vector<CudaDevice> devices;  // all that the driver shows, those with a problem too
  // The problem is another than that there is no driver or no card: somebody who has a GPU does not expect it.
  bool surprising = false;
};
// Looks, and takes nothing of the devices. The driver may need a second to wake.
CudaDevices find_cuda_devices();

// Asks a device what memory it has free, and whether this program holds code for it: fills in free_bytes, or problem.
// That makes a context on it, which takes some hundred MiB there and a part of a second: only for one that is about to
// be used. The calling thread's current device stays what it is.
void ask_cuda_device(CudaDevice& device);

// Why the kernels cannot run a layer with so many heads [H] of such a size [D], to be read after "the GPU cannot run
// this model: "; empty: they can. All other shapes that a model may have they run, if not in their fastest ways.
std::string find_cuda_misfit(int heads, int head_dim);

// Throws DeviceError: the program is built without CUDA or holds no code for the device, there is no such device, or it
// does not start.
std::shared_ptr<Ops> make_cuda_ops(int device);

}  // namespace glassbox
