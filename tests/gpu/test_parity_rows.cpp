// Norms, rotation, embedding and elementwise operations on the device against the reference.
#include "tests/gpu/parity.h"

namespace glassbox::testing {
namespace {

constexpr double kBound = 1e-12;  // fp32 rounding

using Call = std::function<cudaError_t(float* out)>;

void compare(const std::string& what, const std::vector<float>& truth, const Call& call) {
  under_schedules([&] {
    INFO(what << ", size " << truth.size());
    DeviceOutput out(truth.size());
    run_on_device([&] { return call(out.data()); });
    check_error(out.values(), truth, kBound);
  });
}

// The same with the output in the place of an input that holds `input`.
void compare_in_place(const std::string& what, const std::vector<float>& truth, const std::vector<float>& input,
                      const Call& call) {
  under_schedules([&] {
    INFO(what << " in place, size " << truth.size());
    DeviceOutput out(input);
    run_on_device([&] { return call(out.data()); });
    check_error(out.values(), truth, kBound);
  });
}

TEST_CASE("norms on the device agree with the reference", "[parity][short]") {
  const auto reference = make_reference_ops();
  for (const int64_t n : {1, 3, 7, 33, 256, 577}) {
    for (const int64_t rows : {1, 3}) {
      const size_t size = static_cast<size_t>(rows * n);
      std::vector<float> x = random_floats(size, static_cast<uint32_t>(n)), truth(size);
      for (float& v : x) v += 0.75f;
      const std::vector<float> weight = random_floats(static_cast<size_t>(n), 2),
                               bias = random_floats(static_cast<size_t>(n), 3);
      const DeviceBuffer<float> d_x(x), d_weight(weight), d_bias(bias);
      const Call rmsnorm = [&](float* out) {
        return cuda::rmsnorm(d_x.data(), d_weight.data(), 1e-5f, rows, n, out, nullptr);
      };
      reference->rmsnorm(x.data(), weight.data(), 1e-5f, rows, n, truth.data());
      compare("rmsnorm", truth, rmsnorm);
      compare_in_place("rmsnorm", truth, x,
                       [&](float* out) { return cuda::rmsnorm(out, d_weight.data(), 1e-5f, rows, n, out, nullptr); });
      if (n == 1) continue;  // x − mean is 0, what is left is rounding
      for (const bool with_bias : {true, false}) {
        reference->layernorm(x.data(), weight.data(), with_bias ? bias.data() : nullptr, 1e-5f, rows, n, truth.data());
        compare("layernorm", truth, [&](float* out) {
          return cuda::layernorm(d_x.data(), d_weight.data(), with_bias ? d_bias.data() : nullptr, 1e-5f, rows, n, out,
                                 nullptr);
        });
      }
    }
  }
}

TEST_CASE("rope on the device agrees with the reference, far out too", "[parity]") {
  const std::vector<RowPosition> rows = {{0, 0}, {0, 1}, {1, 63}, {2, 8191}, {0, 131071}};
  const int row_count = static_cast<int>(rows.size());
  const DeviceBuffer<RowPosition> d_rows(rows);
  for (const int head_dim : {2, 6, 64, 80, 128, 256}) {
    std::vector<float> frequency(static_cast<size_t>(head_dim / 2));
    for (size_t i = 0; i < frequency.size(); ++i) {
      frequency[i] = std::pow(100000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(head_dim));
    }
    const DeviceBuffer<float> d_frequency(frequency);
    for (const int heads : {1, 5}) {
      const std::vector<float> x = random_floats(rows.size() * static_cast<size_t>(heads * head_dim), 4);
      std::vector<float> truth(x.size());
      const DeviceBuffer<float> d_x(x);
      make_reference_ops()->rope(x.data(), rows, heads, head_dim, frequency.data(), 1.25f, truth.data());
      const auto call = [&](const float* in, float* out) {
        return cuda::rope(in, d_rows.data(), row_count, heads, head_dim, d_frequency.data(), 1.25f, out, nullptr);
      };
      compare("rope", truth, [&](float* out) { return call(d_x.data(), out); });
      compare_in_place("rope", truth, x, [&](float* out) { return call(out, out); });
    }
  }
}

TEST_CASE("elementwise operations on the device agree with the reference", "[parity]") {
  const auto reference = make_reference_ops();
  for (const size_t size : {1, 7, 255, 256, 257, 1000}) {
    const int64_t n = static_cast<int64_t>(size);
    const std::vector<float> a = random_floats(size, 6, 3.0f), b = random_floats(size, 7);
    std::vector<float> truth(size);
    const DeviceBuffer<float> d_a(a), d_b(b);
    reference->add(a.data(), b.data(), n, truth.data());
    compare("add", truth, [&](float* out) { return cuda::add(d_a.data(), d_b.data(), n, out, nullptr); });
    compare_in_place("add", truth, a, [&](float* out) { return cuda::add(out, d_b.data(), n, out, nullptr); });
    reference->multiply(a.data(), b.data(), n, truth.data());
    compare("multiply", truth, [&](float* out) { return cuda::multiply(d_a.data(), d_b.data(), n, out, nullptr); });
    compare_in_place("multiply", truth, b,
                     [&](float* out) { return cuda::multiply(d_a.data(), out, n, out, nullptr); });
    reference->silu(a.data(), n, truth.data());
    compare("silu", truth, [&](float* out) { return cuda::silu(d_a.data(), n, out, nullptr); });
    compare_in_place("silu", truth, a, [&](float* out) { return cuda::silu(out, n, out, nullptr); });
    reference->gelu_tanh(a.data(), n, truth.data());
    compare("gelu_tanh", truth, [&](float* out) { return cuda::gelu_tanh(d_a.data(), n, out, nullptr); });
    reference->soft_cap(a.data(), 2.5f, n, truth.data());
    compare("soft_cap", truth, [&](float* out) { return cuda::soft_cap(d_a.data(), 2.5f, n, out, nullptr); });
    reference->scale(a.data(), -0.37f, n, truth.data());
    compare("scale", truth, [&](float* out) { return cuda::scale(d_a.data(), -0.37f, n, out, nullptr); });
    compare_in_place("scale", truth, a, [&](float* out) { return cuda::scale(out, -0.37f, n, out, nullptr); });
  }
}

TEST_CASE("what only moves or rounds values has the bits of the reference", "[parity]") {
  const auto exact = [](const std::vector<float>& truth, const Call& call) {
    under_schedules([&] {
      DeviceOutput out(truth.size());
      run_on_device([&] { return call(out.data()); });
      CHECK(same_bits(out.values(), truth));
    });
  };
  const auto reference = make_reference_ops();
  std::vector<float> x = random_floats(2 * 5 * 77, 3, 100.0f);
  x[0] = 1e-7f;  // a subnormal half
  x[1] = 70000.0f;
  x[2] = 2049.0f;  // between two
  const DeviceBuffer<float> d_x(x);
  std::vector<float> truth(x.size());
  const int64_t n = static_cast<int64_t>(x.size());
  reference->round_to_f16(x.data(), n, truth.data());
  exact(truth, [&](float* out) { return cuda::round_to_f16(d_x.data(), n, out, nullptr); });

  const std::vector<int32_t> rows = {4, 0, 4, 9};
  const DeviceBuffer<int32_t> d_rows(rows);
  truth.resize(rows.size() * 77);
  reference->gather_rows(x.data(), rows, 77, truth.data());
  exact(truth, [&](float* out) { return cuda::gather_rows(d_x.data(), d_rows.data(), 4, 77, out, nullptr); });

  truth.resize(2 * 5 * 5 * 77);  // two rows of five heads
  reference->heads_alone(x.data(), 2, 5, 77, truth.data());
  exact(truth, [&](float* out) { return cuda::heads_alone(d_x.data(), 2, 5, 77, out, nullptr); });
}

TEST_CASE("activations on the device are right value by value", "[parity]") {
  std::vector<float> x = {0.0f, -0.0f, 1e-30f, -1e-30f, 1e-6f, 80.0f, -80.0f, 87.9f, -87.9f, 1e30f, -1e30f};
  for (float v = -20.0f; v < 20.0f; v += 0.137f) x.push_back(v);
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<float> silu(x.size()), gelu(x.size());
  make_reference_ops()->silu(x.data(), n, silu.data());
  make_reference_ops()->gelu_tanh(x.data(), n, gelu.data());
  const DeviceBuffer<float> d_x(x);
  const auto check = [&](const char* what, const std::vector<float>& truth, float relative, float absolute,
                         const Call& call) {
    DeviceOutput out(x.size());
    run_on_device([&] { return call(out.data()); });
    const std::vector<float> found = out.values();
    for (size_t i = 0; i < x.size(); ++i) {
      INFO(what << " of " << x[i] << " is " << found[i] << ", should be " << truth[i]);
      const float smallest = std::numeric_limits<float>::min();  // below it, values may vanish
      CHECK(std::fabs(found[i] - truth[i]) <= smallest + relative * std::fabs(truth[i]) + absolute * std::fabs(x[i]));
    }
  };
  check("silu", silu, 5e-7f, 0.0f, [&](float* out) { return cuda::silu(d_x.data(), n, out, nullptr); });
  // Its exponent is a cubic in x, whose rounding the exponential magnifies where the value has all but vanished; and
  // the reference's 1 + tanh cancels there, in double precision.
  check("gelu", gelu, 1e-5f, 2e-16f, [&](float* out) { return cuda::gelu_tanh(d_x.data(), n, out, nullptr); });
}

TEST_CASE("embed on the device gives the rows of the table, of every type", "[parity]") {
  const std::vector<int32_t> ids = {3, 0, 12, 3, 7};
  const DeviceBuffer<int32_t> d_ids(ids);
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    const int64_t columns = dtype_info(type).quantised() ? 512 : 77;
    const RandomWeights table(type, 13, columns, 8);
    std::vector<float> truth(ids.size() * static_cast<size_t>(columns));
    make_reference_ops()->embed(table.tensor, ids, truth.data());
    for (const int64_t gap : {0, 4}) {
      const DeviceWeights d_table(table.tensor, gap);
      compare("embed " + std::string(dtype_info(type).name), truth, [&](float* out) {
        return cuda::embed(d_table.tensor, d_ids.data(), static_cast<int64_t>(ids.size()), out, nullptr);
      });
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
