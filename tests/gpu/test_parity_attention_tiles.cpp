// Attention by tiles of rows where a block has little shared memory, and when it is taken. What it gives with all of it
// is the parity suite's.
#include "tests/gpu/attention_results.h"

namespace glassbox::testing {
namespace {

constexpr size_t kSmallShared = 64 << 10;  // what the oldest architecture gives a block: one group of warps

AttentionResult tiles(const AttentionProblem& p, bool store, size_t most_shared) {
  return attend_on_device(p, store, [&](const float* q, float* z, const KeyRow* scores, const KeyRow* pattern) {
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

TEST_CASE("attention by tiles in little shared memory agrees with the reference", "[parity]") {
  const Case cases[] = {
      {{6, 2, 64}, DType::f16, 130, 130},          // from the beginning, several tiles of rows and of keys
      {{9, 3, 64}, DType::f32, 21, 150, 70},       // at the end of some keys, with a window
      {{2, 2, 64}, DType::f16, 33, 150, 0, 3.0f},  // as many key heads as heads
      {{6, 2, 16}, DType::f32, 65, 65, 40},       {{3, 1, 80}, DType::f16, 17, 100, 50, 2.0f},
      {{2, 1, 128}, DType::f16, 33, 97},          {{2, 1, 128}, DType::f32, 16, 70, 33},
      {{33, 1, 16}, DType::f16, 9, 70},  // more heads of a key head than a tile has room for
  };
  for (const Case& c : cases) {
    AttentionProblem p(c.shape, c.dtype, {c.length}, last_rows(c.length, c.rows));
    p.host.window = c.window;
    p.host.soft_cap = c.soft_cap;
    const AttentionResult truth = reference(p);
    under_schedules([&] {
      INFO("H " << c.shape.heads << " G " << c.shape.kv_heads << " D " << c.shape.head_dim << " "
                << dtype_info(c.dtype).name << " rows " << c.rows << " S " << c.length << " window " << c.window);
      const AttentionResult found = tiles(p, true, kSmallShared);
      check_results(found, truth);
      CHECK(same_bits(tiles(p, false, kSmallShared).z, found.z));
    });
  }
}

TEST_CASE("what the cache holds beyond the rows' keys is not read", "[parity]") {
  // The caches are full of NaN where nothing was stored; 70 of 128 positions are.
  const AttentionProblem p({2, 1, 64}, DType::f16, {70}, last_rows(70, 10));
  for (const size_t shared : {size_t{0}, kSmallShared}) {
    const AttentionResult found = tiles(p, true, shared);
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
