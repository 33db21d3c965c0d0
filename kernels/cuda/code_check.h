// Whether this program holds code for a device: it is compiled for some architectures, and as PTX for those to come.
#pragma once

#include <driver_types.h>

namespace glassbox::cuda {

// Of the current device. cudaErrorNoKernelImageForDevice where there is none; all kernels are compiled for the same.
cudaError_t check_code();

}  // namespace glassbox::cuda
