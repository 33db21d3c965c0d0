// In the place of kernels/cuda where there is no CUDA toolkit.
#include "kernels/cuda_devices.h"
#include "kernels/device_error.h"

namespace glassbox {

CudaDevices find_cuda_devices() {
  return {false, "this program was built without CUDA", {}};
}

void ask_cuda_device(CudaDevice& device) {
  device.problem = "is there, but this program was built without CUDA";
}

std::string find_cuda_misfit(int, int) {
  return {};
}

std::shared_ptr<Ops> make_cuda_ops(int) {
  throw DeviceError("this program was built without CUDA");
}

}  // namespace glassbox
