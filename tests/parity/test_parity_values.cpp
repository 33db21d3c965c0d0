// Operations that take value by value, on every backend.
#include <catch2/catch_test_macros.hpp>

#include "tests/parity/suite.h"

namespace glassbox::testing {
namespace {

constexpr size_t kSizes[] = {1, 3, 7, 8, 15, 16, 17, 33, 65, 100, 255, 256, 257, 577, 1000, 40'000};

// out = f(x) into memory of its own and in the place of x, for all sizes.
using OfOne = std::function<void(Ops& ops, const float* x, int64_t n, float* out)>;
void agree_on(const Suite& suite, const std::string& name, Kind kind, const OfOne& call) {
  for (const size_t size : kSizes) {
    const std::string what = name + ", size " + std::to_string(size);
    const auto n = static_cast<int64_t>(size);
    const Orders orders = size > 1000 ? Orders::few : Orders::all;
    const std::vector<float> x = random_floats(size, 6, 3.0f);
    suite.agree(
        what, [&](OpRun& run) { call(run.ops, run.input(x), n, run.output(size, kind)); }, orders);
    suite.agree(
        what + ", in place",
        [&](OpRun& run) {
          float* const both = run.in_place(x, kind);
          call(run.ops, both, n, both);
        },
        orders);
  }
}

// The same of out = f(a, b), in the place of either too.
using OfTwo = std::function<void(Ops& ops, const float* a, const float* b, int64_t n, float* out)>;
void agree_on_pairs(const Suite& suite, const std::string& name, const OfTwo& call) {
  for (const size_t size : kSizes) {
    const std::string what = name + ", size " + std::to_string(size);
    const auto n = static_cast<int64_t>(size);
    const Orders orders = size > 1000 ? Orders::few : Orders::all;
    const std::vector<float> a = random_floats(size, 6, 3.0f), b = random_floats(size, 7);
    suite.agree(
        what, [&](OpRun& run) { call(run.ops, run.input(a), run.input(b), n, run.output(size, Kind::same)); }, orders);
    suite.agree(
        what + ", into a",
        [&](OpRun& run) {
          float* const both = run.in_place(a, Kind::same);
          call(run.ops, both, run.input(b), n, both);
        },
        orders);
    suite.agree(
        what + ", into b",
        [&](OpRun& run) {
          float* const both = run.in_place(b, Kind::same);
          call(run.ops, run.input(a), both, n, both);
        },
        orders);
  }
}

TEST_CASE("sums and products of pairs agree with the reference", "[parity]") {
  const Suite suite;
  agree_on_pairs(suite, "add",
                 [](Ops& ops, const float* a, const float* b, int64_t n, float* out) { ops.add(a, b, n, out); });
  agree_on_pairs(suite, "multiply",
                 [](Ops& ops, const float* a, const float* b, int64_t n, float* out) { ops.multiply(a, b, n, out); });
}

TEST_CASE("functions of single values agree with the reference", "[parity]") {
  const Suite suite;
  agree_on(suite, "silu", Kind::activated,
           [](Ops& ops, const float* x, int64_t n, float* out) { ops.silu(x, n, out); });
  agree_on(suite, "gelu_tanh", Kind::activated,
           [](Ops& ops, const float* x, int64_t n, float* out) { ops.gelu_tanh(x, n, out); });
  agree_on(suite, "soft_cap", Kind::activated,
           [](Ops& ops, const float* x, int64_t n, float* out) { ops.soft_cap(x, 2.5f, n, out); });
  agree_on(suite, "scale", Kind::same,
           [](Ops& ops, const float* x, int64_t n, float* out) { ops.scale(x, -0.37f, n, out); });
  agree_on(suite, "round_to_f16", Kind::same,
           [](Ops& ops, const float* x, int64_t n, float* out) { ops.round_to_f16(x, n, out); });
}

TEST_CASE("values become halves as IEEE 754 has it, at the edges too", "[parity]") {
  const Suite suite;
  std::vector<float> x = {0.0f,
                          -0.0f,
                          1e-7f,
                          5.9e-8f,
                          2.9e-8f,
                          3e-8f,
                          -6e-8f,
                          6.09e-5f,
                          6.11e-5f,
                          2049.0f,
                          2051.0f,
                          65504.0f,
                          65519.0f,
                          65520.0f,
                          70000.0f,
                          -7e30f,
                          std::numeric_limits<float>::infinity()};
  for (const float v : random_floats(700, 3, 100.0f)) x.push_back(v);
  suite.agree("round_to_f16", [&](OpRun& run) {
    run.ops.round_to_f16(run.input(x), static_cast<int64_t>(x.size()), run.output(x.size(), Kind::same));
  });
}

TEST_CASE("activations are right value by value, from the smallest to the largest", "[parity]") {
  const Suite suite;
  std::vector<float> x = {0.0f,  -0.0f,  1e-30f, -1e-30f, 1e-6f, 80.0f, -80.0f,
                          87.9f, -87.9f, 100.0f, -100.0f, 1e30f, -1e30f};
  for (float v = -30.0f; v < 30.0f; v += 0.0137f) x.push_back(v);
  const auto n = static_cast<int64_t>(x.size());
  const auto check = [&](const char* what, float relative, float absolute, const auto& call) {
    std::vector<float> truth(x.size());
    call(*make_reference_ops(), x.data(), truth.data());
    suite.on_each([&](const ParityBackend& backend) {
      const std::vector<float> found =
          Suite::outputs(backend,
                         [&](OpRun& run) { call(run.ops, run.input(x), run.output(x.size(), Kind::activated)); })[0]
              .floats();
      for (size_t i = 0; i < x.size(); ++i) {
        INFO(what << " of " << x[i] << " is " << found[i] << ", should be " << truth[i]);
        const float smallest = std::numeric_limits<float>::min();  // below it, values may vanish
        CHECK(std::fabs(found[i] - truth[i]) <= smallest + relative * std::fabs(truth[i]) + absolute * std::fabs(x[i]));
      }
    });
  };
  check("silu", 5e-7f, 0.0f, [n](Ops& ops, const float* in, float* out) { ops.silu(in, n, out); });
  // Its exponent is a cubic in x, whose rounding the exponential magnifies where the value has all but vanished; and
  // the reference's 1 + tanh cancels there, in double precision.
  check("gelu", 1e-5f, 2e-16f, [n](Ops& ops, const float* in, float* out) { ops.gelu_tanh(in, n, out); });
  suite.on_each([&](const ParityBackend& backend) {
    const std::vector<float> nan = {std::numeric_limits<float>::quiet_NaN()};
    const auto silu = [&](OpRun& run) { run.ops.silu(run.input(nan), 1, run.in_place({0.0f}, Kind::activated)); };
    CHECK(std::isnan(Suite::outputs(backend, silu)[0].floats()[0]));
  });
}

}  // namespace
}  // namespace glassbox::testing
