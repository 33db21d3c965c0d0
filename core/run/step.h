// A step: a recipe and its pages.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/probe/edits.h"
#include "core/probe/page_table.h"
#include "kernels/hash.h"
#include "kernels/ops.h"

namespace glassbox {

// Small, kept for every step of every branch: all that is needed to see it again.
struct Recipe {
  uint64_t model_hash = 0;
  std::vector<int32_t> tokens;
  std::vector<Edit> edits;  // those that were enabled
  Precision precision = Precision::fast;
  std::string kernel_path;  // Ops::description()
};

struct StepTiming {
  int rows = 0;        // positions computed in this step (the rest came from the cache)
  double seconds = 0;  // of the forward calls
};

// Immutable once published.
struct Step {
  Recipe recipe;
  std::vector<float> logits;  // [V] at the last position
  uint64_t logits_hash = 0;
  PageTable pages;
  StepTiming timing;
  // Of the calls that computed its rows. Where the rounding depends on these, as on a GPU, steps of one path that are
  // edited at the same taps and layers can be compared to the last bit.
  uint64_t path = 0;

  int length() const { return static_cast<int>(recipe.tokens.size()); }
  // Null when it was not captured. For the last position pass length() − 1.
  const Page* page(Tap tap, int layer, int position) const { return pages.find(tap, layer, position); }
};

}  // namespace glassbox
