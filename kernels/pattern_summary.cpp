#include "kernels/pattern_summary.h"

#include <algorithm>

#include "kernels/lanes.h"

namespace glassbox {
namespace {

// Lane by lane: the greater, or what is no number.
Lanes greater_lanes(Lanes a, Lanes b) {
  return (b > a) | (b != b) ? b : a;
}

// Precondition: count > 0.
float greatest_of(const float* weights, int count) {
  float most = weights[0];
  int i = 1;
  if (count >= 2 * static_cast<int>(kFloatLanes)) {
    Lanes lanes = load_lanes(weights);
    for (i = kFloatLanes; i + kFloatLanes <= count; i += kFloatLanes) {
      lanes = greater_lanes(lanes, load_lanes(weights + i));
    }
    most = greater_or_nan(greater_or_nan(lanes[0], lanes[1]), greater_or_nan(lanes[2], lanes[3]));
  }
  for (; i < count; ++i) most = greater_or_nan(most, weights[i]);
  return most;
}

}  // namespace

void summarise_row(const float* weights, int keys, const PatternSummary& summary) {
  float own[kPooledKeys];
  float* const out = summary.pooled == nullptr ? own : summary.pooled;
  const int width = pooled_width(keys), values = (keys + width - 1) / width;
  if (width == 1) {
    std::copy_n(weights, keys, out);
  } else {
    for (int i = 0; i < values; ++i) out[i] = greatest_of(weights + i * width, std::min(width, keys - i * width));
  }
  std::fill(out + values, out + kPooledKeys, 0.0f);
  if (summary.focus == nullptr) return;
  const float greatest = greatest_of(out, values);
  const auto is_greatest = [greatest](float weight) {
    return weight == greatest || (weight != weight && greatest != greatest);
  };
  const auto place = static_cast<int>(std::find_if(out, out + values, is_greatest) - out);
  const float* const first = std::find_if(weights + place * width, weights + keys, is_greatest);
  summary.focus[kFocusPrevious] = keys > 1 ? weights[keys - 2] : 0.0f;
  summary.focus[kFocusGreatest] = greatest;
  summary.focus[kFocusKey] = static_cast<float>(first - weights);
}

}  // namespace glassbox
