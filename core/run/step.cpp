#include "core/run/step.h"

#include <cstring>

namespace glassbox {

uint64_t hash_logits(std::span<const float> logits) {
  // FNV-1a over the bits, four bytes at a time: equal hashes stand for equal bits.
  uint64_t hash = 14695981039346656037u;
  for (const float logit : logits) {
    uint32_t bits;
    std::memcpy(&bits, &logit, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

}  // namespace glassbox
