// What a fused layer and head cost, as the emulator counts it: launches, and bytes that are read. The shapes are
// SmolLM2-135M's.
#include <set>

#include "core/model/drawn_steps.h"
#include "kernels/cuda/overlap.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/decoder_problem.h"
#include "tests/support/golden.h"
#include "tests/support/small_model.h"

namespace glassbox::testing {
namespace {

constexpr int64_t kWidth = 576, kFf = 1536;
const Shape kShape{9, 3, 64};

struct Watched {
  const char* name;
  const void* allocation;
  int64_t bytes;  // that must be read
};

// Runs it, and checks that of each allocation little more than these bytes were read.
void check_reads(const std::vector<Watched>& all, const std::function<void()>& run) {
  for (const Watched& w : all) emulator::reset_traffic(w.allocation);
  run();
  if (emulator::build() != emulator::Build::access) return;
  for (const Watched& w : all) {
    INFO(w.name);
    const auto read = static_cast<double>(emulator::traffic(w.allocation).bytes_read);
    CHECK(read >= static_cast<double>(w.bytes));
    CHECK(read <= 1.1 * static_cast<double>(w.bytes));
  }
}

Watched weights_of(const char* name, const LayerProblem::Matrix& m) {
  return {name, m.device_weights.memory.data(), static_cast<int64_t>(m.device_weights.memory.size())};
}

TEST_CASE("a fused layer is five launches, and reads its weights and its cache once") {
  constexpr int32_t kLength = 301;
  for (const DType type : {DType::q4_1, DType::q8_0}) {
    INFO(dtype_info(type).name);
    const LayerProblem problem({.shape = kShape, .width = kWidth, .ff = kFf, .types = {type}}, {kLength},
                               {{0, kLength - 1}});
    const char* const names[] = {"q", "k", "v", "o", "gate", "up", "down"};
    std::vector<Watched> watched;
    for (size_t i = 0; i < std::size(names); ++i) watched.push_back(weights_of(names[i], *problem.matrices[i]));
    watched.push_back({"cache", problem.attention.caches.device_memory(),
                       int64_t{2} * kLength * kShape.kv_heads * kShape.head_dim * 2});
    check_reads(watched, [&] {
      emulator::reset_counters();
      const LayerValues found = problem.fused(LayerProblem::Stores::nothing);
      CHECK(emulator::counters().launches == 5);
      CHECK(emulator::counters().early_launches == (cuda::overlap_is_off() ? 0 : 5));
      check_error(found.resid, problem.composed().resid, 1e-9);
    });
    const LayerValues all = problem.fused(LayerProblem::Stores::all);
    CHECK(emulator::counters().launches == 10);
  }
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
}

TEST_CASE("a layer for many rows is eleven launches, four of them products") {
  std::vector<RowPosition> rows;
  for (int32_t p = 0; p < 12; ++p) rows.push_back({0, p});
  const LayerProblem problem({.types = {DType::q4_1}}, {12}, rows);
  cuda::Products products(nullptr);
  (void)problem.wide(LayerProblem::Stores::nothing, products, Precision::fast);
  emulator::reset_counters();
  (void)problem.wide(LayerProblem::Stores::all, products, Precision::fast);
  CHECK(emulator::counters().launches == 11);
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
}

TEST_CASE("the fused head is one launch, and reads its weights once") {
  constexpr int64_t kVocabulary = 6000;
  const LayerProblem::Matrix matrix(DType::q8_0, kVocabulary, kWidth, 1, false);
  const std::vector<float> weight(kWidth, 1.0f);
  const DeviceBuffer<float> resid(random_floats(kWidth, 2)), norm(weight);
  const DeviceOutput logits(kVocabulary);
  check_reads({weights_of("head", matrix)}, [&] {
    emulator::reset_counters();
    run_on_device([&] {
      return cuda::head({NormKind::rms, 1e-5f, norm.data(), nullptr}, matrix.on_device(), 0, resid.data(), 1, nullptr,
                        1, logits.data(), nullptr, nullptr);
    });
    CHECK(emulator::counters().launches == 1);
    CHECK(emulator::counters().early_launches == (cuda::overlap_is_off() ? 0 : 1));
  });
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
}

// What every token needs to read: all matrices and norms, of a table that is not the head a row, and keys and values of
// so many positions as f16.
int64_t bytes_of_token(const Model& model, int length) {
  const ModelConfig& config = model.config();
  const Weights& weights = model.weights();
  const auto of = [](const Tensor& tensor) { return tensor.rows() * tensor.row_bytes; };
  int64_t bytes = of(weights.head.weight) + weights.embedding.row_bytes;
  for (const LayerWeights& w : weights.layers) {
    for (const Linear* linear : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) bytes += of(linear->weight);
  }
  bytes += (2 * config.layer_count() + 1) * config.width * int64_t{4};
  for (const LayerConfig& layer : config.layers) bytes += int64_t{2} * length * layer.kv_heads * layer.head_dim * 2;
  return bytes;
}

// What a step has read since the counts were reset: of matrices and cache each load. The rest, activations and norms,
// is small: all blocks read it, and a GPU has it in its L2 cache, so each byte counts once.
double bytes_read(const PlacedModel& placed, const KvSequence& sequence) {
  std::set<const void*> once{sequence.blocks().front().get()};
  const Weights& weights = placed.weights(Precision::fast);
  once.insert(weights.head.weight.data);
  for (const LayerWeights& w : weights.layers) {
    for (const Linear* linear : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) once.insert(linear->weight.data);
  }
  uint64_t read = 0;
  size_t known = 0;
  for (const emulator::Allocation& at : emulator::allocations()) {
    const auto* begin = static_cast<const std::byte*>(at.begin);
    const bool counts = std::any_of(once.begin(), once.end(), [&](const void* p) {
      return !std::less<>()(static_cast<const std::byte*>(p), begin) &&
             std::less<>()(static_cast<const std::byte*>(p), begin + at.bytes);
    });
    known += counts ? 1 : 0;
    read += counts ? at.traffic.bytes_read : std::min<uint64_t>(at.traffic.bytes_read, at.bytes);
  }
  CHECK(known == once.size());
  return static_cast<double>(read);
}

// The whole step, as forward() and DrawnSteps send it: no kernel is called here. The default model has 30 such layers
// and a vocabulary eight times as large; more of either adds what has the ratio of the weights alone.
TEST_CASE("a step of decoding reads its weights and its cache once, and little beside", "[cost]") {
  constexpr int kLength = 300;
  const auto model = test::make_model({.layers = 2,
                                       .context = 512,
                                       .width = kWidth,
                                       .heads = static_cast<uint32_t>(kShape.heads),
                                       .kv_heads = static_cast<uint32_t>(kShape.kv_heads),
                                       .head_dim = static_cast<uint32_t>(kShape.head_dim),
                                       .ff = kFf,
                                       .more_tokens = 6000,
                                       .types = {DType::q4_1},
                                       .embedding = DType::q8_0});
  const std::shared_ptr<Ops> ops = make_cuda_ops(0);
  const PlacedModel placed(model, *ops);
  Workspace workspace(model->config(), 1, *ops);
  const auto pool = std::make_shared<KvPool>(model->config(), Precision::fast, ops);
  KvSequence sequence(pool);
  sequence.reserve(kLength + 10);
  const std::vector<std::byte> zeros(pool->block_bytes());
  for (const KvPool::Block& block : sequence.blocks()) ops->upload(zeros.data(), zeros.size(), block.get());
  ops->wait();
  sequence.commit(kLength);

  // Met for the first time, recorded, run from the recording.
  const auto check_step = [&](const char* what, int64_t launches, int step, const std::function<void()>& run) {
    INFO(what << ", step " << step);
    emulator::reset_counters();
    for (const emulator::Allocation& at : emulator::allocations()) emulator::reset_traffic(at.begin);
    const int64_t needed = bytes_of_token(*model, sequence.length() + 1);
    run();
    CHECK(emulator::counters().launches == launches);
    CHECK(emulator::counters().graph_launches == (step > 0 ? 1 : 0));
    if (emulator::build() != emulator::Build::access) return;
    const double read = bytes_read(placed, sequence);
    CHECK(read >= static_cast<double>(needed));
    CHECK(read <= 1.1 * static_cast<double>(needed));
  };
  const int64_t layers = model->config().layer_count();
  for (int step = 0; step < 3; ++step) {
    check_step("a step", 5 * layers + 2, step, [&] {
      std::vector<float> logits(static_cast<size_t>(model->config().vocab));
      const ForwardRow rows[] = {{7 + step, 0, sequence.length(), true}};
      KvSequence* const sequences[] = {&sequence};
      REQUIRE(forward(placed, *ops, Precision::fast, workspace, {rows, sequences, nullptr, logits, {}}).ok());
    });
  }
  // One launch more draws the next token.
  DrawnSteps steps(placed, *ops, Precision::fast, workspace);
  REQUIRE(steps.begin(std::vector<int32_t>(static_cast<size_t>(sequence.length()) + 1, 7)).ok());
  DrawSettings settings;
  settings.temperature = 0.8f;
  settings.top_k = 40;
  for (int step = 0; step < 3; ++step) {
    check_step("a step that draws", 5 * layers + 3, step, [&] {
      REQUIRE(steps.send(sequence, settings, 0.4).ok());
      REQUIRE(steps.receive().ok());
    });
    sequence.commit(sequence.length() + 1);
  }
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
}

}  // namespace
}  // namespace glassbox::testing
