// What tests ask of two steps of one text.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox {

inline StepRequest all_taps_of(const Model& model, std::vector<int32_t> ids, Precision precision) {
  ProbeSpec needs = all_stored_taps(model.config());
  needs.add(Tap::head_out, 0, model.config().layer_count());
  needs.add(Tap::logits);
  return {std::move(ids), {}, precision, needs};
}

// The largest normalised error of a tap in a layer, over all positions, of two steps.
inline double page_difference(const Step& a, const Step& b, const ProbeSpec& needs, const ModelConfig& config) {
  double worst = 0;
  for (const TapNeed& need : needs.needs) {
    const int end = tap_info(need.tap).scope == TapScope::model ? 1 : need.layer_end;
    for (int layer = end == 1 ? 0 : need.layer_begin; layer < end && layer < config.layer_count(); ++layer) {
      std::vector<float> of_a, of_b;
      const auto append = [&](std::span<const float> left, std::span<const float> right) {
        REQUIRE(left.size() == right.size());
        for (size_t i = 0; i < left.size(); ++i) {
          if (std::isinf(right[i]) && left[i] == right[i]) continue;  // the score of an edge that was cut
          of_a.push_back(left[i]);
          of_b.push_back(right[i]);
        }
      };
      for (int position = 0; position < a.length(); ++position) {
        const Page *left = a.page(need.tap, layer, position), *right = b.page(need.tap, layer, position);
        REQUIRE(left != nullptr);
        REQUIRE(right != nullptr);
        CHECK(left->writes(position) == 1);
        if (!has_key_axis(need.tap)) {
          append(left->row(position), right->row(position));
          continue;
        }
        // Pages of other calls have other widths.
        for (int head = 0; head < left->heads(); ++head) {
          append(left->head(position, head), right->head(position, head));
        }
      }
      const double error = nmse(of_a, of_b);
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    }
  }
  return worst;
}

}  // namespace glassbox
