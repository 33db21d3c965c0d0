// The angles of rotary positions.
#pragma once

#include "kernels/cuda/device.h"

namespace glassbox::cuda {

struct Rotation {
  float cosine = 1.0f, sine = 0.0f;
};

// The angle grows to 10⁵ radians, of which fp32 keeps two digits after the point: it is counted in turns in fp64, and
// what is left of the last turn is exact enough.
__device__ inline Rotation rotation_at(int32_t position, float frequency, float factor) {
  constexpr double kTurnsPerRadian = 0.1591549430918953357689;
  const double turns = static_cast<double>(position) * static_cast<double>(frequency) * kTurnsPerRadian;
  const float half_turns = static_cast<float>(2 * (turns - rint(turns)));
  return {cospif(half_turns) * factor, sinpif(half_turns) * factor};
}

}  // namespace glassbox::cuda
