// Rows of values shown in fewer pixels: each pixel is the greatest of the values that it covers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/lanes.h"

namespace glassbox {

// What a pixel covers: [begin, end). Neighbours share a value where an edge between pixels cuts through it.
struct PixelSpan {
  int begin, end;
};
inline PixelSpan pixel_span(int pixel, int pixels, int values) {
  const int begin = static_cast<int>(static_cast<int64_t>(pixel) * values / pixels);
  const int end = static_cast<int>((static_cast<int64_t>(pixel + 1) * values + pixels - 1) / pixels);
  return {begin, std::max(begin + 1, end)};
}
inline std::vector<PixelSpan> pixel_spans(int pixels, int values) {
  std::vector<PixelSpan> spans;
  for (int pixel = 0; pixel < pixels; ++pixel) spans.push_back(pixel_span(pixel, pixels, values));
  return spans;
}

// out[pixel]: the greatest of its values.
inline void pool_row(std::span<const PixelSpan> spans, const float* values, float* out) {
  const auto most = [](float a, float b) { return a > b ? a : b; };
  for (const PixelSpan& covered : spans) {
    const float *first = values + covered.begin, *end = values + covered.end;
    if (end - first < kFloatLanes) {
      // Up to three values without asking how many: such branches would be guessed wrongly.
      *out++ = most(most(*first, *(end - 1)), *(first + (end - first) / 2));
      continue;
    }
    Lanes lanes = load_lanes(end - kFloatLanes);  // may overlap with those before
    for (; first + kFloatLanes < end; first += kFloatLanes) lanes = greater(lanes, load_lanes(first));
    *out++ = most(most(lanes[0], lanes[1]), most(lanes[2], lanes[3]));
  }
}

}  // namespace glassbox
