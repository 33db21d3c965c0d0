// The activation functions of one value.
#pragma once

#include "kernels/cuda/device.h"

namespace glassbox::cuda {

__device__ inline float silu_of(float v) {
  return v / (1.0f + expf(-v));
}

// ½x(1 + tanh(u)) is x / (1 + exp(−2u)), which does not cancel where tanh is near −1.
__device__ inline float gelu_tanh_of(float v) {
  constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
  return v / (1.0f + expf(-kTwoRootTwoOverPi * v * fmaf(0.044715f * v, v, 1.0f)));
}

}  // namespace glassbox::cuda
