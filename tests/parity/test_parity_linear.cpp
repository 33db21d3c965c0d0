// Linear layers on every backend, for all types, odd sizes and both precisions.
#include <catch2/catch_test_macros.hpp>

#include "tests/parity/suite.h"
#include "tests/support/linear_problem.h"

namespace glassbox::testing {
namespace {

constexpr int64_t kMostFew = 8;  // rows; CUDA multiplies more of them by other kernels

// One of the layers that read the same x, with its rows further apart than they are long.
struct Part {
  const LinearProblem& problem;
  int64_t gap = 0;
};

void check(const Suite& suite, const std::vector<Part>& parts, int64_t rows, Precision precision,
           Orders orders = Orders::all) {
  const LinearProblem& first = parts[0].problem;
  const std::vector<float> x(first.x.begin(), first.x.begin() + rows * first.weights.tensor.columns());
  const auto operation = [&](OpRun& run) {
    std::vector<Linear> layers;
    std::vector<Projection> projections;
    for (const auto& [problem, gap] : parts) layers.push_back(run.layer(problem.layer, gap));
    for (const Linear& layer : layers) {
      const size_t size = static_cast<size_t>(rows * layer.weight.rows());
      projections.push_back({layer, run.output(size, Kind::products)});
    }
    run.ops.linears(run.input(x), projections, precision, rows);
  };
  suite.on_each(
      [&](const ParityBackend& backend) {
        const std::vector<Output> found = Suite::outputs(backend, operation);
        for (size_t i = 0; i < parts.size(); ++i) {
          const DType type = parts[i].problem.weights.tensor.dtype;
          INFO((precision == Precision::exact ? "exact, layer " : "fast, layer ") << i + 1 << ", rows " << rows);
          parts[i].problem.check(found[i].floats(), rows, bounds_of(backend.rounding(precision, type, rows)));
        }
      },
      rows > kMostFew && precision == Precision::exact ? Suite::Rows::many : Suite::Rows::any, orders);
}

TEST_CASE("linear agrees with the reference, for all types and odd sizes", "[parity]") {
  const Suite suite;
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    const int block = dtype_info(type).block_size;
    const std::vector<int64_t> sizes = block == 1    ? std::vector<int64_t>{1, 3, 7, 33, 133, 577}
                                       : block == 32 ? std::vector<int64_t>{32, 64, 96, 288, 576, 1536}
                                                     : std::vector<int64_t>{256, 512, 768, 1536};
    size_t number = static_cast<size_t>(t);
    for (const int64_t columns : sizes) {
      for (const int64_t outputs : {1, 5, 67}) {
        // Each with other numbers of rows: all of them with all would take minutes.
        const int64_t few = std::vector<int64_t>{2, 3, 5, kMostFew}[number % 4],
                      many = std::vector<int64_t>{9, 17, 33, 64, 65}[number++ % 5];
        const bool large = columns > 300;
        const Orders orders = large ? Orders::few : Orders::all;
        const LinearProblem p(type, outputs, columns, many, outputs == 5);
        INFO(dtype_info(type).name << " K " << columns << " N " << outputs);
        const std::vector<Part> part = {{p, outputs == 67 ? 4 : 0}};
        for (const int64_t rows : {int64_t{1}, few}) check(suite, part, rows, Precision::exact, orders);
        check(suite, part, few, Precision::fast, orders);
        if (large && outputs != 5) continue;
        for (const Precision precision : {Precision::exact, Precision::fast}) {
          check(suite, part, many, precision, orders);
        }
      }
    }
  }
}

TEST_CASE("linear of many tiles agrees with the reference", "[parity]") {
  const Suite suite;
  for (const DType type : {DType::f32, DType::q4_1, DType::q6_k}) {
    const LinearProblem p(type, 131, type == DType::f32 ? 133 : 256, 70, true);
    INFO(dtype_info(type).name);
    for (const Precision precision : {Precision::exact, Precision::fast}) check(suite, {{p}}, 70, precision);
  }
  // More rows, and longer sums, than one piece of work takes.
  const LinearProblem high(DType::q4_1, 33, 32, 513, true), wide(DType::q4_0, 67, 1536, 33, false),
      odd(DType::f16, 67, 577, 33, true);
  for (const LinearProblem* p : {&high, &wide, &odd}) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      check(suite, {{*p}}, static_cast<int64_t>(p->x.size()) / p->weights.tensor.columns(), precision, Orders::few);
    }
  }
}

TEST_CASE("layers of one x agree with the reference, each with its own type, size and bias", "[parity][short]") {
  const Suite suite;
  const int64_t most = 17, columns = 256;
  const LinearProblem q(DType::q4_1, 67, columns, most, true), k(DType::q6_k, 12, columns, most, false),
      v(DType::f16, 12, columns, most, true), floats(DType::f32, 1, columns, most, true);
  for (const int64_t rows : {int64_t{1}, int64_t{7}, most}) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      check(suite, {{q}, {k}, {v}}, rows, precision);
      check(suite, {{floats}, {v, 4}, {k, 2}}, rows, precision);
      check(suite, {{k}, {k}}, rows, precision);
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
