// FNV-1a (Fowler, Noll & Vo), over bytes or words, and the hash of logits, which every backend computes alike.
#pragma once

#include <cstdint>
#include <span>

namespace glassbox {

inline constexpr uint64_t kHashStart = 14695981039346656037u;
// Of what came before and what comes next.
constexpr uint64_t join_hashes(uint64_t hash, uint64_t next) {
  return (hash ^ next) * 1099511628211u;
}

// Equal hashes stand for equal bits. Each product waits for the one before, so there are many lines of them: value i
// joins line i mod kHashLines, which begins with kHashStart + its number; then the lines are joined in groups of
// kHashGroup neighbours, and the groups, each from kHashStart.
inline constexpr int kHashLines = 1024, kHashGroup = 32;
uint64_t hash_logits(std::span<const float> logits);

}  // namespace glassbox
