// Patterns in few numbers, on every backend: of patterns that lie somewhere, and by attention on its way.
#include <catch2/catch_test_macros.hpp>

#include "kernels/pattern_summary.h"
#include "tests/parity/attend.h"
#include "tests/support/plain_summary.h"

namespace glassbox::testing {
namespace {

size_t summaries_of(const AttentionCase& c) {
  return c.rows.size() * static_cast<size_t>(c.shape.heads);
}

// Outputs: what is wanted of pooled and focus.
Operation summarised(const AttentionCase& c, const KeyRows& rows, const std::vector<float>& weights, bool pooled,
                     bool focus) {
  return [=, &c, &rows, &weights](OpRun& run) {
    const AttentionArgs args = run.attention(c);
    float* const from = const_cast<float*>(run.input(weights));  // a KeyRow may be for writing
    const std::span<const KeyRow> pattern = run.key_rows(rows, from);
    const PatternSummary summary{pooled ? run.output(summaries_of(c) * kPooledKeys, Kind::same) : nullptr,
                                 focus ? run.output(summaries_of(c) * kFocusMeasures, Kind::same) : nullptr};
    run.ops.summarise_pattern(args, pattern, summary);
  };
}

TEST_CASE("summaries of patterns agree with the reference", "[parity][short]") {
  const Suite suite;
  const int32_t lengths[] = {1, 2, 31, 33, 64, 65, 66, 128, 129, 257, 511, 513, 2048, 2049, 4100, 8193};
  std::vector<int32_t> caches;
  std::vector<RowPosition> rows;
  for (const int32_t length : lengths) {
    rows.push_back({static_cast<int32_t>(caches.size()), length - 1});
    caches.push_back(length);
  }
  const AttentionCase c({3, 1, 4}, DType::f16, caches, rows);
  for (const bool some : {false, true}) {
    const KeyRows places(c, some);
    std::vector<float> weights = random_floats(places.size, 7);
    for (float& weight : weights) weight = std::floor(3 * weight) / 8;  // some are equal, some negative
    suite.agree("pooled and focus", summarised(c, places, weights, true, true));
    suite.agree("pooled", summarised(c, places, weights, true, false));
    suite.agree("focus", summarised(c, places, weights, false, true));
    for (size_t i = 0; i < weights.size(); i += 97) weights[i] = std::numeric_limits<float>::quiet_NaN();
    suite.agree("what is no number", summarised(c, places, weights, true, true));
  }
}

// Outputs: z, pooled, focus, and the pattern where it is stored.
Operation attended(const AttentionCase& c, const KeyRows& rows, bool stored, bool summary) {
  return [=, &c, &rows](OpRun& run) {
    const AttentionArgs args = run.attention(c);
    float* const z = run.output(c.q.size(), Kind::mixed);
    PatternSummary wanted;
    if (summary) {
      wanted.pooled = run.output(summaries_of(c) * kPooledKeys, Kind::weights);
      wanted.focus = run.output(summaries_of(c) * kFocusMeasures, Kind::weights);
    }
    std::span<const KeyRow> pattern;
    if (stored) pattern = run.key_rows(rows, run.output(rows, Kind::weights));
    run.ops.attention(args, run.input(c.q), z, {}, pattern, wanted);
  };
}

void check_attended(const ParityBackend& backend, const AttentionCase& c) {
  const KeyRows rows(c, false);
  const auto outputs = [&](bool stored, bool summary) {
    return Suite::outputs(backend, attended(c, rows, stored, summary));
  };
  const std::vector<Output> found = outputs(true, true);
  CHECK(found[0].bytes == outputs(false, false)[0].bytes);
  std::vector<float> pooled = found[1].floats(), focus = found[2].floats(), pattern = found[3].floats();
  const std::vector<KeyRow> placed = rows.at(pattern.data());
  for (size_t r = 0; r < c.rows.size(); ++r) {
    for (size_t h = 0; h < static_cast<size_t>(c.shape.heads); ++h) {
      INFO("row " << r << " head " << h);
      const size_t at = r * static_cast<size_t>(c.shape.heads) + h;
      const float* const weights = placed[r].data + static_cast<int64_t>(h) * placed[r].head_stride;
      const PlainSummary plain({weights, static_cast<size_t>(c.rows[r].position + 1)});
      CHECK(plain.is_pooled({pooled.data() + at * kPooledKeys, kPooledKeys}));
      CHECK(plain.is_focus({focus.data() + at * kFocusMeasures, kFocusMeasures}));
    }
  }
  if (!backend.ops->on_host()) return;
  const std::vector<Output> alone = outputs(false, true);
  for (size_t i = 0; i < alone.size(); ++i) CHECK(alone[i].bytes == found[i].bytes);
}

TEST_CASE("the summary that attention gives is that of its pattern", "[parity]") {
  const Suite suite;
  for (const int32_t length : {1, 64, 65, 150, 600}) {
    for (const int32_t count : {1, 3, 20}) {
      AttentionCase c({6, 2, 16}, length % 2 == 0 ? DType::f16 : DType::f32, {length}, last_rows(length, count));
      c.host.window = length == 150 ? 70 : 0;
      INFO(name_of(c));
      suite.on_each([&](const ParityBackend& backend) { check_attended(backend, c); }, Suite::Rows::any, Orders::few);
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
