// Patterns in few numbers: by the host's loops for one row, and by the attention of every backend of the host.
#include <catch2/catch_test_macros.hpp>

#include "tests/support/ops_testing.h"
#include "tests/support/plain_summary.h"

namespace glassbox::testing {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void check_row(const std::vector<float>& weights) {
  Guarded pooled(kPooledKeys), focus(kFocusMeasures);
  const auto keys = static_cast<int>(weights.size());
  summarise_row(weights.data(), keys, {pooled.data(), focus.data()});
  const PlainSummary plain(weights);
  CHECK((pooled.intact() && focus.intact()));
  CHECK(plain.is_pooled(pooled.values()));
  CHECK(plain.is_focus(focus.values()));
  Guarded alone(kFocusMeasures);
  summarise_row(weights.data(), keys, {nullptr, alone.data()});
  CHECK(plain.is_focus(alone.values()));
}

TEST_CASE("a row's summary is what its definition says") {
  for (const int keys : {1, 2, 3, 63, 64, 65, 127, 128, 129, 255, 257, 511, 513, 1000, 4097, 9000}) {
    INFO(keys << " keys");
    std::vector<float> weights = random_floats(static_cast<size_t>(keys), static_cast<uint32_t>(keys));
    check_row(weights);  // negative ones too, which only an edit makes
    for (float& weight : weights) weight = std::abs(weight);
    check_row(weights);
    for (float& weight : weights) weight = std::floor(weight);  // many are equal
    check_row(weights);
    check_row(std::vector<float>(static_cast<size_t>(keys), 0.25f));
    weights[static_cast<size_t>(keys) / 2] = kNan;
    weights[static_cast<size_t>(keys) - 1] = kNan;
    check_row(weights);
  }
}

TEST_CASE("as many neighbours are pooled as the keys need, in powers of two") {
  CHECK(pooled_width(1) == 1);
  CHECK(pooled_width(64) == 1);
  CHECK(pooled_width(65) == 2);
  CHECK(pooled_width(128) == 2);
  CHECK(pooled_width(129) == 4);
  CHECK(pooled_width(8192) == 128);
  CHECK(pooled_width(8193) == 256);
}

}  // namespace
}  // namespace glassbox::testing
