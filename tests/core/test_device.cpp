// Which device a model gets, and what happens when that one fails.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <thread>

#include "core/run/device.h"
#include "core/run/generate.h"
#include "core/run/start_sessions.h"
#include "core/run/workbench.h"
#include "kernels/device_error.h"
#include "tests/support/far_ops.h"
#include "tests/support/golden.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using Kind = DeviceChoice::Kind;
using test::make_small_model;
constexpr size_t kGiB = size_t{1} << 30;

const CudaDevices kNone{true, "no CUDA-capable device is detected", {}};
const CudaDevices kTwo{true, "", {{0, "Small", 8, 6, 2 * kGiB, kGiB}, {1, "Large", 9, 0, 80 * kGiB, 60 * kGiB}}};

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// decide_device() on a copy; the memory is known already.
struct Decision {
  Result<DeviceChoice> choice;
  std::string note;
  std::vector<int> asked;
};
Decision decide(const DeviceChoice& choice, CudaDevices found, const DeviceNeeds& needs) {
  std::string note;
  std::vector<int> asked;
  Result<DeviceChoice> decided = decide_device(
      choice, found, needs, [&](CudaDevice& device) { asked.push_back(device.index); }, note);
  return {std::move(decided), note, asked};
}

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

TEST_CASE("the default device is the best GPU that is large enough", "[device]") {
  const Decision best = decide({}, kTwo, {kGiB / 2});
  CHECK(best.choice->index == 1);
  CHECK(best.note.empty());
  CHECK(best.asked == std::vector{1});  // asking costs memory of the device: of no other
  CudaDevices taken = kTwo;
  taken.devices[1].free_bytes = kGiB / 4;
  const Decision second = decide({}, taken, {kGiB / 2});
  CHECK(second.choice->index == 0);
  CHECK(second.note.empty());
  CHECK(second.asked == std::vector{1, 0});
  CudaDevices alike{
      true, "", {{0, "A", 9, 0, 24 * kGiB, kGiB}, {1, "B", 9, 0, 80 * kGiB, kGiB}, {2, "B", 9, 0, 80 * kGiB, kGiB}}};
  CHECK(decide({}, alike, {1}).choice->index == 1);
  alike.devices[1].problem = "does not answer";
  CHECK(decide({}, alike, {1}).choice->index == 2);

  const Decision too_large = decide({}, kTwo, {70 * kGiB});
  CHECK(too_large.choice->kind == Kind::cpu);
  CHECK(holds(too_large.note, "does not fit into the GPU's memory: Large needs 71680 MiB"));
  const Decision misfit = decide({}, kTwo, {1, "its heads are odd"});
  CHECK(misfit.choice->kind == Kind::cpu);
  CHECK(holds(misfit.note, "cannot run this model: its heads are odd"));
  CHECK(misfit.asked.empty());
}

TEST_CASE("auto tells why there is no GPU only where somebody expects one", "[device]") {
  const Decision none = decide({}, kNone, {1});
  CHECK(none.choice->kind == Kind::cpu);
  CHECK(none.note.empty());  // nobody expects a GPU where there is none
  const CudaDevices old_driver{true, "the NVIDIA driver is for CUDA 12.4", {}, true};
  CHECK(decide({}, old_driver, {1}).note == "On the CPU, because the NVIDIA driver is for CUDA 12.4.");
  CudaDevices silent = kTwo;
  for (CudaDevice& device : silent.devices) device.problem = "is older than compute capability 7.5";
  silent.problem = "Small is older than compute capability 7.5";
  silent.surprising = true;
  CHECK(decide({}, silent, {1}).note == "On the CPU, because Small is older than compute capability 7.5.");
  CudaDevices found = kTwo;
  std::string note;
  const auto fails = [](CudaDevice& device) { device.problem = "does not answer: out of order"; };
  CHECK(decide_device({}, found, {1}, fails, note)->kind == Kind::cpu);
  CHECK(note == "On the CPU, because Large does not answer: out of order.");
}

TEST_CASE("a GPU that was chosen and cannot be taken is an error that says which can", "[device]") {
  const Decision missing = decide({Kind::cuda, 5}, kTwo, {1});
  REQUIRE_FALSE(missing.choice.ok());
  CHECK(missing.choice.error().kind == ErrorKind::usage);
  CHECK(missing.choice.error().what == "There is no such device.");
  CHECK(missing.choice.error().expected == "cuda:0 Small, cuda:1 Large");
  CHECK(holds(missing.choice.error().remedy, "CUDA_VISIBLE_DEVICES"));
  const Decision small = decide({Kind::cuda, 0}, kTwo, {2 * kGiB});
  REQUIRE_FALSE(small.choice.ok());
  CHECK(holds(small.choice.error().where, "Small needs 2048 MiB for it, and 1024 MiB of 2048 MiB are free"));
  CHECK(small.asked == std::vector{0});
  const Decision absent = decide({Kind::cuda, 0}, kNone, {1});
  REQUIRE_FALSE(absent.choice.ok());
  CHECK(holds(absent.choice.error().what, kNone.problem));
  const Decision misfit = decide({Kind::cuda, 1}, kTwo, {1, "its heads are odd"});
  REQUIRE_FALSE(misfit.choice.ok());
  CHECK(misfit.choice.error().kind == ErrorKind::failed);
  CHECK(holds(misfit.choice.error().what, "its heads are odd"));
  CudaDevices broken = kTwo;
  broken.devices[0].problem = "does not answer: out of order";
  CHECK(holds(check_device({Kind::cuda, 0}, broken).error().what, "Small does not answer: out of order"));
  CHECK(check_device({Kind::cuda, 1}, broken).ok());
  CHECK(check_device({Kind::cuda, 2}, broken).error().expected == "cuda:1 Large");
}

TEST_CASE("what a device must have free does not grow with a context that nobody may use", "[device]") {
  constexpr size_t kKept = 2 * 16 * sizeof(float);  // of a position, in a layer with one head of keys and values
  constexpr size_t kPatterns = 2 * kDeviceRowsPerCall * 2 * sizeof(float);  // of a call, two of two heads
  const size_t at_8k = device_bytes(*make_small_model(2, 8192));
  CHECK(at_8k - device_bytes(*make_small_model(2, 4096)) == (2 * kKept + kPatterns) * 4096);
  CHECK(device_bytes(*make_small_model(2, 131072)) == at_8k);
}

// A device that fails in its n-th norm.
class FailingOps : public FarOps {
 public:
  FailingOps(int good, bool is_full) : left_(good), is_full_(is_full) {}
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override {
    if (left_ == 0 && is_full_) throw DeviceMemoryError();
    if (left_ == 0) throw DeviceError("the card has fallen off the bus");
    --left_;
    FarOps::rmsnorm(x, weight, eps, rows, n, out);
  }

 private:
  int left_;
  bool is_full_;
};

int good_norms = 7;
bool full = false;

Result<OpenDevice> open_failing(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  if (choice.kind == Kind::cpu) return open_device(choice, cpu, model);
  return OpenDevice{std::make_shared<FailingOps>(good_norms, full), {}, ""};
}

// Sessions on such a device, and what they tell.
struct FailingSessions {
  explicit FailingSessions(const std::shared_ptr<const Model>& model) {
    Result<StartedSessions> started =
        start_sessions(model, {.cpu = {2, "", false},
                               .left = [this](const std::string& why) { told.push_back(why); },
                               .open_device = open_failing});
    if (!started) FAIL(started.error().message());
    store = std::move(started->sessions);
  }
  std::vector<std::string> told;
  std::unique_ptr<SessionStore> store;
};

TEST_CASE("when the device fails, a text goes on on the CPU with the tokens that it would have had", "[device]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> prompt = {5, 17, 3, 200, 41, 41, 7, 99, 150, 12};
  SessionStore reference(model, make_reference_ops());
  const GenerateRequest request{
      .tokens = prompt, .precision = Precision::exact, .seed = 9, .most = 12, .ignore_end = true};
  const auto all = [](int32_t) { return true; };
  const Result<Generation> expected = generate(reference, request, all);
  REQUIRE(expected.ok());
  std::vector<float> expected_logits;
  REQUIRE(reference
              .run_logits(prompt, Precision::exact,
                          [&](int, std::span<const float> row) {
                            expected_logits.insert(expected_logits.end(), row.begin(), row.end());
                          })
              .ok());
  for (const bool memory : {false, true}) {
    full = memory;
    for (const int good : {0, 3, 8, 29}) {  // in the prompt's forward, and in those of single tokens
      INFO(good << (memory ? " norms, then no memory" : " norms"));
      good_norms = good;
      FailingSessions sessions(model);
      int sunk = 0;
      const Result<Generation> made = generate(*sessions.store, request, [&](int32_t) { return ++sunk > 0; });
      REQUIRE(made.ok());
      CHECK(made->ids == expected->ids);
      CHECK(sunk == 12);
      REQUIRE(sessions.told.size() == 1);
      CHECK(holds(sessions.told[0], memory ? "memory is full" : "fallen off the bus"));
      CHECK(sessions.store->ops().on_host());

      FailingSessions others(model);
      std::vector<float> logits;
      int next = 0;
      REQUIRE(others.store
                  ->run_logits(prompt, Precision::exact,
                               [&](int position, std::span<const float> row) {
                                 CHECK(position == next++);
                                 logits.insert(logits.end(), row.begin(), row.end());
                               })
                  .ok());
      CHECK(next == static_cast<int>(prompt.size()));
      CHECK(nmse(logits, expected_logits) < 1e-9);
    }
  }
  full = false;
  good_norms = 7;
}

TEST_CASE("edits and patches are computed on one backend, though it changed on the way", "[device]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> ids = {5, 17, 3, 200};
  Edit patch = *parse_edit("zero:mlp_out:L1");
  patch.kind = EditKind::patch;
  patch.patch_tokens = {9, 8, 7, 6};
  SessionStore reference(model, make_reference_ops());
  const StepRequest request{ids, {patch}, Precision::exact, {}};
  const auto expected = run_step(reference, request);
  for (const int good : {1, 8}) {  // in the run that is patched from, and in the patched one
    good_norms = good;
    FailingSessions sessions(model);
    const auto step = run_step(*sessions.store, request);
    CHECK(step->recipe.kernel_path == sessions.store->ops().description());
    CHECK(sessions.told.size() == 1);
    CHECK(nmse(step->logits, expected->logits) < 1e-9);
  }
  good_norms = 7;
}

TEST_CASE("when the device fails, the run goes on on the CPU where it was", "[device][workbench]") {
  Workbench bench({.threads = 2, .open_device = open_failing});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.settle());
  CHECK(bench.kernel_path() == "far");
  CHECK(bench.device_note().empty());
  Needs needs;
  needs.chain = true;
  bench.set_needs(needs);
  REQUIRE(bench.apply(cmd::SetText{"The box is open"}).ok());
  REQUIRE(bench.settle());
  CHECK_FALSE(bench.error().has_value());
  CHECK(bench.kernel_path().starts_with("cpu"));
  CHECK(bench.status().on_host);
  CHECK(bench.device() == DeviceChoice{Kind::cpu});
  CHECK(bench.device_note().find("fallen off the bus") != std::string::npos);
  REQUIRE(bench.view().step);
  CHECK(bench.view().tokens == bench.document().shown_tokens());
  REQUIRE(bench.view().chain);
  // It fails in the second run of a comparison: neither side is the lost device's.
  good_norms = 2 * bench.model()->config().layer_count() + 1 + 3;
  Workbench edited({.threads = 2, .open_device = open_failing});
  edited.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(edited.settle());
  REQUIRE(edited.apply(cmd::AddEdit{*parse_edit("zero:mlp_out:L1")}).ok());
  REQUIRE(edited.apply(cmd::SetText{"The box is open"}).ok());
  REQUIRE(edited.settle());
  REQUIRE(edited.view().baseline);
  CHECK(edited.view().baseline->recipe.kernel_path == edited.view().step->recipe.kernel_path);
  CHECK(edited.kernel_path().starts_with("cpu"));
  good_norms = 7;
}

int opened = 0;

TEST_CASE("the GPU that is in use is not loaded once more when it is chosen", "[device][workbench]") {
  const auto open = [](const DeviceChoice& choice, const CpuOptions& cpu, const Model& of) -> Result<OpenDevice> {
    if (choice.kind == Kind::cpu) return open_device(choice, cpu, of);
    ++opened;
    return OpenDevice{std::make_shared<FarOps>(), kTwo, "", 1};
  };
  Workbench bench({.threads = 1, .open_device = open});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.settle());
  CHECK(bench.gpu_in_use() == 1);
  for (const DeviceChoice& choice : {DeviceChoice{}, DeviceChoice{Kind::cuda, 1}}) {
    bench.choose_device(choice);
    CHECK_FALSE(bench.loading());
    CHECK(bench.device() == choice);
  }
  CHECK(opened == 1);
  bench.choose_device({Kind::cuda, 0});
  REQUIRE(bench.settle());
  CHECK(opened == 2);
  bench.choose_device({Kind::cpu});
  REQUIRE(bench.settle());
  CHECK(bench.gpu_in_use() == -1);
}

CudaDevices find_two() {
  return kTwo;
}

TEST_CASE("GPUs are looked for when somebody wants to see them, though the CPU was chosen", "[device][workbench]") {
  Workbench bench({.threads = 1, .device = {Kind::cpu}, .find_devices = find_two});
  bench.load_model(golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.settle());
  CHECK(bench.gpus().devices.empty());
  bench.look_for_gpus();
  for (int i = 0; i < 10000 && bench.looking_for_gpus(); ++i) {
    (void)bench.settle();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(bench.gpus().devices.size() == 2);
  bench.look_for_gpus();
  CHECK_FALSE(bench.looking_for_gpus());  // once is enough
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
