#include "core/run/step.h"

#include <cstring>

namespace glassbox {

uint64_t hash_logits(std::span<const float> logits, uint64_t hash) {
  for (const float logit : logits) {
    uint32_t bits;
    std::memcpy(&bits, &logit, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211u;
  }
  return hash;
}

}  // namespace glassbox
