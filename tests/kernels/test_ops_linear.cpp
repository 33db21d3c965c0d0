// What the CPU's linear promises beyond agreement with the reference, which is the parity suite's: what fast precision
// rounds, and bits that do not depend on how many rows or threads there are.
#include <catch2/catch_test_macros.hpp>

#include "kernels/packed_weight.h"
#include "tests/support/linear_problem.h"

namespace glassbox::testing {
namespace {

constexpr DType kAllTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1,
                               DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

std::vector<int64_t> columns_for(DType type) {
  switch (dtype_info(type).block_size) {
    case 1:
      return {1, 3, 7, 33, 577};
    case 32:
      return {32, 64, 96, 576, 1536};
    default:
      return {256, 768, 1536};
  }
}

std::vector<float> run(Ops& ops, const std::vector<float>& x, const Linear& layer, Precision precision, int64_t rows) {
  Guarded out(static_cast<size_t>(rows * layer.weight.rows()));
  ops.linear(x.data(), layer, precision, rows, out.data());
  CHECK(out.intact());
  return out.values();
}

// out ← in as 8-bit integers times one scale for 32 values; returns the scale.
float round_block(const float* in, int8_t* values) {
  float largest = 0;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(in[i]));
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  for (int i = 0; i < 32; ++i) values[i] = static_cast<int8_t>(std::nearbyint(in[i] * inverse));
  return largest / 127.0f;
}

// x as the fast kernels see it: in 8 bits, and once more what is left of the blocks with the largest scales.
std::vector<float> rounded(const std::vector<float>& x, int64_t columns) {
  std::vector<float> out(x.size());
  const size_t blocks = static_cast<size_t>(columns / 32), refined = (blocks + 15) / 16;
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(columns)) {
    std::vector<std::pair<float, size_t>> order;
    for (size_t at = row; at < row + 32 * blocks; at += 32) {
      int8_t values[32];
      const float scale = round_block(&x[at], values);
      order.emplace_back(-scale, at);
      for (size_t k = 0; k < 32; ++k) out[at + k] = scale * values[k];
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < refined; ++i) {
      const size_t at = order[i].second;
      int8_t values[32], more[32];
      const double scale = round_block(&x[at], values);
      float rest[32];
      for (size_t k = 0; k < 32; ++k) rest[k] = static_cast<float>(x[at + k] - scale * values[k]);
      const double fine = round_block(rest, more);
      for (size_t k = 0; k < 32; ++k) out[at + k] = static_cast<float>(scale * values[k] + fine * more[k]);
    }
  }
  return out;
}

TEST_CASE("fast precision rounds x and nothing else") {
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
    for (const DType type : kAllTypes) {
      for (const int64_t columns : columns_for(type)) {
        for (const int64_t outputs : {1, 5, 67}) {
          for (const int64_t rows : {1, 2, 3, 5, 17, 33}) {
            INFO(isa << " " << dtype_info(type).name << " K " << columns << " N " << outputs << " rows " << rows);
            LinearProblem p(type, outputs, columns, rows, outputs == 5);
            const std::vector<float> fast = run(*ops, p.x, p.layer, Precision::fast, rows);
            if (dtype_info(type).quantised()) p.x = rounded(p.x, columns);
            p.check(fast, rows);
          }
        }
      }
    }
  }
}

TEST_CASE("a row of linear has the same bits alone and among others") {
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
    for (const DType type : kAllTypes) {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        const int64_t columns = dtype_info(type).quantised() ? 768 : 577, outputs = 131, most = 33;
        const RandomWeights weights(type, outputs, columns, 11);
        const Linear layer{weights.tensor, {}};
        const std::vector<float> x = random_floats(static_cast<size_t>(most * columns), 12);
        const std::vector<float> all = run(*ops, x, layer, precision, most);
        for (const int64_t rows : {1, 2, 3, 4, 5, 7}) {
          for (int64_t first = 0; first + rows <= most; first += rows) {
            const std::vector<float> part(x.begin() + first * columns, x.begin() + (first + rows) * columns);
            const std::vector<float> expected(all.begin() + first * outputs, all.begin() + (first + rows) * outputs);
            INFO(isa << " " << dtype_info(type).name << " rows " << rows << " from " << first);
            REQUIRE(same_bits(run(*ops, part, layer, precision, rows), expected));
          }
        }
      }
    }
  }
}

TEST_CASE("layers that read the same x have the bits of each alone, packed before or not") {
  const int64_t columns = 768;
  for (const std::string& isa : available_isas()) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      for (const int64_t rows : {1, 9}) {
        const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
        const RandomWeights a(DType::q4_1, 131, columns, 51), b(DType::q6_k, 300, columns, 52),
            c(DType::f16, 7, columns, 53);
        Linear layers[] = {{a.tensor, {}}, {b.tensor, {}}, {c.tensor, {}}};
        const std::vector<float> x = random_floats(static_cast<size_t>(rows * columns), 54);
        std::vector<std::vector<float>> expected;
        for (const Linear& layer : layers) expected.push_back(run(*ops, x, layer, precision, rows));
        Buffer packed(packed_bytes(b.tensor));
        pack_weight(b.tensor, packed.data());
        for (const bool before : {false, true}) {
          if (before) layers[1].packed = packed.data();
          Guarded outs[] = {Guarded(expected[0].size()), Guarded(expected[1].size()), Guarded(expected[2].size())};
          const Projection projections[] = {
              {layers[0], outs[0].data()}, {layers[1], outs[1].data()}, {layers[2], outs[2].data()}};
          ops->linears(x.data(), projections, precision, rows);
          for (size_t i = 0; i < 3; ++i) {
            INFO(isa << " rows " << rows << " layer " << i << (before ? ", packed before" : ""));
            CHECK(outs[i].intact());
            CHECK(same_bits(outs[i].values(), expected[i]));
          }
        }
      }
    }
  }
}

TEST_CASE("linear has the same bits with any number of threads") {
  for (const std::string& isa : available_isas()) {
    for (const DType type : {DType::f32, DType::q8_0, DType::q4_1, DType::q6_k}) {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        for (const int64_t rows : {1, 6, 40}) {
          const int64_t columns = 512, outputs = 333;
          const RandomWeights weights(type, outputs, columns, 21);
          const std::vector<float> x = random_floats(static_cast<size_t>(rows * columns), 22);
          const auto one = make_cpu_ops({.threads = 1, .isa = isa});
          const std::vector<float> expected = run(*one, x, {weights.tensor, {}}, precision, rows);
          for (const int threads : {2, 3}) {
            const auto ops = make_cpu_ops({.threads = threads, .isa = isa});
            INFO(isa << " " << dtype_info(type).name << " rows " << rows << " threads " << threads);
            CHECK(same_bits(run(*ops, x, {weights.tensor, {}}, precision, rows), expected));
          }
        }
      }
    }
  }
}

TEST_CASE("exact precision sees the very weights of dequantise_row") {
  // The product with a unit vector is one weight, with no rounding of a sum in between.
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 1, .isa = isa});
    for (const DType type : kAllTypes) {
      const int64_t columns = 256, outputs = 4;
      const RandomWeights weights(type, outputs, columns, 31);
      std::vector<float> identity(static_cast<size_t>(columns * columns), 0.0f);
      for (int64_t k = 0; k < columns; ++k) identity[static_cast<size_t>(k * columns + k)] = 1.0f;
      const std::vector<float> out = run(*ops, identity, {weights.tensor, {}}, Precision::exact, columns);
      for (int64_t n = 0; n < outputs; ++n) {
        std::vector<float> row(static_cast<size_t>(columns)), got(row.size());
        dequantise_row(type, weights.tensor.row(n), 0, columns, row.data());
        for (int64_t k = 0; k < columns; ++k) {
          got[static_cast<size_t>(k)] = out[static_cast<size_t>(k * outputs + n)];
          row[static_cast<size_t>(k)] += 0.0f;  // a sum with zeros has no −0
        }
        INFO(isa << " " << dtype_info(type).name << " row " << n);
        CHECK(same_bits(got, row));
      }
    }
  }
}

TEST_CASE("a value that is no number stays visible in fast precision") {
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 1, .isa = isa});
    const RandomWeights weights(DType::q4_1, 9, 96, 41);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x = random_floats(96, 42);
      x[70] = bad;
      Guarded out(9);
      ops->linear(x.data(), {weights.tensor, {}}, Precision::fast, 1, out.data());
      for (const float v : out.values()) CHECK(!std::isfinite(v));
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
