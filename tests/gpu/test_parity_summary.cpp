// The summaries of patterns that lie in device memory, bit by bit.
#include "tests/gpu/parity.h"
#include "tests/support/plain_summary.h"

namespace glassbox::testing {
namespace {

// Rows of patterns, [R] of [heads, keys] with a gap between the heads; every third is not there.
struct Patterns {
  static constexpr int kHeads = 3, kGap = 5;

  explicit Patterns(const std::vector<int>& row_keys) : keys(row_keys) {
    size_t size = 0;
    for (const int n : keys) size += static_cast<size_t>(kHeads * (n + kGap));
    values = random_floats(size, 7);
    for (float& value : values) value = std::floor(3 * value) / 8;  // some are equal, some negative
  }
  static bool is_there(size_t row) { return row % 3 != 2; }
  std::vector<KeyRow> at(float* data) const {
    std::vector<KeyRow> rows;
    for (size_t r = 0; r < keys.size(); ++r) {
      rows.push_back({is_there(r) ? data : nullptr, keys[r] + kGap, 0});
      data += kHeads * (keys[r] + kGap);
    }
    return rows;
  }
  std::vector<int> keys;
  std::vector<float> values;
};

void check_summaries(Patterns patterns, bool pooled_wanted, bool focus_wanted) {
  std::vector<RowPosition> rows;
  for (const int keys : patterns.keys) rows.push_back({0, keys - 1});
  const DeviceBuffer<RowPosition> device_rows(rows);
  DeviceBuffer<float> values(patterns.values);
  const DeviceBuffer<KeyRow> key_rows(patterns.at(values.data()));
  const size_t count = rows.size() * Patterns::kHeads;
  DeviceOutput pooled(count * kPooledKeys), focus(count * kFocusMeasures);
  AttentionArgs args{.rows = device_rows.data(), .row_count = static_cast<int>(rows.size()), .heads = Patterns::kHeads};
  const PatternSummary summary{pooled_wanted ? pooled.data() : nullptr, focus_wanted ? focus.data() : nullptr};
  run_on_device([&] { return cuda::summarise_pattern(args, key_rows.data(), summary, nullptr); });
  const std::vector<float> found_pooled = pooled.values(), found_focus = focus.values();
  const std::vector<KeyRow> on_host = patterns.at(patterns.values.data());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t h = 0; h < Patterns::kHeads; ++h) {
      INFO(patterns.keys[r] << " keys, head " << h);
      const size_t at = r * Patterns::kHeads + h;
      const std::span<const float> of_pooled(found_pooled.data() + at * kPooledKeys, kPooledKeys);
      const std::span<const float> of_focus(found_focus.data() + at * kFocusMeasures, kFocusMeasures);
      const bool there = Patterns::is_there(r);
      const PlainSummary plain(
          there ? std::span<const float>(on_host[r].data + static_cast<int64_t>(h) * on_host[r].head_stride,
                                         static_cast<size_t>(patterns.keys[r]))
                : std::span<const float>());
      CHECK((there && pooled_wanted ? plain.is_pooled(of_pooled) : std::isnan(of_pooled.front())));
      CHECK((there && focus_wanted ? plain.is_focus(of_focus) : std::isnan(of_focus.front())));
    }
  }
}

TEST_CASE("a summary of patterns on the device is what its definition says", "[parity][short]") {
  const Patterns patterns({1, 2, 3, 31, 33, 64, 65, 66, 128, 129, 300, 301, 511, 513, 515, 1500});
  under_schedules([&] {
    check_summaries(patterns, true, true);
    check_summaries(patterns, true, false);
    check_summaries(patterns, false, true);
  });
}

TEST_CASE("a weight that is no number shows in its summary on the device", "[parity]") {
  Patterns patterns({40, 200, 9, 700});
  for (size_t i = 0; i < patterns.values.size(); i += 97) patterns.values[i] = std::numeric_limits<float>::quiet_NaN();
  under_schedules([&] { check_summaries(patterns, true, true); });
}

}  // namespace
}  // namespace glassbox::testing
