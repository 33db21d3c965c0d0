// What a fused layer and head cost, as the emulator counts it: launches, and bytes that are read. The shapes are
// SmolLM2-135M's.
#include "kernels/cuda/overlap.h"
#include "tests/gpu/decoder_problem.h"

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

}  // namespace
}  // namespace glassbox::testing
