// The cache, and attention in steps between which somebody edits, on every backend.
#include <catch2/catch_test_macros.hpp>

#include "tests/parity/attend.h"

namespace glassbox::testing {
namespace {

TEST_CASE("kv_store has the bits of the reference and writes nowhere else", "[parity]") {
  const Suite suite;
  const Shape shapes[] = {{1, 1, 1},   {2, 1, 7},  {4, 4, 16},  {9, 3, 64}, {6, 2, 80},
                          {40, 1, 33}, {4, 4, 33}, {2, 1, 256}, {7, 7, 5},  {2, 2, 65}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      const AttentionCase c(shape, dtype, {80, 80}, {{0, 0}, {1, 63}, {1, 64}, {0, 77}});
      const size_t n = c.rows.size() * static_cast<size_t>(shape.kv_heads * shape.head_dim);
      const std::vector<float> k = random_floats(n, 4, 100.0f);
      std::vector<float> v = random_floats(n, 5, 1e-5f);  // subnormal halves too
      v[0] = 70000.0f;
      suite.agree("kv_store, " + name_of(c), [&](OpRun& run) {
        run.writes_cache();
        const AttentionArgs args = run.attention(c);
        run.ops.kv_store(args, run.input(k), run.input(v));
      });
    }
  }
}

// Room for [H, position + 1] of two rows, one behind the other, without gaps.
std::vector<KeyRow> two_rows(const AttentionCase& c, const float* data) {
  const int64_t first = c.rows[0].position + 1, second = c.rows[1].position + 1;
  float* const begin = const_cast<float*>(data);  // of what is read, too
  return {{begin, first, 0}, {begin + c.shape.heads * first, second, 0}};
}

TEST_CASE("cut edges: a score of minus infinity has weight 0, a row of them has pattern 0", "[parity]") {
  const Suite suite;
  for (const DType dtype : {DType::f32, DType::f16}) {
    const AttentionCase c({2, 1, 16}, dtype, {70}, {{0, 68}, {0, 69}});
    std::vector<float> cut = random_floats(2 * 69 + 2 * 70, 9);
    cut[5] = kHidden;
    std::fill_n(cut.begin() + 2 * 69, 70, kHidden);  // row 1, head 0
    const auto steps = [&](OpRun& run) {
      const AttentionArgs args = run.attention(c);
      float* const weights = run.output(cut.size(), Kind::weights);
      const std::span<const KeyRow> scores = run.inputs(two_rows(c, run.input(cut))),
                                    pattern = run.inputs(two_rows(c, weights));
      run.ops.attention_softmax(args, scores, pattern);
      run.ops.attention_mix(args, pattern, run.output(c.q.size(), Kind::mixed));
    };
    suite.agree("with edges cut", steps);
    suite.on_each([&](const ParityBackend& backend) {
      const std::vector<Output> found = Suite::outputs(backend, steps);
      const std::vector<float> weights = found[0].floats(), z = found[1].floats();
      CHECK(weights[5] == 0.0f);
      double total = 0;
      for (size_t j = 0; j < 69; ++j) total += double{weights[j]};
      CHECK(std::fabs(total - 1) < 1e-6);
      for (size_t j = 0; j < 70; ++j) CHECK(weights[2 * 69 + j] == 0.0f);
      for (size_t d = 0; d < 16; ++d) CHECK(z[2 * 16 + d] == 0.0f);
    });
  }
}

TEST_CASE("an edited pattern reaches keys outside of the window", "[parity]") {
  const Suite suite;
  for (const DType dtype : {DType::f32, DType::f16}) {
    AttentionCase c({1, 1, 8}, dtype, {100}, {{0, 99}});
    c.host.window = 4;
    std::vector<float> edited(100, 0.0f);
    edited[2] = 1.0f;
    suite.agree("mix of one key", [&](OpRun& run) {
      const AttentionArgs args = run.attention(c);
      const KeyRow row{const_cast<float*>(run.input(edited)), 100, 0};
      run.ops.attention_mix(args, run.inputs(std::vector<KeyRow>{row}), run.output(8, Kind::same));
    });
  }
}

}  // namespace
}  // namespace glassbox::testing
