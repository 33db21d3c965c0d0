// Rows of values shown in fewer pixels: each pixel is the greatest of the values that it covers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

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
  const auto greater = [](float a, float b) { return a > b ? a : b; };
  for (const PixelSpan& covered : spans) {
    // Up to three values without asking how many: in most figures that is all, and branches would be guessed wrongly.
    float most = greater(greater(values[covered.begin], values[covered.end - 1]), values[(covered.begin + covered.end) >> 1]);
    if (covered.end - covered.begin > 3)
      for (int i = covered.begin + 1; i + 1 < covered.end; ++i) most = greater(most, values[i]);
    *out++ = most;
  }
}

}  // namespace glassbox
