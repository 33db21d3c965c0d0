// A card that is lost in the middle of work, as the emulator plays it: an error comes back, nothing hangs, and all
// memory is given back.
#include <cuda_runtime_api.h>

#include "core/run/generate.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/capture_checks.h"

namespace glassbox {
namespace {

using namespace test;
using testing::under_schedules;

// Loses the card at the given call of a progress function or a sink, and finds it again at its end.
class Loss {
 public:
  explicit Loss(int at) : left_(at) {}
  ~Loss() {
    emulator::set_failure(cudaSuccess);
    (void)cudaGetLastError();
    for (const emulator::Fault& fault : emulator::take_faults()) FAIL_CHECK(fault.text);
  }
  void step() {
    if (--left_ == 0) emulator::set_failure(cudaErrorDevicesUnavailable);
  }
  bool happened() const { return left_ <= 0; }

 private:
  int left_;
};

template <class T>
void check_lost(const Result<T>& result) {
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().kind == ErrorKind::device);
  CHECK(result.error().message().find("The GPU has failed.") != std::string::npos);
}

TEST_CASE("a card lost in a prefill, with copies under way, is an error", "[model][device][lost]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const StepRequest request{capture_tokens(70), {}, Precision::exact, capture_taps(*model, false)};
  const uint64_t expected = [&] {
    CaptureStore whole(model, make_cuda_ops(0), Filling::straight);
    return run_step(whole, request)->logits_hash;
  }();
  const int64_t before = emulator::counters().allocated_bytes;
  under_schedules(
      [&] {
        for (const int at : {1, 2, 3, 4}) {  // before each layer
          INFO("lost at call " << at);
          {
            Loss loss(at);
            CaptureStore store(model, make_cuda_ops(0), Filling::straight);
            store.page_pool().set_least_staged(1);
            check_lost(store.run(request, [&](double) {
              loss.step();
              return true;
            }));
            CHECK(loss.happened());
            check_lost(store.run({{5, 17}, {}, Precision::fast, {}}));  // it stays away
          }
          CHECK(emulator::counters().allocated_bytes == before);
        }
        // One that comes back, as after a driver was loaded again: another store works on it.
        CaptureStore again(model, make_cuda_ops(0), Filling::straight);
        CHECK(run_step(again, request)->logits_hash == expected);
      },
      1);
  CHECK(emulator::counters().allocated_bytes == before);
}

TEST_CASE("a card lost while it generates, with a step ahead, is an error", "[model][device][lost]") {
  const auto model = make_small_model(2, kCaptureContext);
  GenerateRequest request{.tokens = capture_tokens(6), .seed = 3, .most = 8};
  request.ignore_end = true;
  request.sampler.top_k = 20;
  std::vector<int32_t> text;
  {
    SessionStore store(model, make_cuda_ops(0));
    const Result<Generation> made = generate(store, request, [](int32_t) { return true; });
    REQUIRE(made.ok());
    text = made->ids;
  }
  const int64_t before = emulator::counters().allocated_bytes;
  under_schedules(
      [&] {
        for (const int at : {1, 2, 3, 6, 7}) {  // at 1 nothing is drawn on it yet, then a step is ahead; at 7 the last
          INFO("lost after token " << at);
          std::vector<int32_t> seen;
          {
            Loss loss(at);
            SessionStore store(model, make_cuda_ops(0));
            check_lost(generate(store, request, [&](int32_t id) {
              seen.push_back(id);
              loss.step();
              return true;
            }));
            CHECK(loss.happened());
            check_lost(generate(store, request, [](int32_t) { return true; }));
          }
          CHECK(seen.size() == static_cast<size_t>(at));
          CHECK(std::equal(seen.begin(), seen.end(), text.begin()));
          CHECK(emulator::counters().allocated_bytes == before);
        }
      },
      1);
}

}  // namespace
}  // namespace glassbox
