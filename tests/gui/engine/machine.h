// The machine that the gestures run on: its GPUs, of which none starts, and what `auto` says of them.
#pragma once

#include <string>

#include "kernels/cuda_devices.h"

namespace glassbox::test {

struct Machine {
  CudaDevices gpus;
  std::string note;
};
inline Machine& machine() {
  static Machine machine{
      {true,
       "",
       {{0, "NVIDIA H200", 9, 0, size_t{139} << 30, size_t{3} << 30},
        {1, "NVIDIA H200", 9, 0, size_t{139} << 30, {}},
        {2, "GeForce GTX 1080", 6, 1, size_t{8} << 30, {}, "is older than compute capability 7.5"}}},
      ""};
  return machine;
}

}  // namespace glassbox::test
