// What the linear kernels promise beyond agreement with the reference, which is the parity suite's: bits.
#include "tests/gpu/parity.h"
#include "tests/support/linear_problem.h"

namespace glassbox::testing {
namespace {

using Problem = LinearProblem;

// out of the device, under the schedule that is set.
std::vector<float> run(const DeviceBuffer<float>& x, const DeviceWeights& weights, const float* bias, int64_t rows) {
  const int64_t outputs = weights.tensor.rows();
  DeviceOutput out(static_cast<size_t>(rows * outputs));
  const Tensor d_bias = bias == nullptr ? Tensor{} : make_tensor(const_cast<float*>(bias), DType::f32, {outputs});
  run_on_device([&] { return cuda::linear(x.data(), {weights.tensor, d_bias}, rows, out.data(), nullptr); });
  return out.values();
}

TEST_CASE("layers of the same x, of different types, have in one launch the bits of each alone", "[parity]") {
  const Problem a(DType::q4_1, 67, 256, 9, false), b(DType::q6_k, 5, 256, 9, true), c(DType::f16, 130, 256, 9, false);
  const DeviceBuffer<float> x(a.x), bias(b.bias);
  const DeviceWeights of_a(a.weights.tensor), of_b(b.weights.tensor), of_c(c.weights.tensor);
  for (const int64_t rows : {1, 9}) {
    under_schedules([&] {
      INFO("rows " << rows);
      const auto size = [&](int64_t outputs) { return static_cast<size_t>(rows * outputs); };
      DeviceOutput out_a(size(67)), out_b(size(5)), out_c(size(130));
      const Linear layers[] = {
          {of_a.tensor, {}}, {of_b.tensor, make_tensor(bias.data(), DType::f32, {5})}, {of_c.tensor, {}}};
      const Projection projections[] = {
          {layers[0], out_a.data()}, {layers[1], out_b.data()}, {layers[2], out_c.data()}};
      run_on_device([&] { return cuda::linears(x.data(), projections, rows, nullptr); });
      CHECK(same_bits(out_a.values(), run(x, of_a, nullptr, rows)));
      CHECK(same_bits(out_b.values(), run(x, of_b, bias.data(), rows)));
      CHECK(same_bits(out_c.values(), run(x, of_c, nullptr, rows)));
    });
  }
}

TEST_CASE("a row among few has the bits that it has alone", "[parity]") {
  const Problem p(DType::q4_1, 67, 288, 8, false);
  const DeviceBuffer<float> x(p.x);
  const DeviceWeights weights(p.weights.tensor);
  const std::vector<float> all = run(x, weights, nullptr, 8);
  for (const int64_t rows : {1, 2, 3, 5}) {
    const std::vector<float> found = run(x, weights, nullptr, rows);
    CHECK(same_bits(found, {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(found.size())}));
  }
}

}  // namespace
}  // namespace glassbox::testing
