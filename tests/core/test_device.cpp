// Which device a model gets, and what happens when that one fails.
#include <catch2/catch_test_macros.hpp>

#include "core/run/device.h"
#include "core/run/workbench.h"
#include "kernels/device_error.h"
#include "tests/support/far_ops.h"
#include "tests/support/golden.h"

namespace glassbox {
namespace {

using Kind = DeviceChoice::Kind;
constexpr size_t kGiB = size_t{1} << 30;

const CudaDevices kNone{true, "no CUDA-capable device is detected", {}};
const CudaDevices kTwo{true, "", {{0, "Small", 8, 6, 2 * kGiB, kGiB}, {1, "Large", 9, 0, 80 * kGiB, 60 * kGiB}}};

TEST_CASE("a device is named by a word", "[device]") {
  for (const auto& [text, choice] : {std::pair<std::string, DeviceChoice>{"auto", {}},
                                     {"cpu", {Kind::cpu}},
                                     {"cuda", {Kind::cuda, 0}},
                                     {"cuda:3", {Kind::cuda, 3}}}) {
    const auto parsed = parse_device(text);
    REQUIRE(parsed.ok());
    CHECK(*parsed == choice);
  }
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "CPU"}) {
    INFO(text);
    const auto parsed = parse_device(text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().kind == ErrorKind::usage);
  }
}

TEST_CASE("the default device is the first GPU that is large enough", "[device]") {
  std::string note;
  CHECK(decide_device({}, kTwo, kGiB / 2, note)->index == 0);
  CHECK(decide_device({}, kTwo, 2 * kGiB, note)->index == 1);
  CHECK(note.empty());
  const auto too_large = decide_device({}, kTwo, 70 * kGiB, note);
  CHECK(too_large->kind == Kind::cpu);
  CHECK(note.find("does not fit") != std::string::npos);
  const auto none = decide_device({}, kNone, 1, note);
  CHECK(none->kind == Kind::cpu);
  CHECK(note.empty());  // nobody expects a GPU where there is none

  const auto missing = decide_device({Kind::cuda, 2}, kTwo, 1, note);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().kind == ErrorKind::usage);
  const auto small = decide_device({Kind::cuda, 0}, kTwo, 2 * kGiB, note);
  REQUIRE_FALSE(small.ok());
  CHECK(small.error().where.find("Small: needs 2048 MiB, 1024 MiB of 2048 MiB are free") != std::string::npos);
  const auto absent = decide_device({Kind::cuda, 0}, kNone, 1, note);
  REQUIRE_FALSE(absent.ok());
  CHECK(absent.error().what.find(kNone.problem) != std::string::npos);
}

// A device that fails in its n-th norm.
class FailingOps : public FarOps {
 public:
  explicit FailingOps(int good) : left_(good) {}
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override {
    if (left_-- == 0) throw DeviceError("the card has fallen off the bus");
    FarOps::rmsnorm(x, weight, eps, rows, n, out);
  }

 private:
  int left_;
};

Result<OpenDevice> open_failing(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  if (choice.kind == Kind::cpu) return open_device(choice, cpu, model);
  return OpenDevice{std::make_shared<FailingOps>(7), {}, ""};
}

TEST_CASE("when the device fails, the run goes on on the CPU where it was", "[device][workbench]") {
  Workbench bench({.threads = 2, .open_device = open_failing});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.settle());
  CHECK(bench.kernel_path() == "far");
  Needs needs;
  needs.chain = true;
  bench.set_needs(needs);
  REQUIRE(bench.apply(cmd::SetText{"The box is open"}).ok());
  REQUIRE(bench.settle());
  CHECK_FALSE(bench.error().has_value());
  CHECK(bench.kernel_path().starts_with("cpu"));
  CHECK(bench.device_note().find("fallen off the bus") != std::string::npos);
  REQUIRE(bench.view().step);
  CHECK(bench.view().tokens == bench.document().shown_tokens());
  REQUIRE(bench.view().chain);
}

TEST_CASE("another device computes the same text", "[device][workbench]") {
  Workbench bench({.threads = 2, .precision = Precision::exact});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.apply(cmd::SetText{"The box is open"}).ok());
  REQUIRE(bench.settle());
  const uint64_t hash = bench.view().step->logits_hash;
  bench.choose_device({Kind::cpu});
  REQUIRE(bench.settle());
  CHECK(bench.view().step->logits_hash == hash);
  bench.choose_device({Kind::cuda, 99});
  REQUIRE(bench.settle());
  REQUIRE(bench.load_error().has_value());
  CHECK(bench.view().step->logits_hash == hash);  // the engine in use goes on
  REQUIRE(bench.apply(cmd::SetText{"The box is open again"}).ok());
  REQUIRE(bench.settle());
  CHECK(bench.view().tokens == bench.document().shown_tokens());
}

}  // namespace
}  // namespace glassbox
