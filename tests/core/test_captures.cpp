// How captured values come from a backend with a memory of its own into the pages. tests/gpu/test_captures.cpp has the
// same checks on CUDA.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "kernels/device_error.h"
#include "tests/support/capture_checks.h"
#include "tests/support/far_ops.h"

namespace glassbox {
namespace {

using namespace test;

// Counts what the host is sent in the middle of the operations' order, and says when memory to copy to is asked for.
class CountingOps : public FarOps {
 public:
  void download(const void* from, size_t bytes, void* host) override {
    downloaded += bytes;
    FarOps::download(from, bytes, host);
  }
  Buffer allocate_staging(size_t bytes) override {
    if (refuse) throw DeviceMemoryError();
    staged.push_back(bytes);
    return FarOps::allocate_staging(bytes);
  }
  size_t downloaded = 0;
  bool refuse = false;
  std::vector<size_t> staged;
};

TEST_CASE("pages that are copied straight hold what the host would put there", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  for (const bool with_logits : {false, true}) {
    const ProbeSpec spec = capture_taps(*model, with_logits);
    CaptureStore straight(model, std::make_shared<FarOps>(), Filling::straight),
        by_host(model, std::make_shared<FarOps>(), Filling::by_host);
    SessionStore plain(model, std::make_shared<FarOps>());
    const Steps found = run_captured_steps(straight, spec);
    check_captured(found, run_captured_steps(by_host, spec), spec, model->config());
    const Steps without = run_captured_steps(plain, {});
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i]->logits_hash == without[i]->logits_hash);
  }
}

TEST_CASE("pages of several sequences on the host hold what those of a device do", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  for (const bool parted : {false, true}) {
    // The operations of FarOps are the reference's.
    const BatchCapture found(model, make_reference_ops(), Filling::by_host, parted),
        expected(model, std::make_shared<FarOps>(), Filling::by_host, parted);
    REQUIRE(found.pages.size() == expected.pages.size());
    for (size_t i = 0; i < found.pages.size(); ++i) {
      const Page &left = *found.pages[i], &right = *expected.pages[i];
      for (int position = left.begin(); position < left.end(); ++position) {
        INFO(tap_info(left.tap()).name << " layer " << left.layer() << " position " << position);
        REQUIRE(left.writes(position) == right.writes(position));
        if (left.writes(position) > 0) REQUIRE(std::ranges::equal(left.row(position), right.row(position)));
      }
    }
  }
}

TEST_CASE("of what is needed at the last position alone, nothing else comes to the host", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const auto ops = std::make_shared<CountingOps>();
  SessionStore store(model, ops), all(model, std::make_shared<FarOps>());
  store.set_poison(true);
  const ModelConfig& config = model->config();
  ProbeSpec last, whole;
  const std::vector<int32_t> tokens = capture_tokens(100);
  (void)run_step(store, {tokens, {}, Precision::exact, {}});
  const size_t plain = ops->downloaded;
  size_t row = 0;
  for (const Tap tap : {Tap::attn_z, Tap::q, Tap::resid_post, Tap::head_out}) {
    last.add_last(tap, 0, config.layer_count());
    whole.add(tap, 0, config.layer_count());
    row += static_cast<size_t>(config.layer_count() * tap_row_size(tap, config, 0, 0)) * sizeof(float);
  }
  const std::vector<int32_t> other(tokens.rbegin(), tokens.rend());
  const auto step = run_step(store, {other, {}, Precision::exact, last});
  CHECK(ops->downloaded - plain == plain + row);
  const auto truth = run_step(all, {other, {}, Precision::exact, whole});
  for (const TapNeed& need : last.needs) {
    for (int layer = 0; layer < config.layer_count(); ++layer) {
      const Page* page = step->page(need.tap, layer, step->length() - 1);
      REQUIRE(page != nullptr);
      check_row_written(*page, step->length() - 1);
      const std::span<const float> wanted = truth->page(need.tap, layer, step->length() - 1)->row(step->length() - 1);
      CHECK(std::ranges::equal(page->row(step->length() - 1), wanted));
    }
  }
}

TEST_CASE("pages of several sequences that are copied straight hold what the host would put there", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  size_t straight = SIZE_MAX;
  for (const bool parted : {false, true}) {
    const auto ops = std::make_shared<FarOps>();
    const BatchCapture found(model, ops, Filling::straight, parted);
    CHECK(ops->bytes_beside() > 0);
    CHECK(ops->bytes_beside() < straight);
    straight = ops->bytes_beside();
    check_batched_captures(found, {model, ops, Filling::by_host, parted});
  }
}

TEST_CASE("a cancelled call leaves nothing behind that writes into pages", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const auto ops = std::make_shared<FarOps>();
  const auto run = [&](Filling filling) {
    return run_cancelled_captures(model, ops, filling, [&] { CHECK(ops->unfinished() == 0); });
  };
  check_captured(run(Filling::straight), run(Filling::by_host), capture_taps(*model, true), model->config());
}

TEST_CASE("large sites cost the host no copy", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const ModelConfig& config = model->config();
  const ProbeSpec spec = capture_taps(*model, false);
  const auto ops = std::make_shared<CountingOps>();
  CaptureStore store(model, ops, Filling::straight);
  const auto step = run_step(store, {capture_tokens(80), {}, Precision::exact, spec});
  size_t straight = 0, small = 0;
  for (const TapNeed& need : spec.needs) {
    for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
      const Page& page = *step->page(need.tap, layer, 0);
      (page.takes_copies(80) ? straight : small) += page.bytes();
    }
  }
  CHECK(straight > 10 * small);
  CHECK(small > 0);
  CHECK(ops->bytes_beside() == straight);
  CHECK(ops->downloaded == small + static_cast<size_t>(config.vocab) * sizeof(float));

  // A step's pages are small, however wide their rows: one copy for all of them.
  store.page_pool().set_least_staged(1);
  ops->staged.clear();
  (void)run_step(store, {capture_tokens(81), {}, Precision::exact, spec});
  CHECK(ops->bytes_beside() == straight);
  CHECK(ops->staged.size() <= 1);
}

// A device that fails, or whose memory is full, in its n-th norm.
class FailingOps : public FarOps {
 public:
  FailingOps(int good, bool is_full) : left_(good), is_full_(is_full) {}
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override {
    if (left_-- == 0) {
      CHECK(unfinished() > 0);
      if (is_full_) throw DeviceMemoryError();
      throw DeviceError("it has failed");
    }
    FarOps::rmsnorm(x, weight, eps, rows, n, out);
  }

 private:
  int left_;
  bool is_full_;
};

TEST_CASE("after a failure nothing writes into pages", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  for (const bool is_full : {false, true}) {
    const auto ops = std::make_shared<FailingOps>(5, is_full);
    CaptureStore store(model, ops, Filling::straight);
    const auto failed = store.run({capture_tokens(100), {}, Precision::exact, capture_taps(*model, false)});
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().kind == (is_full ? ErrorKind::device_memory : ErrorKind::device));
    CHECK(ops->unfinished() == 0);
  }
}

TEST_CASE("pages outlive the store that made them, and its backend", "[captures]") {
  const auto model = make_small_model(kCaptureLayers, kCaptureContext);
  const ProbeSpec spec = capture_taps(*model, false);
  std::shared_ptr<const Step> step;
  {
    CaptureStore store(model, std::make_shared<FarOps>(), Filling::straight);
    step = run_step(store, {capture_tokens(100), {}, Precision::exact, spec});
  }
  check_written(*step, spec);
}

TEST_CASE("large pages lie where the backend copies fastest, and their memory is used again", "[captures]") {
  const auto ops = std::make_shared<CountingOps>();
  constexpr size_t kLarge = 1000 << 10, kSmall = 8 << 10;
  PagePool pool(ops, 4 * kLarge);
  CHECK_FALSE(pool.take(kSmall, 100).staged);
  CHECK_FALSE(pool.take(kLarge, 1).staged);  // of one step
  CHECK(ops->staged.empty());
  PagePool::Memory memory = pool.take(kLarge, 100);
  CHECK(memory.staged);
  REQUIRE(ops->staged.size() == 1);
  const std::byte* const first = memory.buffer.data();
  const size_t size = memory.buffer.bytes();
  CHECK(size >= kLarge);
  CHECK(size <= kLarge + kLarge / 8);
  const size_t before = pool.live_bytes();
  pool.give_back(std::move(memory));
  CHECK(pool.live_bytes() == before - size);

  // A text that has grown a little, and one page that another path fills.
  CHECK_FALSE(pool.take(kLarge, 1).staged);
  memory = pool.take(kLarge + 20000, 101);
  CHECK(memory.buffer.data() == first);
  pool.give_back(std::move(memory));

  // Where too much is kept, what no longer suits goes.
  std::vector<PagePool::Memory> larger;
  for (int i = 0; i < 2; ++i) larger.push_back(pool.take(2 * kLarge - (size_t{100} << 10), 200));
  for (PagePool::Memory& one : larger) pool.give_back(std::move(one));
  ops->staged.clear();
  for (PagePool::Memory& one : larger) one = pool.take(2 * kLarge - (size_t{100} << 10), 200);
  CHECK(ops->staged.empty());

  ops->refuse = true;  // the system pins no more
  memory = pool.take(kLarge, 100);
  CHECK_FALSE(memory.staged);
  CHECK(memory.buffer.bytes() == kLarge);

  PagePool of_host(make_reference_ops()), of_none;
  CHECK_FALSE(of_host.take(kLarge, 100).staged);
  CHECK_FALSE(of_none.take(kLarge, 100).staged);
}

TEST_CASE("memory that a pool cannot keep is given back by another thread, before the pool ends", "[captures]") {
  static std::atomic<int> released, by_caller;
  static std::thread::id caller;
  released = by_caller = 0;
  caller = std::this_thread::get_id();
  const auto release = [](std::byte* data) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ++released;
    by_caller += std::this_thread::get_id() == caller ? 1 : 0;
    delete[] data;
  };
  constexpr size_t kPage = 1000;
  {
    PagePool pool(nullptr, 2 * kPage);
    for (int i = 0; i < 10; ++i) pool.take(kPage, 1);  // counted as alive
    for (int i = 0; i < 10; ++i) pool.give_back({Buffer(new std::byte[kPage], kPage, release), false});
  }
  CHECK(released == 10);
  CHECK(by_caller == 2);  // what was kept went with the pool
}

}  // namespace
}  // namespace glassbox
