// The summary of a pattern's row as its definition has it, one key after the other.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "kernels/pattern_summary.h"

namespace glassbox::testing {

struct PlainSummary {
  std::array<float, kPooledKeys> pooled{};
  std::array<float, kFocusMeasures> focus{};

  explicit PlainSummary(std::span<const float> weights) {
    size_t width = 1;
    if (weights.empty()) return;
    while ((weights.size() - 1) / width >= pooled.size()) width *= 2;
    for (size_t key = 0; key < weights.size(); ++key) {
      float& most = pooled[key / width];
      if (key % width == 0 || is_greater(weights[key], most)) most = weights[key];
      if (key == 0 || is_greater(weights[key], focus[1])) focus[1] = weights[key], focus[2] = static_cast<float>(key);
    }
    if (weights.size() > 1) focus[0] = weights[weights.size() - 2];
  }
  bool is_pooled(std::span<const float> found) const { return same(pooled, found); }
  bool is_focus(std::span<const float> found) const { return same(focus, found); }

 private:
  // What is no number is greater than any.
  static bool is_greater(float a, float b) { return a > b || (std::isnan(a) && !std::isnan(b)); }
  template <class Array>
  static bool same(const Array& wanted, std::span<const float> found) {
    if (found.size() != wanted.size()) return false;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (std::isnan(wanted[i]) ? !std::isnan(found[i]) : wanted[i] != found[i]) return false;
    }
    return true;
  }
};

}  // namespace glassbox::testing
