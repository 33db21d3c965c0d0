// A row of an attention pattern in few numbers. Pictures and scores of all heads need no more, and a long text's whole
// patterns are too many bytes to keep or to carry from a GPU.
#pragma once

#include <cstdint>

namespace glassbox {

// P: values of a pooled row.
inline constexpr int kPooledKeys = 64;
// How many neighbouring keys one of them stands for: the smallest power of two with which they all fit. It follows from
// the row's own keys, so a row stays as it is while its text grows, and a shorter row's values pool exactly to a longer
// one's.
constexpr int pooled_width(int keys) {
  int width = 1;
  while (int64_t{width} * kPooledKeys < keys) width *= 2;
  return width;
}

// M: what is measured of a row.
enum FocusMeasure : int { kFocusPrevious, kFocusGreatest, kFocusKey };
inline constexpr int kFocusMeasures = 3;

// Where the summaries of rows go; null: not wanted.
struct PatternSummary {
  // [R, H, P]: the greatest weight of each pooled_width() keys, 0 behind the last key.
  float* pooled = nullptr;
  // [R, H, M]: the weight of the key before the last (0 where there is none), the greatest weight, and which key has it
  // (the first of equals).
  float* focus = nullptr;
  constexpr bool wanted() const { return pooled != nullptr || focus != nullptr; }
  // From row `rows` of [R, H] on.
  constexpr PatternSummary from(int64_t rows) const {
    return {pooled == nullptr ? nullptr : pooled + rows * kPooledKeys,
            focus == nullptr ? nullptr : focus + rows * kFocusMeasures};
  }
};

// Of the greatest weights: what is no number counts as greater than any.
constexpr float greater_or_nan(float a, float b) {
  return b > a || b != b ? b : a;
}

// One row of one head. weights [keys], in the host's memory as the summary is. Precondition: keys > 0.
void summarise_row(const float* weights, int keys, const PatternSummary& summary);

}  // namespace glassbox
