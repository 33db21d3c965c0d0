#include "kernels/pattern_summary.h"

#include <algorithm>
#include <cmath>

#include "kernels/lanes.h"

namespace glassbox {
namespace {

using Places = int32_t __attribute__((vector_size(16)));
constexpr int kLanes = static_cast<int>(kFloatLanes);

// Precondition: count > 0.
float greatest_of(const float* weights, int count) {
  float most = weights[0];
  for (int i = 1; i < count; ++i) most = greater_or_nan(most, weights[i]);
  return most;
}

// The same where no weight is no number.
float greatest_number_of(const float* weights, int count) {
  if (count < kLanes) return greatest_of(weights, count);
  Lanes lanes = load_lanes(weights + count - kLanes);  // may overlap with those before
  for (int i = 0; i + kLanes < count; i += kLanes) lanes = greater(lanes, load_lanes(weights + i));
  return greatest_of(reinterpret_cast<const float*>(&lanes), kLanes);
}

// Of each two neighbours in a and then b.
Lanes greater_of_pairs(Lanes a, Lanes b) {
  return greater(__builtin_shuffle(a, b, Places{0, 2, 4, 6}), __builtin_shuffle(a, b, Places{1, 3, 5, 7}));
}

// Lane by lane of kWidth values; kWidth 0: of `width`, a multiple of the lanes.
template <int kWidth>
Lanes greatest_lanes(const float* weights, int width) {
  Lanes most = load_lanes(weights);
  const int end = kWidth == 0 ? width : kWidth;
  for (int i = kLanes; i < end; i += kLanes) most = greater(most, load_lanes(weights + i));
  return most;
}

// The greatest of each kWidth (0: `width`) weights, for as many whole fours of them as there are in `values`. Returns
// how many. Precondition: each weight is a number.
template <int kWidth>
int pool_fours(const float* weights, int width, int values, float* out) {
  int i = 0;
  for (; i + kLanes <= values; i += kLanes, weights += kLanes * width) {
    if constexpr (kWidth == 2) {
      store_lanes(greater_of_pairs(load_lanes(weights), load_lanes(weights + kLanes)), out + i);
    } else {
      Lanes of[kLanes];
      for (int k = 0; k < kLanes; ++k) of[k] = greatest_lanes<kWidth>(weights + k * width, width);
      store_lanes(greater_of_pairs(greater_of_pairs(of[0], of[1]), greater_of_pairs(of[2], of[3])), out + i);
    }
  }
  return i;
}
int pool_fours(const float* weights, int width, int values, float* out) {
  switch (width) {
    case 2:
      return pool_fours<2>(weights, width, values, out);
    case 4:
      return pool_fours<4>(weights, width, values, out);
    case 8:
      return pool_fours<8>(weights, width, values, out);
    default:
      return pool_fours<0>(weights, width, values, out);
  }
}

bool holds_nan(const float* weights, int keys) {
  Places found{};
  int i = 0;
  for (; i + kLanes <= keys; i += kLanes) {
    const Lanes lanes = load_lanes(weights + i);
    found |= lanes != lanes;
  }
  bool any = (found[0] | found[1] | found[2] | found[3]) != 0;
  for (; i < keys; ++i) any = any || std::isnan(weights[i]);
  return any;
}

}  // namespace

void summarise_row(const float* weights, int keys, const PatternSummary& summary) {
  float own[kPooledKeys];
  float* const out = summary.pooled == nullptr ? own : summary.pooled;
  const int width = pooled_width(keys), values = (keys + width - 1) / width;
  const bool numbers = !holds_nan(weights, keys);
  if (width == 1) {
    std::copy_n(weights, keys, out);
  } else {
    const int whole = numbers ? keys / width : 0;
    for (int i = pool_fours(weights, width, whole, out); i < values; ++i) {
      out[i] = greatest_of(weights + i * width, std::min(width, keys - i * width));
    }
  }
  std::fill(out + values, out + kPooledKeys, 0.0f);
  if (summary.focus == nullptr) return;
  const float greatest = numbers ? greatest_number_of(out, values) : greatest_of(out, values);
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
