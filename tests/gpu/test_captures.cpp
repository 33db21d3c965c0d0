// How captured values come from the device into the pages: copies on a stream of their own, beside the kernels.
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/capture_checks.h"

namespace glassbox {
namespace {

using namespace test;
using testing::under_schedules;

TEST_CASE("pages that the device fills hold what the host would put there", "[model]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  for (const bool with_logits : {false, true}) {
    const ProbeSpec spec = capture_taps(*model, with_logits);
    CaptureStore by_host(model, make_cuda_ops(0), Filling::by_host);
    SessionStore plain(model, make_cuda_ops(0));
    const Steps expected = run_captured_steps(by_host, spec);
    if (!with_logits) {  // the head of all rows is another sum than that of one
      const Steps without = run_captured_steps(plain, {});
      for (size_t i = 0; i < expected.size(); ++i) CHECK(expected[i]->logits_hash == without[i]->logits_hash);
    }
    under_schedules([&] {
      CaptureStore straight(model, make_cuda_ops(0), Filling::straight);
      check_captured(run_captured_steps(straight, spec), expected, spec, model->config());
    });
  }
}

TEST_CASE("pages of several sequences that the device fills hold what the host would put there", "[model]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  for (const bool parted : {false, true}) {
    const BatchCapture expected(model, make_cuda_ops(0), Filling::by_host, parted);
    under_schedules([&] { check_batched_captures({model, make_cuda_ops(0), Filling::straight, parted}, expected); });
  }
}

TEST_CASE("a call that was cancelled on the device goes on later", "[model]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const Steps expected = run_cancelled_captures(model, make_cuda_ops(0), Filling::by_host);
  under_schedules([&] {
    check_captured(run_cancelled_captures(model, make_cuda_ops(0), Filling::straight), expected,
                   capture_taps(*model, true), model->config());
  });
}

}  // namespace
}  // namespace glassbox
