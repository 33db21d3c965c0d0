// Norms, rotation, embedding and elementwise operations against the reference.
#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "tests/support/ops_testing.h"

namespace glassbox::testing {
namespace {

constexpr double kBound = 1e-12;  // fp32 rounding

using Call = std::function<void(Ops&, float*)>;

// Runs the call on the reference and on each backend with one and three threads: errors within the bound, bits the
// same.
void compare(const char* what, size_t size, const Call& call) {
  Guarded truth(size);
  call(*make_reference_ops(), truth.data());
  REQUIRE(truth.intact());
  for (const std::string& isa : available_isas()) {
    std::vector<float> first;
    for (const int threads : {1, 3}) {
      INFO(what << " " << isa << " size " << size << " threads " << threads);
      Guarded out(size);
      call(*make_cpu_ops({.threads = threads, .isa = isa}), out.data());
      CHECK(out.intact());
      CHECK(nmse(out.values(), truth.values()) < kBound);
      if (threads == 1) first = out.values();
      CHECK(same_bits(out.values(), first));
    }
  }
}

TEST_CASE("norms agree with the reference") {
  for (const int64_t n : {1, 3, 7, 16, 33, 576, 577, 2048}) {
    for (const int64_t rows : {1, 3, 70}) {
      const size_t size = static_cast<size_t>(rows * n);
      // An offset makes the mean and the variance differ from the sum of squares.
      std::vector<float> x = random_floats(size, static_cast<uint32_t>(n));
      for (float& v : x) v += 0.75f;
      const std::vector<float> weight = random_floats(static_cast<size_t>(n), 2),
                               bias = random_floats(static_cast<size_t>(n), 3);
      compare("rmsnorm", size,
              [&](Ops& ops, float* out) { ops.rmsnorm(x.data(), weight.data(), 1e-5f, rows, n, out); });
      if (n == 1) continue;  // x − mean is 0, what is left is rounding
      compare("layernorm", size,
              [&](Ops& ops, float* out) { ops.layernorm(x.data(), weight.data(), bias.data(), 1e-5f, rows, n, out); });
      compare("layernorm without bias", size,
              [&](Ops& ops, float* out) { ops.layernorm(x.data(), weight.data(), nullptr, 1e-5f, rows, n, out); });
    }
  }
}

TEST_CASE("rope agrees with the reference, far out too") {
  for (const int head_dim : {2, 6, 64, 80, 128}) {
    std::vector<float> frequency(static_cast<size_t>(head_dim / 2));
    for (size_t i = 0; i < frequency.size(); ++i) {
      frequency[i] = std::pow(100000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(head_dim));
    }
    const std::vector<RowPosition> rows = {{0, 0}, {0, 1}, {1, 63}, {0, 64}, {2, 8191}, {0, 131071}};
    for (const int heads : {1, 9}) {
      const size_t size = rows.size() * static_cast<size_t>(heads * head_dim);
      const std::vector<float> x = random_floats(size, 4);
      compare("rope", size,
              [&](Ops& ops, float* out) { ops.rope(x.data(), rows, heads, head_dim, frequency.data(), 1.0f, out); });
      compare("rope in place, scaled", size, [&](Ops& ops, float* out) {
        std::copy(x.begin(), x.end(), out);
        ops.rope(out, rows, heads, head_dim, frequency.data(), 1.25f, out);
      });
    }
  }
}

TEST_CASE("rope keeps tables of several frequencies apart") {
  const std::vector<float> x = random_floats(64, 5);
  const std::vector<RowPosition> row = {{0, 77}};
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 1, .isa = isa});
    for (int round = 0; round < 2; ++round) {
      for (int set = 0; set < 12; ++set) {  // more than the backend keeps
        const std::vector<float> frequency = random_floats(32, static_cast<uint32_t>(100 + set));
        Guarded out(64), truth(64);
        ops->rope(x.data(), row, 1, 64, frequency.data(), 1.0f, out.data());
        make_reference_ops()->rope(x.data(), row, 1, 64, frequency.data(), 1.0f, truth.data());
        CHECK(nmse(out.values(), truth.values()) < kBound);
      }
    }
  }
}

TEST_CASE("elementwise operations agree with the reference") {
  for (const size_t size : {1, 3, 7, 8, 15, 16, 17, 100, 577, 40000}) {
    const int64_t n = static_cast<int64_t>(size);
    const std::vector<float> a = random_floats(size, 6, 3.0f), b = random_floats(size, 7);
    compare("add", size, [&](Ops& ops, float* out) { ops.add(a.data(), b.data(), n, out); });
    compare("multiply", size, [&](Ops& ops, float* out) { ops.multiply(a.data(), b.data(), n, out); });
    compare("silu", size, [&](Ops& ops, float* out) { ops.silu(a.data(), n, out); });
    compare("gelu_tanh", size, [&](Ops& ops, float* out) { ops.gelu_tanh(a.data(), n, out); });
    compare("add into a", size, [&](Ops& ops, float* out) {
      std::copy(a.begin(), a.end(), out);
      ops.add(out, b.data(), n, out);
    });
    compare("multiply into b", size, [&](Ops& ops, float* out) {
      std::copy(b.begin(), b.end(), out);
      ops.multiply(a.data(), out, n, out);
    });
    compare("silu in place", size, [&](Ops& ops, float* out) {
      std::copy(a.begin(), a.end(), out);
      ops.silu(out, n, out);
    });
  }
}

TEST_CASE("activations are right value by value, from the smallest to the largest") {
  std::vector<float> x = {0.0f,  -0.0f,  1e-30f, -1e-30f, 1e-6f, 80.0f, -80.0f,
                          87.9f, -87.9f, 100.0f, -100.0f, 1e30f, -1e30f};
  for (float v = -30.0f; v < 30.0f; v += 0.0137f) x.push_back(v);
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<float> silu(x.size()), gelu(x.size()), out(x.size());
  make_reference_ops()->silu(x.data(), n, silu.data());
  make_reference_ops()->gelu_tanh(x.data(), n, gelu.data());
  const auto check = [&](const std::string& what, const std::vector<float>& truth, float relative, float absolute) {
    for (size_t i = 0; i < x.size(); ++i) {
      INFO(what << " of " << x[i] << " is " << out[i] << ", should be " << truth[i]);
      const float smallest = std::numeric_limits<float>::min();  // below it, values may vanish
      CHECK(std::fabs(out[i] - truth[i]) <= smallest + relative * std::fabs(truth[i]) + absolute * std::fabs(x[i]));
    }
  };
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 1, .isa = isa});
    ops->silu(x.data(), n, out.data());
    check("silu " + isa, silu, 5e-7f, 0.0f);
    ops->gelu_tanh(x.data(), n, out.data());
    // Its exponent is a cubic in x, whose rounding the exponential magnifies where the value has all but vanished; and
    // the reference's 1 + tanh cancels there, in double precision.
    check("gelu " + isa, gelu, 1e-5f, 2e-16f);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    ops->silu(&nan, 1, out.data());
    CHECK(std::isnan(out[0]));
  }
}

TEST_CASE("embed gives the rows of the table") {
  const std::vector<int32_t> ids = {3, 0, 12, 3, 7};
  for (const DType type : {DType::f32, DType::f16, DType::q8_0, DType::q6_k}) {
    const RandomWeights table(type, 13, 512, 8);
    compare("embed", ids.size() * 512, [&](Ops& ops, float* out) { ops.embed(table.tensor, ids, out); });
  }
}

TEST_CASE("the backend says what it is and refuses what it does not know") {
  CHECK(make_cpu_ops({.threads = 2, .isa = "portable"})->description() == "cpu portable ×2");
  CHECK(make_cpu_ops({.isa = "sse9"}) == nullptr);
  CHECK(make_cpu_ops({}) != nullptr);
}

}  // namespace
}  // namespace glassbox::testing
