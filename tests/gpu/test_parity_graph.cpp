// A small attention layer captured once as a graph and run for one position after the other: whatever changes from step
// to step is read from device memory.
#include "tests/gpu/attention_problem.h"

namespace glassbox::testing {
namespace {

constexpr double kBound = 1e-11;  // fp32 rounding through six operations

const Shape kShape{2, 1, 16};
constexpr int64_t kWidth = 32, kKeyWidth = 16;  // C = H·D, and G·D

// out = x + W_o attention(rope(W_q norm(x)), …), for one row.
struct Layer {
  std::vector<float> norm = random_floats(kWidth, 11),
                     frequency = {1.0f, 0.3f, 0.1f, 0.03f, 0.01f, 3e-3f, 1e-3f, 3e-4f};
  RandomWeights q{DType::q4_1, kWidth, kWidth, 12}, k{DType::q8_0, kKeyWidth, kWidth, 13},
      v{DType::f16, kKeyWidth, kWidth, 14}, o{DType::q4_1, kWidth, kWidth, 15};
};

std::vector<float> step_on_host(const Layer& layer, AttentionArgs args, RowPosition row, const std::vector<float>& x) {
  const auto ops = make_reference_ops();
  const std::span<const RowPosition> rows(&row, 1);
  set_rows(args, rows);
  std::vector<float> normed(kWidth), q(kWidth), k(kKeyWidth), v(kKeyWidth), z(kWidth), out(kWidth);
  ops->rmsnorm(x.data(), layer.norm.data(), 1e-5f, 1, kWidth, normed.data());
  ops->linear(normed.data(), {layer.q.tensor, {}}, Precision::exact, 1, q.data());
  ops->linear(normed.data(), {layer.k.tensor, {}}, Precision::exact, 1, k.data());
  ops->linear(normed.data(), {layer.v.tensor, {}}, Precision::exact, 1, v.data());
  ops->rope(q.data(), rows, kShape.heads, kShape.head_dim, layer.frequency.data(), 1.0f, q.data());
  ops->rope(k.data(), rows, kShape.kv_heads, kShape.head_dim, layer.frequency.data(), 1.0f, k.data());
  ops->kv_store(args, k.data(), v.data());
  ops->attention(args, q.data(), z.data(), {}, {});
  ops->linear(z.data(), {layer.o.tensor, {}}, Precision::exact, 1, out.data());
  ops->add(x.data(), out.data(), kWidth, out.data());
  return out;
}

// The same on the device, as a graph.
class DeviceStep {
 public:
  DeviceStep(const Layer& layer, const AttentionProblem& problem)
      : norm_(layer.norm),
        frequency_(layer.frequency),
        q_(layer.q.tensor),
        k_(layer.k.tensor),
        v_(layer.v.tensor),
        o_(layer.o.tensor) {
    must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    AttentionArgs args = problem.device();
    args.rows = row_.data();
    args.row_count = 1;
    row_.write({{0, args.longest}});  // the first that a step will write
    x_.write(std::vector<float>(kWidth, 1.0f));
    enqueue(args);  // as Ops::repeat: what is loaded at first use is there
    must(cudaStreamSynchronize(stream_));
    must(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal));
    enqueue(args);
    cudaGraph_t graph = nullptr;
    must(cudaStreamEndCapture(stream_, &graph));
    must(cudaGraphInstantiate(&graph_, graph, 0));
    must(cudaGraphDestroy(graph));
  }
  ~DeviceStep() {
    cudaGraphExecDestroy(graph_);
    cudaStreamDestroy(stream_);
  }
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;

  std::vector<float> run(RowPosition row, const std::vector<float>& x) {
    must(cudaMemcpyAsync(row_.data(), &row, sizeof row, cudaMemcpyHostToDevice, stream_));
    must(cudaMemcpyAsync(x_.data(), x.data(), kWidth * sizeof(float), cudaMemcpyHostToDevice, stream_));
    must(cudaGraphLaunch(graph_, stream_));
    must(cudaStreamSynchronize(stream_));
    return out_.read();
  }

 private:
  void enqueue(const AttentionArgs& args) {
    const auto rotate = [&](const DeviceBuffer<float>& x, int heads) {
      must(cuda::rope(x.data(), row_.data(), 1, heads, kShape.head_dim, frequency_.data(), 1.0f, x.data(), stream_));
    };
    must(cuda::rmsnorm(x_.data(), norm_.data(), 1e-5f, 1, kWidth, normed_.data(), stream_));
    const Linear q{q_.tensor, {}}, k{k_.tensor, {}}, v{v_.tensor, {}};
    const Projection projections[] = {{q, queries_.data()}, {k, keys_.data()}, {v, values_.data()}};
    must(cuda::linears(normed_.data(), projections, 1, stream_));
    rotate(queries_, kShape.heads);
    rotate(keys_, kShape.kv_heads);
    must(cuda::kv_store(args, keys_.data(), values_.data(), stream_));
    must(cuda::attention(args, queries_.data(), z_.data(), nullptr, nullptr, stream_));
    must(cuda::linear(z_.data(), {o_.tensor, {}}, 1, out_.data(), stream_));
    must(cuda::add(x_.data(), out_.data(), kWidth, out_.data(), stream_));
  }

  DeviceBuffer<float> norm_, frequency_;
  DeviceWeights q_, k_, v_, o_;
  DeviceBuffer<RowPosition> row_{1};
  DeviceBuffer<float> x_{kWidth}, normed_{kWidth}, queries_{kWidth}, keys_{kKeyWidth}, values_{kKeyWidth}, z_{kWidth},
      out_{kWidth};
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

TEST_CASE("a layer captured once runs at every position, from a graph", "[parity][short]") {
  const Layer layer;
  under_schedules([&] {
    // Sixty keys are there; the steps go on into the next block. The host's cache goes along.
    AttentionProblem problem(kShape, DType::f32, {70}, {{0, 59}});
    DeviceStep step(layer, problem);
    for (int32_t position = 60; position < 70; ++position) {
      INFO("position " << position);
      const std::vector<float> x = random_floats(kWidth, static_cast<uint32_t>(position));
      check_error(step.run({0, position}, x), step_on_host(layer, problem.host, {0, position}, x), kBound);
    }
  });
}

}  // namespace
}  // namespace glassbox::testing
