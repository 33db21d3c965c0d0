#include "core/run/step.h"

#include <array>
#include <bit>

namespace glassbox {

namespace {

constexpr uint64_t kHashStart = 14695981039346656037u;

}  // namespace

uint64_t join_hashes(uint64_t hash, uint64_t next) {
  return (hash ^ next) * 1099511628211u;
}

uint64_t hash_logits(std::span<const float> logits) {
  // Each product waits for the one before: eight lines of them at a time.
  std::array<uint64_t, 8> lanes;
  for (size_t k = 0; k < lanes.size(); ++k) lanes[k] = kHashStart + k;
  for (size_t i = 0; i < logits.size(); ++i) {
    lanes[i % lanes.size()] = join_hashes(lanes[i % lanes.size()], std::bit_cast<uint32_t>(logits[i]));
  }
  uint64_t hash = kHashStart;
  for (const uint64_t lane : lanes) hash = join_hashes(hash, lane);
  return hash;
}

}  // namespace glassbox
