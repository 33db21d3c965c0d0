// A layer with random weights and inputs, its true outputs, and how far from them a backend's may be.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/error_checks.h"
#include "tests/support/op_bounds.h"

namespace glassbox::testing {

struct LinearProblem {
  LinearProblem(DType type, int64_t outputs, int64_t columns, int64_t most_rows, bool with_bias)
      : weights(type, outputs, columns, static_cast<uint32_t>(columns + outputs)),
        x(random_floats(static_cast<size_t>(most_rows * columns), 3)),
        bias(random_floats(static_cast<size_t>(outputs), 5, 0.1f)),
        layer{weights.tensor, with_bias ? make_tensor(bias.data(), DType::f32, {outputs}) : Tensor{}} {}
  // Of the first `rows` rows. All are made at the first call, of what weights and x are then.
  std::vector<float> truth(int64_t rows) const {
    if (truth_.empty()) {
      truth_.resize(magnitudes().size());
      make_reference_ops()->linear(x.data(), layer, Precision::exact, all_rows(), truth_.data());
    }
    return {truth_.begin(), truth_.begin() + static_cast<std::ptrdiff_t>(rows * weights.tensor.rows())};
  }
  void check(const std::vector<float>& found, int64_t rows, const LinearBounds& bounds = kFp32Bounds) const {
    constexpr size_t kMany = 64;
    const std::vector<float> expected = truth(rows);
    REQUIRE(found.size() == expected.size());
    double worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const double error = std::fabs(double{found[i]} - expected[i]) / magnitudes()[i];
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    }
    CHECK(worst < bounds.value);
    if (expected.size() >= kMany) check_error(found, expected, bounds.all);
  }
  RandomWeights weights;
  std::vector<float> x, bias;
  Linear layer;

 private:
  int64_t all_rows() const { return static_cast<int64_t>(x.size()) / weights.tensor.columns(); }
  // Σ |x_k w_k| + |b| of every output.
  const std::vector<double>& magnitudes() const {
    if (!magnitudes_.empty()) return magnitudes_;
    const int64_t outputs = weights.tensor.rows(), columns = weights.tensor.columns();
    std::vector<float> w(static_cast<size_t>(columns));
    magnitudes_.resize(static_cast<size_t>(all_rows() * outputs));
    for (int64_t n = 0; n < outputs; ++n) {
      dequantise_row(weights.tensor.dtype, weights.tensor.row(n), 0, columns, w.data());
      for (int64_t r = 0; r < all_rows(); ++r) {
        double sum = layer.bias.empty() ? 0.0 : std::fabs(double{bias[static_cast<size_t>(n)]});
        for (int64_t k = 0; k < columns; ++k) {
          sum += std::fabs(double{x[static_cast<size_t>(r * columns + k)]} * w[static_cast<size_t>(k)]);
        }
        magnitudes_[static_cast<size_t>(r * outputs + n)] = sum;
      }
    }
    return magnitudes_;
  }
  mutable std::vector<float> truth_;
  mutable std::vector<double> magnitudes_;
};

}  // namespace glassbox::testing
