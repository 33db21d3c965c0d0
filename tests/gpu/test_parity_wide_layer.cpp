// The decoder layer for many rows against its composed definition.
#include "kernels/cuda/wide_layer.h"

#include "tests/gpu/decoder_problem.h"

namespace glassbox::testing {
namespace {

using cuda::BlasChoice;
using cuda::Products;
using Stores = LayerProblem::Stores;

// Ten bits of mantissa, cut off, in four products one after the other.
constexpr double kTf32Bound = 2e-5;

// In a few hundred values of an f16 cache, a single one that is rounded the other way counts for more.
double bound(const LayerSettings& s, Precision precision, const Products& products) {
  return precision == Precision::fast && products.has_blas() ? kTf32Bound : 10 * bound_for(s);
}

std::vector<RowPosition> rows_of(int32_t sequence, int32_t begin, int32_t end) {
  std::vector<RowPosition> rows;
  for (int32_t p = begin; p < end; ++p) rows.push_back({sequence, p});
  return rows;
}
std::vector<RowPosition> operator+(std::vector<RowPosition> a, const std::vector<RowPosition>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Case {
  const char* name;
  LayerSettings settings;
  std::vector<int32_t> lengths;
  std::vector<RowPosition> rows;
};

const Case kCases[] = {
    {"SmolLM2 in small, from the first token", {}, {9}, rows_of(0, 0, 9)},
    {"SmolLM2 in small, 40 rows that continue a text", {}, {130}, rows_of(0, 90, 130)},
    {"GPT-2 in small, two sequences",
     {.shape = {4, 4, 16},
      .width = 96,
      .ff = 160,
      .types = {DType::q8_0},
      .norm = NormKind::layer,
      .activation = Activation::gelu_tanh,
      .gated = false,
      .biases = true,
      .rotation = false,
      .cache = DType::f32},
     {70, 13},
     rows_of(0, 60, 70) + rows_of(1, 0, 13)},
    {"no rotation, f16 cache, four heads share their keys",
     {.shape = {4, 1, 16}, .width = 64, .ff = 64, .types = {DType::q4_0}, .biases = true, .rotation = false},
     {64},
     rows_of(0, 50, 64)},
    {"mixed K formats, a window, a soft-cap",
     {.shape = {2, 1, 128},
      .width = 512,
      .ff = 256,
      .types = {DType::q4_k, DType::q5_k, DType::q6_k, DType::q8_0, DType::q4_k, DType::q6_k, DType::q5_k},
      .window = 10,
      .soft_cap = 3.0f},
     {40},
     rows_of(0, 28, 40)},
    {"a row each of ten sequences, f32 cache",
     {.shape = {4, 2, 80}, .width = 160, .ff = 224, .types = {DType::q5_0, DType::q4_1}, .cache = DType::f32},
     std::vector<int32_t>(10, 5),
     rows_of(0, 4, 5) + rows_of(1, 4, 5) + rows_of(2, 3, 4) + rows_of(3, 4, 5) + rows_of(4, 0, 1) + rows_of(5, 4, 5) +
         rows_of(6, 4, 5) + rows_of(7, 1, 2) + rows_of(8, 4, 5) + rows_of(9, 4, 5)},
    {"plain weights, odd sizes",
     {.shape = {5, 1, 18}, .width = 99, .ff = 301, .types = {DType::f32, DType::f16, DType::bf16}, .biases = true},
     {67},
     rows_of(0, 50, 67)},
    {"fp32 weights", {.shape = {3, 1, 32}, .width = 96, .ff = 64, .types = {DType::f32}}, {20}, rows_of(0, 5, 20)},
    {"a layer norm of more columns than a block has threads",
     {.shape = {1, 1, 32}, .width = 544, .ff = 32, .types = {DType::q8_0}, .norm = NormKind::layer},
     {10},
     rows_of(0, 0, 10)},
};

TEST_CASE("a layer for many rows agrees with the composed one, in everything that it shows", "[parity]") {
  Products products(nullptr);
  if (!products.has_blas()) SKIP("there is no cuBLAS");
  for (const Case& c : kCases) {
    const LayerProblem problem(c.settings, c.lengths, c.rows);
    const LayerValues truth = problem.composed();
    under_schedules([&] {
      for (const Precision precision : {Precision::exact, Precision::fast}) {
        INFO(c.name << (precision == Precision::fast ? ", fast" : ", exact"));
        const LayerValues found = problem.wide(Stores::all, products, precision);
        check_layer(problem, found, truth, bound(c.settings, precision, products));
        problem.check_cache(found);
      }
    });
  }
}

TEST_CASE("what is stored of a layer for many rows, and how its weights are unpacked, changes no bit of it",
          "[parity][short]") {
  const LayerProblem problem({.biases = true}, {30, 12}, rows_of(0, 18, 30) + rows_of(1, 2, 12));
  Products products(nullptr), in_parts(nullptr, BlasChoice::if_found, size_t{200} << 10);
  if (!products.has_blas()) SKIP("there is no cuBLAS");
  under_schedules([&] {
    const LayerValues all = problem.wide(Stores::all, products, Precision::fast);
    CHECK(same_bits(all["resid_pre"], problem.resid));
    for (const Stores stores : {Stores::nothing, Stores::some}) {
      const LayerValues found = problem.wide(stores, products, Precision::fast);
      CHECK(same_bits(found.resid, all.resid));
      for (size_t i = 0; i < kLayerOutputCount; ++i) {
        INFO(kLayerOutputs[i].name);
        CHECK((found.of[i].empty() || same_bits(found.of[i], all.of[i])));
      }
    }
    problem.check_cache(all);
    // Other products, which on a GPU may add in another order.
    check_layer(problem, problem.wide(Stores::all, in_parts, Precision::fast), problem.composed(), kTf32Bound);
  });
}

TEST_CASE("a layer for many rows asks for cuBLAS", "[parity]") {
  Products without(nullptr, BlasChoice::never), with(nullptr);
  const LayerProblem problem({}, {9}, rows_of(0, 0, 9));
  CHECK_FALSE(cuda::fits_wide_layer(without, problem.device_layer(), problem.attention.device()));
  CHECK(cuda::fits_wide_layer(with, problem.device_layer(), problem.attention.device()) == with.has_blas());
  CHECK(cuda::wide_layer(without, problem.device_layer(), problem.attention.device(), Precision::fast, nullptr, {}, {},
                         nullptr) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace glassbox::testing
