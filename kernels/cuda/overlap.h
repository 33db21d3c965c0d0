// Whether a launch may begin before the one before it has ended (launch_early() in device.h).
#pragma once

namespace glassbox::cuda {

// By the environment's GLASSBOX_CUDA_OVERLAP=off.
bool overlap_is_off();

// For the calling thread's device: true where the code that would run of this kernel knows how to wait for the launches
// before it (compute capability 9.0 and newer), and a recording keeps it so (drivers for CUDA 12.3 and newer), unless
// it was off at the first call. Such kernels get all the shared memory that a multiprocessor has, whatever they need:
// it is shared out anew only when nothing runs there, so that kernels of different wishes would not run side by side.
bool may_start_early(const void* kernel);

// Of the whole process, from now on; at first they are. The bits are the same.
void allow_early_launches(bool allow);

}  // namespace glassbox::cuda
