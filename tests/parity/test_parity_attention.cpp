// Attention in one call, on every backend.
#include <catch2/catch_test_macros.hpp>

#include "tests/parity/attend.h"

namespace glassbox::testing {
namespace {

TEST_CASE("attention agrees with the reference, in one call and in steps", "[parity]") {
  const Suite suite;
  // Every shape with some of the lengths, and with other settings each time.
  const Shape shapes[] = {{1, 1, 1},  {2, 1, 7},  {3, 1, 80}, {4, 4, 33}, {4, 4, 16},  {5, 1, 8},  {6, 2, 64},
                          {7, 7, 16}, {8, 4, 24}, {9, 3, 64}, {6, 2, 80}, {40, 1, 33}, {2, 1, 256}};
  const int32_t lengths[] = {1, 5, 63, 64, 65, 128, 150, 200};
  const int32_t windows[] = {0, 1, 0, 50, 64};
  size_t number = 0;
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      for (size_t l = number % 2; l < std::size(lengths); l += 2, ++number) {
        const auto rows = static_cast<int32_t>(1 + number % 5);
        AttentionCase c(shape, dtype, {lengths[l]}, last_rows(lengths[l], rows));
        c.host.window = windows[number % std::size(windows)];
        c.host.soft_cap = number % 3 == 0 ? 2.0f : 0.0f;
        const Layout layout = number % 4 == 0 ? Layout::together : Layout::apart;
        const Orders orders = shape.heads > 9 ? Orders::few : Orders::all;
        agree_in_one_call(suite, c, Wanted::all, layout, orders);
        agree_in_steps(suite, c, layout, Orders::few);
      }
      ++number;
    }
  }
}

TEST_CASE("attention agrees with the reference for every length, window and cap", "[parity]") {
  const Suite suite;
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int32_t length : {1, 5, 63, 64, 65, 128, 200}) {
      for (const int32_t window : {0, 1, 50, 64}) {
        for (const float cap : {0.0f, 2.0f}) {
          AttentionCase c({2, 1, 12}, dtype, {length}, last_rows(length, 5));
          c.host.window = window;
          c.host.soft_cap = cap;
          agree_in_one_call(suite, c, Wanted::all, Layout::apart, Orders::few);
          agree_in_steps(suite, c, Layout::apart, Orders::few);
        }
      }
    }
  }
}

TEST_CASE("attention of rows of several sequences agrees with the reference", "[parity][short]") {
  const Suite suite;
  AttentionCase c({6, 2, 64}, DType::f16, {131, 70}, {{1, 69}, {0, 130}, {0, 3}, {1, 4}, {0, 64}, {1, 63}});
  for (const int32_t window : {0, 50, 64}) {
    c.host.window = window;
    c.host.soft_cap = 3.0f;
    for (const Layout layout : {Layout::apart, Layout::together}) {
      agree_in_one_call(suite, c, Wanted::all, layout);
      agree_in_steps(suite, c, layout);
    }
  }
}

TEST_CASE("attention of many rows agrees with the reference", "[parity]") {
  struct Many {
    Shape shape;
    DType dtype;
    int32_t rows, length;
    int32_t window = 0;
    float soft_cap = 0.0f;
  };
  const Many cases[] = {
      {{6, 2, 64}, DType::f16, 130, 130},          // from the beginning, several tiles of rows and of keys
      {{9, 3, 64}, DType::f32, 21, 150, 70},       // at the end of some keys, with a window
      {{2, 2, 64}, DType::f16, 33, 150, 0, 3.0f},  // as many key heads as heads
      {{2, 2, 64}, DType::f32, 64, 64, 1},         // each sees itself alone
      {{6, 2, 16}, DType::f32, 65, 65, 40},
      {{6, 2, 16}, DType::f16, 9, 129},
      {{3, 1, 80}, DType::f16, 17, 100, 50, 2.0f},
      {{3, 1, 80}, DType::f32, 12, 65},
      {{2, 1, 128}, DType::f16, 33, 97},
      {{2, 1, 128}, DType::f32, 16, 70, 33},
      {{2, 1, 256}, DType::f16, 18, 62, 20},
      {{2, 2, 256}, DType::f32, 9, 40},
      {{33, 1, 16}, DType::f16, 9, 70},  // more heads of a key head than a tile has room for
      {{5, 1, 8}, DType::f32, 30, 90, 64},
      {{3, 1, 64}, DType::f32, 12, 75, 1},  // the first row sees a tile's last key alone
  };
  const Suite suite;
  for (const Many& many : cases) {
    AttentionCase c(many.shape, many.dtype, {many.length}, last_rows(many.length, many.rows));
    c.host.window = many.window;
    c.host.soft_cap = many.soft_cap;
    agree_in_one_call(suite, c, Wanted::all, many.rows % 2 == 0 ? Layout::together : Layout::apart);
  }
}

TEST_CASE("attention of many rows of several sequences, in any order, agrees with the reference", "[parity][short]") {
  const Suite suite;
  std::vector<RowPosition> rows = positions(0, 0, 13);
  rows.push_back({2, 3});
  for (const RowPosition& row : positions(1, 60, 75)) rows.push_back(row);
  rows.push_back({1, 5});
  for (int32_t p = 140; p > 120; --p) rows.push_back({0, p});
  AttentionCase c({6, 2, 64}, DType::f16, {141, 75, 4}, rows);
  for (const int32_t window : {0, 50}) {
    c.host.window = window;
    agree_in_one_call(suite, c, Wanted::all);
  }
}

TEST_CASE("storing scores and pattern changes no bit of z", "[parity]") {
  const Suite suite;
  const auto check = [&](AttentionCase& c, const std::vector<Wanted>& ways, Orders orders) {
    for (const int32_t window : {0, 20}) {  // with a window, keys may be walked for the scores alone
      c.host.window = window;
      suite.on_each(
          [&](const ParityBackend& backend) {
            const Output none = Suite::outputs(backend, in_one_call(c, Wanted::nothing))[0];
            for (const Wanted wanted : ways) {
              CHECK(Suite::outputs(backend, in_one_call(c, wanted))[0].bytes == none.bytes);
            }
          },
          Suite::Rows::any, orders);
    }
    agree_in_one_call(suite, c, Wanted::some, Layout::apart, orders);
  };
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int32_t rows : {7, 13}) {
      AttentionCase c({3, 1, 64}, dtype, {170}, last_rows(170, rows));
      check(c, {Wanted::some, Wanted::all, Wanted::scores, Wanted::pattern}, Orders::all);
    }
  }
  AttentionCase c({9, 3, 64}, DType::f16, {150}, last_rows(150, 20));
  check(c, {Wanted::some}, Orders::few);
}

TEST_CASE("attention over a long context agrees with the reference", "[parity]") {
  const Suite suite;
  const AttentionCase c({4, 2, 32}, DType::f16, {8300}, {{0, 8190}, {0, 8299}});
  agree_in_one_call(suite, c, Wanted::all, Layout::apart, Orders::few);
}

}  // namespace
}  // namespace glassbox::testing
