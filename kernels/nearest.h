// The rows of a table that lie nearest to a vector (Ops::nearest_rows).
#pragma once

#include <cstdint>

namespace glassbox {

// Of a row x and the query q.
struct RowCloseness {
  float dot;               // q·x
  float norm;              // |x|
  float squared_distance;  // |q − x|², summed from differences: |q|² + |x|² − 2q·x would lose it for near vectors
};

// 0 where one of the vectors has no length.
constexpr float cosine_of(float dot, float norm_a, float norm_b) {
  const float norms = norm_a * norm_b;
  const float cosine = norms > 0 ? dot / norms : 0.0f;
  return cosine < -1.0f ? -1.0f : cosine > 1.0f ? 1.0f : cosine;
}

struct NearestRow {
  int32_t id;  // −1: the table has no more rows; kTooManyEqual in the first of a list: it could not be made
  RowCloseness closeness;
};
inline constexpr int32_t kTooManyEqual = -2;

// Greatest cosine, greatest dot product, smallest distance.
inline constexpr int kNearnessMeasures = 3;
inline constexpr int kMostNearest = 256;  // in a list

}  // namespace glassbox
