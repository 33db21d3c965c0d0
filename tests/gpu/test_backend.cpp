// The backend's own ways: which device a thread works on, copies of nothing, memory that the system does not pin.
#include <thread>

#include "core/model/transformer.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_error.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox {
namespace {

using testing::random_floats;
using testing::under_schedules;

// Adds on the device and looks at the sums.
void check_sums(Ops& ops, size_t count) {
  const std::vector<float> a = random_floats(count, 1), b = random_floats(count, 2);
  const size_t bytes = count * sizeof(float);
  const Buffer on_device = ops.allocate(3 * bytes), staging = ops.allocate_staging(3 * bytes);
  float *const x = on_device.f32(), *const host = staging.f32();
  std::copy(a.begin(), a.end(), host);
  std::copy(b.begin(), b.end(), host + count);
  ops.upload(host, 2 * bytes, x);
  ops.add(x, x + count, static_cast<int64_t>(count), x + 2 * count);
  ops.mark(0);
  ops.wait_for(0);
  ops.download(x + 2 * count, bytes, host + 2 * count);
  ops.wait();
  for (size_t i = 0; i < count; ++i) REQUIRE(host[2 * count + i] == a[i] + b[i]);
}

TEST_CASE("a backend may be used by several threads, one after the other", "[device]") {
  under_schedules([&] {
    std::shared_ptr<Ops> ops, beside;
    std::thread([&] { ops = make_cuda_ops(0); }).join();
    check_sums(*ops, 1000);
    std::thread([&] {
      check_sums(*ops, 1000);
      beside = ops->beside();
    }).join();
    check_sums(*beside, 77);
    std::thread([&] { ops.reset(); }).join();
    check_sums(*beside, 77);
  });
}

TEST_CASE("copies of nothing do nothing, wherever they would lead", "[device]") {
  const std::shared_ptr<Ops> ops = make_cuda_ops(0);
  ops->upload(nullptr, 0, nullptr);
  ops->download(nullptr, 0, nullptr);
  ops->copy(nullptr, 0, nullptr);
  ops->download_beside(nullptr, 0, nullptr);
  ops->wait();
}

TEST_CASE("a call whose rows want no logits runs, as the first one too", "[device]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  for (const int32_t rows : {3, 20}) {
    const std::shared_ptr<Ops> ops = make_cuda_ops(0);
    const PlacedModel placed(model, *ops);
    Workspace workspace(model->config(), 32, *ops);
    KvSequence sequence(std::make_shared<KvPool>(model->config(), Precision::fast, ops));
    KvSequence* const sequences[] = {&sequence};
    for (int32_t call = 0; call < 3; ++call) {
      std::vector<ForwardRow> list;
      for (int32_t i = 0; i < rows; ++i) list.push_back({7 + i, 0, call * rows + i, false});
      const ForwardCall forward_call{list, sequences, nullptr, {}, {}};
      REQUIRE(forward(placed, *ops, Precision::fast, workspace, forward_call).ok());
    }
    CHECK(sequence.length() == 3 * rows);
  }
}

#ifdef GLASSBOX_CUDA_EMULATED
TEST_CASE("backends of two devices may take turns on one thread", "[device]") {
  emulator::set_device_count(2);
  {
    const std::shared_ptr<Ops> first = make_cuda_ops(0);
    check_sums(*first, 40);
    const std::shared_ptr<Ops> second = make_cuda_ops(1);
    check_sums(*first, 40);
    check_sums(*second, 40);
    CHECK(find_cuda_devices().devices.size() == 2);
    check_sums(*first, 40);
    CHECK_THROWS_AS(make_cuda_ops(2), DeviceError);
    check_sums(*second, 40);
    check_sums(*first, 40);
  }
  emulator::set_device_count(1);
  for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
  check_sums(*make_cuda_ops(0), 40);
}

TEST_CASE("without pinned memory everything comes out the same", "[device]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> ids = {5, 17, 3, 200, 41, 41, 7, 99, 150, 12, 3, 9, 8, 7, 6, 5, 4, 3};
  const StepRequest request{ids, {}, Precision::fast, all_stored_taps(model->config())};
  SessionStore store(model, make_cuda_ops(0));
  const auto expected = run_step(store, request);
  emulator::set_pinned_limit(1);
  under_schedules([&] {
    SessionStore without(model, make_cuda_ops(0));
    without.page_pool().set_least_staged(1);
    CHECK(run_step(without, request)->logits_hash == expected->logits_hash);
  });
  emulator::set_pinned_limit(0);
}
#endif

}  // namespace
}  // namespace glassbox
