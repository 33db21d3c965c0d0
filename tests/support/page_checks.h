// What tests ask of the pages of steps.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/golden.h"
#include "tests/support/plain_summary.h"

namespace glassbox {

// All that the spec asks for, at the positions that both steps have.
inline bool same_bits(const Step& a, const Step& b, const ProbeSpec& spec, const ModelConfig& config) {
  for (const TapNeed& need : spec.needs) {
    for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
      for (int position = 0; position < std::min(a.length(), b.length()); ++position) {
        const Page* x = a.page(need.tap, layer, position);
        const Page* y = b.page(need.tap, layer, position);
        if (x == nullptr || y == nullptr) return false;
        const int heads = std::max(tap_heads(need.tap, config, layer), 1);
        for (int head = 0; head < heads; ++head) {
          const auto left = x->head(position, head), right = y->head(position, head);
          if (left.size() != right.size() || std::memcmp(left.data(), right.data(), left.size_bytes()) != 0)
            return false;
        }
      }
    }
  }
  return true;
}

// That a row was written once and wholly, with what the causal mask hides.
inline void check_row_written(const Page& page, int position) {
  const std::span<const float> row = page.row(position);
  bool good = page.writes(position) == 1;
  good = good && std::none_of(row.begin(), row.end(), [](float value) { return std::isnan(value); });
  const float hidden = page.tap() == Tap::attn_scores ? -std::numeric_limits<float>::infinity() : 0.0f;
  const auto width = static_cast<size_t>(page.width());
  for (size_t first = 0; has_key_axis(page.tap()) && first < row.size(); first += width) {
    const auto of_head = row.subspan(first, width);
    good = good &&
           std::all_of(of_head.begin() + position + 1, of_head.end(), [&](float value) { return value == hidden; });
  }
  if (good) return;
  FAIL(tap_info(page.tap()).name << " of layer " << page.layer() << " at position " << position << " was written "
                                 << page.writes(position) << " times, or not wholly");
}

// That a row of a pattern's summary is that of the pattern, where this was captured too.
inline void check_row_summary(const Step& step, const Page& page, int position) {
  const Page* const pattern = step.page(Tap::attn_pattern, page.layer(), position);
  for (int head = 0; pattern != nullptr && head < page.heads(); ++head) {
    const testing::PlainSummary plain(pattern->head(position, head));
    const std::span<const float> found = page.head(position, head);
    if (page.tap() == Tap::attn_pooled ? plain.is_pooled(found) : plain.is_focus(found)) continue;
    FAIL(tap_info(page.tap()).name << " of layer " << page.layer() << ", head " << head << " at position " << position
                                   << " is not that of its pattern");
  }
}

inline void check_written(const Step& step, const ProbeSpec& spec) {
  for (const TapNeed& need : spec.needs) {
    for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
      for (int position = 0; position < step.length(); ++position) {
        const Page* page = step.page(need.tap, layer, position);
        REQUIRE(page != nullptr);
        check_row_written(*page, position);
        if (need.tap == Tap::attn_pooled || need.tap == Tap::attn_focus) check_row_summary(step, *page, position);
      }
    }
  }
}

}  // namespace glassbox
