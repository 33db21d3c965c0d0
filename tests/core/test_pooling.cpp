// Rows pooled to pixels, against the definition.
#include <algorithm>
#include <vector>

#include <catch2/catch_test_macros.hpp>

#include "core/run/pooling.h"

namespace glassbox {
namespace {

std::vector<float> some_values(int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<float>((i * 7919 + 13) % 101) / 50.0f - 1.0f);
  return values;
}

TEST_CASE("pixels cover all values, in order, and neighbours share one at most", "[pooling]") {
  for (const auto& [pixels, count] : {std::pair{1, 1}, {1, 9}, {3, 3}, {3, 4}, {28, 64}, {28, 512}, {351, 512}}) {
    CAPTURE(pixels, count);
    const std::vector<PixelSpan> spans = pixel_spans(pixels, count);
    REQUIRE(spans.size() == static_cast<size_t>(pixels));
    CHECK(spans.front().begin == 0);
    CHECK(spans.back().end == count);
    for (size_t i = 1; i < spans.size(); ++i) {
      CHECK(spans[i].begin <= spans[i - 1].end);
      CHECK(spans[i].begin >= spans[i - 1].end - 1);
    }
  }
}

TEST_CASE("a pixel is the greatest of its values", "[pooling]") {
  for (int count = 1; count <= 70; ++count) {
    const std::vector<float> values = some_values(count);
    for (const int pixels : {1, 2, 3, 5, 28, count}) {
      if (pixels > count) continue;
      CAPTURE(count, pixels);
      const std::vector<PixelSpan> spans = pixel_spans(pixels, count);
      std::vector<float> pooled(spans.size());
      pool_row(spans, values.data(), pooled.data());
      for (size_t i = 0; i < spans.size(); ++i)
        CHECK(pooled[i] == *std::max_element(values.begin() + spans[i].begin, values.begin() + spans[i].end));
    }
  }
}

TEST_CASE("rows are taken one above the other, place by place", "[pooling]") {
  for (int count = 0; count <= 13; ++count) {
    const std::vector<float> row = some_values(count);
    std::vector<float> greatest(static_cast<size_t>(count) + 1, 0.25f);
    take_greater(row, greatest.data());
    for (int k = 0; k < count; ++k)
      CHECK(greatest[static_cast<size_t>(k)] == std::max(row[static_cast<size_t>(k)], 0.25f));
    CHECK(greatest.back() == 0.25f);  // nothing beyond the row is touched
  }
}

}  // namespace
}  // namespace glassbox
