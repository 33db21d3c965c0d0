// Embedding, norms, rotation, and what only moves rows, on every backend.
#include <catch2/catch_test_macros.hpp>

#include "tests/parity/suite.h"

namespace glassbox::testing {
namespace {

size_t product(int64_t a, int64_t b) {
  return static_cast<size_t>(a * b);
}

TEST_CASE("embed agrees with the reference, for all types", "[parity]") {
  const Suite suite;
  const std::vector<int32_t> ids = {3, 0, 12, 3, 7};
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    const DTypeInfo& info = dtype_info(type);
    const std::vector<int64_t> sizes =
        info.quantised() ? std::vector<int64_t>{info.block_size, 512} : std::vector<int64_t>{1, 7, 33, 65, 577};
    for (const int64_t columns : sizes) {
      const RandomWeights table(type, 13, columns, 8);
      for (const int64_t gap : {0, 4}) {
        suite.agree("embed " + std::string(info.name) + " C " + std::to_string(columns), [&](OpRun& run) {
          run.ops.embed(run.weights(table.tensor, gap), run.inputs(ids),
                        run.output(product(columns, 5), Kind::unpacked));
        });
      }
    }
  }
}

TEST_CASE("norms agree with the reference", "[parity][short]") {
  const Suite suite;
  constexpr float kEps = 1e-5f;
  for (const int64_t n : {1, 3, 7, 16, 33, 65, 256, 576, 577, 2048}) {
    for (const int64_t rows : {1, 3, 70}) {
      if (rows == 70 && n != 7 && n != 577) continue;  // many rows are many threads' work, of whatever width
      const Orders orders = n * rows > 1'000 ? Orders::few : Orders::all;
      const std::string size = " n " + std::to_string(n) + " rows " + std::to_string(rows);
      // An offset makes the mean and the variance differ from the sum of squares.
      std::vector<float> x = random_floats(product(rows, n), static_cast<uint32_t>(n));
      for (float& v : x) v += 0.75f;
      const std::vector<float> weight = random_floats(static_cast<size_t>(n), 2),
                               bias = random_floats(static_cast<size_t>(n), 3);
      suite.agree(
          "rmsnorm" + size,
          [&](OpRun& run) {
            run.ops.rmsnorm(run.input(x), run.input(weight), kEps, rows, n, run.output(x.size(), Kind::along_row));
          },
          orders);
      if (n == 1) continue;  // x − mean is 0, what is left is rounding
      for (const bool with_bias : {true, false}) {
        suite.agree((with_bias ? "layernorm" : "layernorm without bias") + size,
                    [&](OpRun& run) {
                      run.ops.layernorm(run.input(x), run.input(weight), with_bias ? run.input(bias) : nullptr, kEps,
                                        rows, n, run.output(x.size(), Kind::along_row));
                    },
                    orders);
      }
    }
  }
}

TEST_CASE("rope agrees with the reference, far out too", "[parity]") {
  const Suite suite;
  const std::vector<RowPosition> rows = {{0, 0}, {0, 1}, {1, 63}, {0, 64}, {2, 8191}, {0, 131071}};
  for (const int head_dim : {2, 6, 64, 80, 128, 256}) {
    std::vector<float> frequency(static_cast<size_t>(head_dim / 2));
    for (size_t i = 0; i < frequency.size(); ++i) {
      frequency[i] = std::pow(100000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(head_dim));
    }
    for (const int heads : {1, 4, 5, 9}) {
      const std::vector<float> x = random_floats(rows.size() * product(heads, head_dim), 4);
      const std::string size = " H " + std::to_string(heads) + " D " + std::to_string(head_dim);
      suite.agree("rope" + size, [&](OpRun& run) {
        run.ops.rope(run.input(x), run.inputs(rows), heads, head_dim, run.input(frequency), 1.0f,
                     run.output(x.size(), Kind::along_row));
      });
      suite.agree("rope in place, scaled" + size, [&](OpRun& run) {
        float* const both = run.in_place(x, Kind::along_row);
        run.ops.rope(both, run.inputs(rows), heads, head_dim, run.input(frequency), 1.25f, both);
      });
    }
  }
}

TEST_CASE("gathered rows are those of the reference", "[parity]") {
  const Suite suite;
  const std::vector<int32_t> rows = {4, 0, 4, 9};
  for (const int64_t columns : {1, 7, 33, 65, 577}) {
    const std::vector<float> x = random_floats(product(10, columns), 3);
    suite.agree("gather_rows C " + std::to_string(columns), [&](OpRun& run) {
      run.ops.gather_rows(run.input(x), run.inputs(rows), columns, run.output(product(4, columns), Kind::same));
    });
  }
}

TEST_CASE("heads alone are those of the reference", "[parity]") {
  const Suite suite;
  for (const int heads : {1, 2, 5, 9}) {
    for (const int head_dim : {1, 7, 64, 77}) {
      for (const int64_t rows : {1, 3}) {
        const std::vector<float> z = random_floats(product(rows, heads * head_dim), 5);
        suite.agree("heads_alone H " + std::to_string(heads) + " D " + std::to_string(head_dim), [&](OpRun& run) {
          run.ops.heads_alone(run.input(z), rows, heads, head_dim,
                              run.output(z.size() * static_cast<size_t>(heads), Kind::same));
        });
      }
    }
  }
}

TEST_CASE("no rows are no work", "[parity]") {
  const Suite suite;
  const std::vector<float> weight(8, 1.0f);
  const RandomWeights matrix(DType::q8_0, 4, 32, 1);
  suite.agree("no rows", [&](OpRun& run) {
    const Tensor table = run.weights(matrix.tensor);
    const float *const x = run.input(weight), *const none = run.input(std::vector<float>());
    float* const out = run.output(3, Kind::same);
    const std::vector<float> poison(3);
    run.ops.upload(poison.data(), 3 * sizeof(float), out);
    run.ops.embed(table, {}, out);
    run.ops.rmsnorm(none, x, 1e-5f, 0, 8, out);
    run.ops.layernorm(none, x, x, 1e-5f, 0, 8, out);
    run.ops.linear(none, {table, {}}, Precision::exact, 0, out);
    run.ops.linear(none, {table, {}}, Precision::fast, 0, out);
    run.ops.rope(none, {}, 1, 8, x, 1.0f, out);
    run.ops.gather_rows(x, {}, 8, out);
    run.ops.heads_alone(none, 0, 2, 4, out);
    run.ops.add(none, none, 0, out);
    run.ops.silu(none, 0, out);
    run.ops.scale(none, 2.0f, 0, out);
    AttentionArgs args;
    args.heads = args.kv_heads = 1;
    args.head_dim = 8;
    run.ops.kv_store(args, none, none);
    run.ops.attention(args, none, out, {}, {});
  });
}

}  // namespace
}  // namespace glassbox::testing
