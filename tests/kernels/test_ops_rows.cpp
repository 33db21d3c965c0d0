// What the CPU's operations along rows promise beyond agreement with the reference, which is the parity suite's: the
// same bits on any number of threads.
#include <catch2/catch_test_macros.hpp>
#include <functional>

#include "tests/support/error_checks.h"
#include "tests/support/op_bounds.h"

namespace glassbox::testing {
namespace {

using Call = std::function<void(Ops&, float*)>;

void check_threads(const char* what, size_t size, const Call& call) {
  for (const std::string& isa : available_isas()) {
    std::vector<float> first;
    for (const int threads : {1, 2, 3}) {
      INFO(what << " " << isa << " size " << size << " threads " << threads);
      Guarded out(size);
      call(*make_cpu_ops({.threads = threads, .isa = isa}), out.data());
      CHECK(out.intact());
      if (threads == 1) first = out.values();
      CHECK(same_bits(out.values(), first));
    }
  }
}

TEST_CASE("operations along rows have the same bits on any number of threads") {
  for (const int64_t n : {7, 577, 2048}) {
    for (const int64_t rows : {1, 3, 70}) {
      const size_t size = static_cast<size_t>(rows * n);
      const std::vector<float> x = random_floats(size, static_cast<uint32_t>(n)),
                               weight = random_floats(static_cast<size_t>(n), 2),
                               bias = random_floats(static_cast<size_t>(n), 3);
      check_threads("rmsnorm", size,
                    [&](Ops& ops, float* out) { ops.rmsnorm(x.data(), weight.data(), 1e-5f, rows, n, out); });
      check_threads("layernorm", size, [&](Ops& ops, float* out) {
        ops.layernorm(x.data(), weight.data(), bias.data(), 1e-5f, rows, n, out);
      });
    }
  }
  const std::vector<float> x = random_floats(70 * 9 * 64, 4), frequency = random_floats(32, 5);
  std::vector<RowPosition> rows;
  for (int32_t p = 0; p < 70; ++p) rows.push_back({0, 100 * p});
  check_threads("rope", x.size(),
                [&](Ops& ops, float* out) { ops.rope(x.data(), rows, 9, 64, frequency.data(), 1.0f, out); });
  const std::vector<int32_t> ids(70, 3);
  const RandomWeights table(DType::q6_k, 13, 512, 8);
  check_threads("embed", ids.size() * 512, [&](Ops& ops, float* out) { ops.embed(table.tensor, ids, out); });
}

TEST_CASE("elementwise operations have the same bits on any number of threads") {
  for (const size_t size : {17, 577, 40000}) {
    const int64_t n = static_cast<int64_t>(size);
    const std::vector<float> a = random_floats(size, 6, 3.0f), b = random_floats(size, 7);
    check_threads("add", size, [&](Ops& ops, float* out) { ops.add(a.data(), b.data(), n, out); });
    check_threads("multiply", size, [&](Ops& ops, float* out) { ops.multiply(a.data(), b.data(), n, out); });
    check_threads("silu", size, [&](Ops& ops, float* out) { ops.silu(a.data(), n, out); });
    check_threads("gelu_tanh", size, [&](Ops& ops, float* out) { ops.gelu_tanh(a.data(), n, out); });
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
        check_error(out.values(), truth.values(), bound_of(Kind::along_row).nmse);
      }
    }
  }
}

TEST_CASE("the backend says what it is and refuses what it does not know") {
  CHECK(make_cpu_ops({.threads = 2, .isa = "portable"})->description() == "cpu portable ×2");
  CHECK(make_cpu_ops({.isa = "sse9"}) == nullptr);
  CHECK(make_cpu_ops({}) != nullptr);
}

}  // namespace
}  // namespace glassbox::testing
