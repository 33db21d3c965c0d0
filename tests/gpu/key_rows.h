// Scores and patterns of the tests: where they go, and how they are compared.
#pragma once

#include "tests/gpu/attention_problem.h"

namespace glassbox::testing {

inline constexpr float kHidden = -std::numeric_limits<float>::infinity();

// Room for what has a key axis, [R] rows of [H, position + 1] with a gap between heads; every second row wants two of
// the masked keys too, and every third nothing at all where `some` is set.
struct KeyRows {
  KeyRows(const AttentionProblem& p, bool some) {
    for (const RowPosition& row : p.rows) {
      const int64_t stride = row.position + 1 + 3;
      size += static_cast<size_t>(p.shape.heads * stride);
      rows.push_back({nullptr, stride, rows.size() % 2 == 0 ? stride - 1 : 0});
      wanted.push_back(!some || rows.size() % 3 != 0);
    }
    heads = p.shape.heads;
  }
  std::vector<KeyRow> at(float* data) const {
    std::vector<KeyRow> placed = rows;
    for (size_t r = 0; r < rows.size(); ++r) {
      placed[r].data = wanted[r] ? data : nullptr;
      data += heads * rows[r].head_stride;
    }
    return placed;
  }
  std::vector<KeyRow> rows;
  std::vector<bool> wanted;
  size_t size = 0;
  int heads = 0;
};

// What is no number must be so in both: infinite, or in the gaps, which must stay as they were.
inline void check_keys(std::vector<float> found, std::vector<float> truth, double bound) {
  REQUIRE(found.size() == truth.size());
  size_t differing = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (std::isfinite(found[i]) && std::isfinite(truth[i])) continue;
    differing += found[i] == truth[i] || (std::isnan(found[i]) && std::isnan(truth[i])) ? 0 : 1;
    found[i] = truth[i] = 0;
  }
  CHECK(differing == 0);
  check_error(found, truth, bound);
}

}  // namespace glassbox::testing
