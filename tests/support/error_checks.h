// Values that were found against true ones.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <vector>

#include "tests/support/ops_testing.h"

namespace glassbox::testing {

// By the normalised mean squared error.
inline void check_error(const std::vector<float>& found, const std::vector<float>& truth, double bound) {
  const double error = nmse(found, truth);
  CAPTURE(error, bound);
  CHECK(error < bound);
}

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
