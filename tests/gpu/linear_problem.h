// A layer with random weights and inputs, its true outputs, and how far from them a device's may be.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/gpu/parity.h"

namespace glassbox::testing {

// fp32 sums of K products against sums in double precision: each value as a part of the sum of the products'
// magnitudes, because a single one may cancel; and where there are many, all of them by the normalised mean squared
// error.
struct LinearBounds {
  double value, all;
};
inline constexpr LinearBounds kFp32Bounds{4e-7, 1e-12};

inline std::vector<int64_t> columns_for(DType type) {
  switch (dtype_info(type).block_size) {
    case 1:
      return {1, 7, 33, 133};
    case 32:
      return {32, 96, 288};
    default:
      return {256, 512};
  }
}

struct LinearProblem {
  LinearProblem(DType type, int64_t outputs, int64_t columns, int64_t most_rows, bool with_bias)
      : weights(type, outputs, columns, static_cast<uint32_t>(columns + outputs)),
        x(random_floats(static_cast<size_t>(most_rows * columns), 3)),
        bias(random_floats(static_cast<size_t>(outputs), 5, 0.1f)),
        layer{weights.tensor, with_bias ? make_tensor(bias.data(), DType::f32, {outputs}) : Tensor{}} {}
  std::vector<float> truth(int64_t rows) const {
    std::vector<float> out(static_cast<size_t>(rows * weights.tensor.rows()));
    make_reference_ops()->linear(x.data(), layer, Precision::exact, rows, out.data());
    return out;
  }
  // Σ |x_k w_k| + |b| of every output.
  std::vector<double> magnitudes(int64_t rows) const {
    const int64_t outputs = weights.tensor.rows(), columns = weights.tensor.columns();
    std::vector<float> w(static_cast<size_t>(columns));
    std::vector<double> sums(static_cast<size_t>(rows * outputs));
    for (int64_t n = 0; n < outputs; ++n) {
      dequantise_row(weights.tensor.dtype, weights.tensor.row(n), 0, columns, w.data());
      for (int64_t r = 0; r < rows; ++r) {
        double sum = layer.bias.empty() ? 0.0 : std::fabs(double{bias[static_cast<size_t>(n)]});
        for (int64_t k = 0; k < columns; ++k) {
          sum += std::fabs(double{x[static_cast<size_t>(r * columns + k)]} * w[static_cast<size_t>(k)]);
        }
        sums[static_cast<size_t>(r * outputs + n)] = sum;
      }
    }
    return sums;
  }
  void check(const std::vector<float>& found, int64_t rows, const LinearBounds& bounds = kFp32Bounds) const {
    constexpr size_t kMany = 64;
    const std::vector<float> expected = truth(rows);
    const std::vector<double> magnitude = magnitudes(rows);
    double worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const double error = std::fabs(double{found[i]} - expected[i]) / magnitude[i];
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    }
    CHECK(worst < bounds.value);
    if (expected.size() >= kMany) check_error(found, expected, bounds.all);
  }
  RandomWeights weights;
  std::vector<float> x, bias;
  Linear layer;
};

}  // namespace glassbox::testing
