// Four floats in one vector register that every machine has, for the analyses' inner loops. What is done lane by lane
// has one order, whatever the machine.
#pragma once

#include <cstdint>
#include <cstring>

namespace glassbox {

using Lanes = float __attribute__((vector_size(16)));
inline constexpr int64_t kFloatLanes = 4;

inline Lanes load_lanes(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

inline void store_lanes(Lanes lanes, float* to) {
  std::memcpy(to, &lanes, sizeof lanes);
}

inline Lanes greater(Lanes a, Lanes b) {
  return a > b ? a : b;
}

}  // namespace glassbox
