// What only the emulator can show of products: how many launches they take, which inputs' bits they use, and what
// happens when there is no memory.
#include "kernels/cuda/products.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_error.h"
#include "tests/gpu/parity.h"
#include "tests/support/linear_problem.h"

namespace glassbox::testing {
namespace {

constexpr int64_t kRows = 9, kColumns = 64;

// Layers with outputs side by side in one array, and x.
struct Setup {
  explicit Setup(DType type, bool with_bias) : bias(std::vector<float>(32, 1.0f)) {
    for (const int64_t outputs : {24, 8, 8}) {
      problems.emplace_back(type, outputs, kColumns, kRows, false);
      weights.push_back(std::make_unique<DeviceWeights>(problems.back().weights.tensor));
      layers.push_back(
          {weights.back()->tensor, with_bias ? make_tensor(bias.data(), DType::f32, {outputs}) : Tensor{}});
    }
    x.write(problems[0].x);
  }
  void run(Ops& ops, Precision precision = Precision::fast) const {
    const Projection projections[] = {
        {layers[0], out.data()}, {layers[1], out.data() + kRows * 24}, {layers[2], out.data() + kRows * 32}};
    ops.linears(x.data(), projections, precision, kRows);
    ops.wait();
  }
  std::vector<LinearProblem> problems;
  std::vector<std::unique_ptr<DeviceWeights>> weights;
  DeviceBuffer<float> bias, x{kRows * kColumns}, out{kRows * 40};
  std::vector<Linear> layers;
};

TEST_CASE("products take one launch for unpacking, one for biases, and one for each shape") {
  emulator::set_schedule({});
  const auto ops = make_cuda_ops(0);
  CHECK(ops->description() == "cuda emulated, cuBLAS 13.0.0");
  const auto launches = [&](DType type, bool with_bias) {
    const Setup setup(type, with_bias);
    emulator::reset_counters();
    setup.run(*ops);
    return emulator::counters().launches;
  };
  CHECK(launches(DType::q4_1, false) == 3);
  CHECK(launches(DType::q4_1, true) == 4);
  CHECK(launches(DType::f32, false) == 2);
}

TEST_CASE("fast products use ten bits of the inputs' mantissas, exact ones all") {
  emulator::set_schedule({});
  const auto ops = make_cuda_ops(0);
  const Setup setup(DType::f32, false);
  const std::vector<float> truth = setup.problems[0].truth(kRows);
  const auto error = [&](Precision precision) {
    setup.run(*ops, precision);
    std::vector<float> found = setup.out.read();
    found.resize(truth.size());
    return nmse(found, truth);
  };
  CHECK(error(Precision::exact) < 1e-12);
  CHECK(error(Precision::fast) > 1e-8);
}

TEST_CASE("products without memory throw, and work when there is some") {
  emulator::set_schedule({});
  const auto ops = make_cuda_ops(0);
  const Setup setup(DType::q4_1, false);
  const auto allocated = static_cast<size_t>(emulator::counters().allocated_bytes);
  emulator::set_memory_limit(allocated + 100);
  CHECK_THROWS_AS(setup.run(*ops), DeviceMemoryError);
  CHECK_THROWS_AS(setup.run(*ops), DeviceMemoryError);
  ops->wait();  // the error does not stay
  emulator::set_memory_limit(0);
  setup.run(*ops);
  CHECK(static_cast<size_t>(emulator::counters().allocated_bytes) == allocated + 40 * kColumns * sizeof(float));
  std::vector<float> found = setup.out.read();
  found.resize(kRows * 24);
  check_error(found, setup.problems[0].truth(kRows), 1e-6);
}

TEST_CASE("where cuBLAS finds no memory, our own kernel multiplies") {
  emulator::set_schedule({});
  emulator::set_memory_limit(static_cast<size_t>(emulator::counters().allocated_bytes) + (size_t{1} << 20));
  const auto ops = make_cuda_ops(0);
  emulator::set_memory_limit(0);
  CHECK(ops->description() == "cuda emulated, own products");
  const Setup setup(DType::q4_1, false);
  setup.run(*ops);
  std::vector<float> found = setup.out.read();
  found.resize(kRows * 24);
  check_error(found, setup.problems[0].truth(kRows), 1e-12);
}

TEST_CASE("a product outside of its memory fails, and one of what nobody wrote where accesses are checked") {
  emulator::set_schedule({});
  const auto run = [](size_t x_floats, bool written) {
    cudaStream_t stream = nullptr;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    {
      cuda::Products products(stream);
      const LinearProblem p(DType::f32, 5, kColumns, kRows, false);
      const DeviceWeights weights(p.weights.tensor);
      DeviceBuffer<float> x(x_floats);
      const DeviceBuffer<float> out(kRows * 5);
      if (written) x.write(std::vector<float>(x_floats, 1.0f));
      const Linear layer{weights.tensor, {}};
      const Projection projection{layer, out.data()};
      must(products.linears(x.data(), {&projection, 1}, Precision::fast, kRows));
      cudaStreamSynchronize(stream);
    }
    const std::vector<emulator::Fault> faults = emulator::take_faults();
    cudaStreamDestroy(stream);
    return faults;
  };
  CHECK(run(kRows * kColumns, true).empty());
  const std::vector<emulator::Fault> outside = run(kRows * kColumns - 1, true);
  REQUIRE(outside.size() == 1);
  CHECK(outside[0].text == "cuBLAS: matrix B of 2304 bytes runs over the end of the device allocation of 2300 bytes");
  const std::vector<emulator::Fault> unwritten = run(kRows * kColumns, false);
  CHECK(unwritten.size() == (emulator::build() == emulator::Build::access ? 1 : 0));
}

}  // namespace
}  // namespace glassbox::testing
