// Products for many rows: cuBLAS on unpacked weights, and our own kernel in its place. All types and odd sizes are the
// parity suite's; here are the ways in which layers share a call and memory.
#include "kernels/cuda/products.h"

#include "tests/gpu/parity.h"
#include "tests/support/linear_problem.h"

namespace glassbox::testing {
namespace {

using cuda::BlasChoice;
using cuda::Products;

const LinearBounds& bounds(Precision precision, bool has_blas) {
  return bounds_of(precision == Precision::fast && has_blas ? Rounding::both_to_tf32 : Rounding::none);
}

struct Stream {
  Stream() { must(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(handle); }
  cudaStream_t handle = nullptr;
};

// One layer on the device.
struct DeviceLayer {
  DeviceLayer(const LinearProblem& p, int64_t gap = 0)
      : problem(p), weights(p.weights.tensor, gap), bias(p.bias), layer{weights.tensor, {}} {
    if (!p.layer.bias.empty()) layer.bias = make_tensor(bias.data(), DType::f32, {p.weights.tensor.rows()});
  }
  const LinearProblem& problem;
  DeviceWeights weights;
  DeviceBuffer<float> bias;
  Linear layer;
};

// All layers of one x, checked.
void check_layers(Products& products, const Stream& stream, const std::vector<const DeviceLayer*>& layers, int64_t rows,
                  Precision precision) {
  const std::vector<float>& all = layers[0]->problem.x;
  const int64_t columns = layers[0]->weights.tensor.columns();
  const DeviceBuffer<float> x(std::vector<float>(all.begin(), all.begin() + static_cast<ptrdiff_t>(rows * columns)));
  std::vector<std::unique_ptr<DeviceOutput>> outputs;
  std::vector<Projection> projections;
  for (const DeviceLayer* layer : layers) {
    outputs.push_back(std::make_unique<DeviceOutput>(static_cast<size_t>(rows * layer->weights.tensor.rows())));
    projections.push_back({layer->layer, outputs.back()->data()});
  }
  must(products.linears(x.data(), projections, precision, rows));
  must(cudaStreamSynchronize(stream.handle));
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i]->problem.check(outputs[i]->values(), rows, bounds(precision, products.has_blas()));
  }
}

constexpr Precision kPrecisions[] = {Precision::exact, Precision::fast};

TEST_CASE("products without cuBLAS agree with the reference", "[parity][short]") {
  const Stream stream;
  Products products(stream.handle, BlasChoice::never);
  CHECK_FALSE(products.has_blas());
  CHECK(products.description() == "own products");
  const LinearProblem a(DType::q4_1, 67, 96, 65, true), b(DType::f16, 5, 96, 65, false);
  const DeviceLayer of_a(a), of_b(b);
  under_schedules([&] {
    for (const Precision precision : kPrecisions) check_layers(products, stream, {&of_a, &of_b}, 65, precision);
  });
}

TEST_CASE("layers of the same x, of one shape and of several, are products with their own biases", "[parity][short]") {
  const Stream stream;
  Products products(stream.handle);
  const int64_t rows = 17, columns = 256;
  const LinearProblem q(DType::q4_1, 67, columns, rows, true), k(DType::q6_k, 12, columns, rows, true),
      v(DType::f16, 12, columns, rows, true), plain(DType::q8_0, 12, columns, rows, false),
      floats(DType::f32, 12, columns, rows, true), more_floats(DType::f32, 12, columns, rows, true);
  const DeviceLayer of_q(q), of_k(k), of_v(v), of_plain(plain), of_floats(floats), of_more(more_floats, 8);
  under_schedules([&] {
    for (const Precision precision : kPrecisions) {
      check_layers(products, stream, {&of_q, &of_k, &of_v}, rows, precision);
      check_layers(products, stream, {&of_v, &of_k}, rows, precision);
      check_layers(products, stream, {&of_k, &of_plain, &of_v}, rows, precision);
      check_layers(products, stream, {&of_floats, &of_k, &of_more}, rows, precision);
      check_layers(products, stream, {&of_floats, &of_floats}, rows, precision);
    }
  });
}

TEST_CASE("weights that are larger than the buffer are multiplied by parts", "[parity]") {
  const Stream stream;
  const int64_t rows = 9, columns = 96;
  const LinearProblem a(DType::q4_1, 67, columns, rows, true), b(DType::q8_0, 20, columns, rows, true),
      c(DType::f32, 31, columns, rows, false);
  const DeviceLayer of_a(a), of_b(b), of_c(c);
  for (const size_t floats : {1, 96, 96 * 21, 96 * 30, 96 * 67}) {
    Products products(stream.handle, BlasChoice::if_found, floats * sizeof(float));
    under_schedules([&] {
      INFO(floats << " values of weights at a time");
      check_layers(products, stream, {&of_a, &of_b, &of_c}, rows, Precision::exact);
    });
  }
}

// A model goes, and another's weights come to lie where its own did.
TEST_CASE("products do not use what was unpacked of other weights", "[parity][short]") {
  const Stream stream;
  const int64_t rows = 9, columns = 96;
  LinearProblem p(DType::q4_1, 33, columns, rows, false);
  const DeviceLayer layer(p);
  Products products(stream.handle);
  const Linear* const weights[] = {&layer.layer};
  if (products.has_blas()) must(products.prepare(weights));
  must(cudaStreamSynchronize(stream.handle));
  std::byte* const host = p.weights.buffer.data();
  const size_t bytes = p.weights.buffer.bytes();
  std::rotate(host, host + p.weights.tensor.row_bytes, host + bytes);
  copy_to_device(layer.weights.tensor.data, host, bytes);
  const DeviceBuffer<float> x(p.x);
  const DeviceOutput out(static_cast<size_t>(rows * 33));
  const Projection projection{layer.layer, out.data()};
  must(products.linears(x.data(), {&projection, 1}, Precision::exact, rows));
  must(cudaStreamSynchronize(stream.handle));
  p.check(out.values(), rows);
}

TEST_CASE("a graph may capture products", "[parity][short]") {
  const int64_t rows = 9, columns = 96;
  const LinearProblem p(DType::q4_1, 67, columns, rows, true);
  const DeviceLayer layer(p);
  under_schedules([&] {
    const Stream stream;
    Products products(stream.handle);
    check_layers(products, stream, {&layer}, rows, Precision::fast);  // the buffer has its size
    DeviceBuffer<float> x(std::vector<float>(p.x.size(), 0.0f));
    DeviceOutput out(static_cast<size_t>(rows * p.weights.tensor.rows()));
    const Projection projection{layer.layer, out.data()};
    must(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeGlobal));
    must(products.linears(x.data(), {&projection, 1}, Precision::fast, rows));
    cudaGraph_t graph = nullptr;
    must(cudaStreamEndCapture(stream.handle, &graph));
    cudaGraphExec_t executable = nullptr;
    must(cudaGraphInstantiate(&executable, graph, 0));
    must(cudaGraphDestroy(graph));
    x.write(p.x);
    for (int i = 0; i < 2; ++i) {
      must(cudaGraphLaunch(executable, stream.handle));
      must(cudaStreamSynchronize(stream.handle));
      p.check(out.values(), rows, bounds(Precision::fast, products.has_blas()));
    }
    must(cudaGraphExecDestroy(executable));
  });
}

}  // namespace
}  // namespace glassbox::testing
