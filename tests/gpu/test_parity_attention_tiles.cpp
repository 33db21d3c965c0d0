// Attention by tiles of rows against the reference.
#include "tests/gpu/attention_results.h"

namespace glassbox::testing {
namespace {

using Problem = AttentionProblem;
using Result = AttentionResult;

constexpr size_t kSmallShared = 64 << 10;  // what the oldest architecture gives a block: one group of warps

Result tiles(const Problem& p, Stores stores, size_t most_shared = 0) {
  return attend_on_device(p, stores, [&](const float* q, float* z, const KeyRow* scores, const KeyRow* pattern) {
    return cuda::attention_tiles(p.device(), q, z, scores, pattern, nullptr, most_shared);
  });
}

struct Case {
  Shape shape;
  DType dtype;
  int32_t rows, length;
  int32_t window = 0;
  float soft_cap = 0.0f;
};

TEST_CASE("attention of many rows on the device agrees with the reference", "[parity]") {
  const Case cases[] = {
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
  for (const Case& c : cases) {
    Problem p(c.shape, c.dtype, {c.length}, last_rows(c.length, c.rows));
    p.host.window = c.window;
    p.host.soft_cap = c.soft_cap;
    const Result truth = reference(p, Stores::all);
    under_schedules([&] {
      INFO("H " << c.shape.heads << " G " << c.shape.kv_heads << " D " << c.shape.head_dim << " "
                << dtype_info(c.dtype).name << " rows " << c.rows << " S " << c.length << " window " << c.window);
      check_results(tiles(p, Stores::all), truth);
      if (c.shape.head_dim <= 128) check_error(tiles(p, Stores::nothing, kSmallShared).z, truth.z, kBound);
    });
  }
}

TEST_CASE("rows of several sequences, in any order, are attended by tiles", "[parity][short]") {
  std::vector<RowPosition> rows;
  for (int32_t p = 0; p < 13; ++p) rows.push_back({0, p});
  rows.push_back({2, 3});
  for (int32_t p = 60; p < 75; ++p) rows.push_back({1, p});
  rows.push_back({1, 5});
  for (int32_t p = 140; p > 120; --p) rows.push_back({0, p});
  Problem p({6, 2, 64}, DType::f16, {141, 75, 4}, rows);
  for (const int32_t window : {0, 50}) {
    p.host.window = window;
    const Result truth = reference(p, Stores::all);
    under_schedules([&] {
      INFO("window " << window);
      const Result found = tiles(p, Stores::all);
      check_results(found, truth);
      CHECK(same_bits(tiles(p, Stores::nothing).z, found.z));
    });
  }
}

TEST_CASE("storing scores and pattern of many rows changes no bit of z", "[parity]") {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Problem p({3, 1, 64}, dtype, {170}, last_rows(170, 13));
    for (const int32_t window : {0, 20}) {  // with a window, whole tiles of keys are walked for the scores alone
      p.host.window = window;
      under_schedules([&] {
        INFO("window " << window);
        const Result none = tiles(p, Stores::nothing);
        for (const Stores stores : {Stores::some, Stores::all, Stores::scores, Stores::pattern}) {
          const Result found = tiles(p, stores);
          CHECK(same_bits(found.z, none.z));
          check_results(found, reference(p, stores));
        }
        CHECK(std::isnan(none.scores[0]));
        CHECK(std::isnan(none.pattern[0]));
      });
    }
  }
}

TEST_CASE("what the cache holds beyond the rows' keys is not read", "[parity]") {
  // The caches are full of NaN where nothing was stored; 70 of 128 positions are.
  const Problem p({2, 1, 64}, DType::f16, {70}, last_rows(70, 10));
  for (const size_t shared : {size_t{0}, kSmallShared}) {
    const Result found = tiles(p, Stores::all, shared);
    for (const float v : found.z) CHECK(std::isfinite(v));
  }
}

TEST_CASE("many rows of few sequences are attended by tiles, others by rows", "[parity]") {
  AttentionArgs args;
  args.row_count = 64;
  args.heads = 4;
  args.kv_heads = 2;
  args.head_dim = 64;
  CHECK(cuda::suits_tiles(args));
  args.sequence_count = 64;
  CHECK_FALSE(cuda::suits_tiles(args));
  args.sequence_count = 1;
  args.row_count = 8;
  CHECK_FALSE(cuda::suits_tiles(args));
  args.row_count = 64;
  args.head_dim = 33;
  CHECK_FALSE(cuda::suits_tiles(args));
  CHECK(cuda::attention_tiles(args, nullptr, nullptr, nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace glassbox::testing
