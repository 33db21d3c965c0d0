// Where scores and patterns of the tests go.
#pragma once

#include <limits>
#include <vector>

#include "tests/support/attention_case.h"

namespace glassbox::testing {

inline constexpr float kHidden = -std::numeric_limits<float>::infinity();

// apart: each row has its own [H, position + 1], with a gap between heads. together: the rows of a head lie side by
// side in [H, R, longest], as a page has them, and all want the masked keys.
enum class Layout : uint8_t { apart, together };

// Room for what has a key axis. Where rows lie apart, each wants more or fewer of the masked keys than the one before.
// With `some` set, every third row wants nothing at all.
struct KeyRows {
  KeyRows(const AttentionCase& c, bool some, Layout layout = Layout::apart) {
    const auto heads = static_cast<int64_t>(c.shape.heads), count = static_cast<int64_t>(c.rows.size());
    int64_t at = 0;
    for (const RowPosition& row : c.rows) {
      const auto r = static_cast<int64_t>(rows.size());
      const int64_t length = row.position + 1;
      wanted.push_back(!some || r % 3 != 0);
      if (layout == Layout::together) {
        begins.push_back(r * c.host.longest);
        rows.push_back({nullptr, count * c.host.longest, c.host.longest});
        continue;
      }
      const int64_t stride = length + 3, widths[] = {stride - 1, 0, stride, length};
      begins.push_back(at);
      rows.push_back({nullptr, stride, widths[r % 4]});
      at += heads * stride;
    }
    size = static_cast<size_t>(layout == Layout::together ? heads * count * c.host.longest : at);
  }
  std::vector<KeyRow> at(float* data) const {
    std::vector<KeyRow> placed = rows;
    for (size_t r = 0; r < rows.size(); ++r) placed[r].data = wanted[r] ? data + begins[r] : nullptr;
    return placed;
  }
  std::vector<KeyRow> rows;
  std::vector<int64_t> begins;
  std::vector<bool> wanted;
  size_t size = 0;
};

// What a run of attention is asked to store. some: of some rows.
enum class Wanted : uint8_t { nothing, some, all, scores, pattern };
inline bool wants_scores(Wanted wanted) {
  return wanted != Wanted::nothing && wanted != Wanted::pattern;
}
inline bool wants_pattern(Wanted wanted) {
  return wanted != Wanted::nothing && wanted != Wanted::scores;
}

}  // namespace glassbox::testing
