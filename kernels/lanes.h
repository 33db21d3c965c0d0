// Four floats in one vector register that every machine has, for inner loops outside of the CPU backend's kernels,
// which are written for each instruction set. What is done lane by lane has one order, whatever the machine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

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

// greatest[k] = max(greatest[k], row[k]).
inline void take_greater(std::span<const float> row, float* greatest) {
  const auto count = static_cast<int64_t>(row.size());
  int64_t k = 0;
  for (; k + kFloatLanes <= count; k += kFloatLanes) {
    store_lanes(greater(load_lanes(greatest + k), load_lanes(row.data() + k)), greatest + k);
  }
  for (; k < count; ++k) greatest[k] = std::max(greatest[k], row[static_cast<size_t>(k)]);
}

}  // namespace glassbox
