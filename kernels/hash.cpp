#include "kernels/hash.h"

#include <algorithm>
#include <array>
#include <bit>

namespace glassbox {

uint64_t hash_logits(std::span<const float> logits) {
  std::array<uint64_t, kHashLines> lines;
  for (size_t k = 0; k < lines.size(); ++k) lines[k] = kHashStart + k;
  for (size_t begin = 0; begin < logits.size(); begin += lines.size()) {
    const size_t count = std::min(lines.size(), logits.size() - begin);
    for (size_t k = 0; k < count; ++k) lines[k] = join_hashes(lines[k], std::bit_cast<uint32_t>(logits[begin + k]));
  }
  uint64_t hash = kHashStart;
  for (size_t begin = 0; begin < lines.size(); begin += kHashGroup) {
    uint64_t group = kHashStart;
    for (size_t k = begin; k < begin + kHashGroup; ++k) group = join_hashes(group, lines[k]);
    hash = join_hashes(hash, group);
  }
  return hash;
}

}  // namespace glassbox
