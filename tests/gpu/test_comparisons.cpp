// Before and after on the device: what differs is what the edits do, and not how the two lines were computed.
#include <catch2/generators/catch_generators.hpp>

#include "core/run/session.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox {
namespace {

Edit edit(const char* text) {
  const Result<Edit> parsed = parse_edit(text);
  REQUIRE(parsed.ok());
  return *parsed;
}

struct Line {
  std::shared_ptr<const Model> model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  SessionStore store{model, make_cuda_ops(0)};
  std::vector<int32_t> tokens;
  Line() {
    for (int32_t i = 0; i < 24; ++i) tokens.push_back(3 + i * 7 % 40);
  }
  StepRequest request(std::vector<Edit> edits, size_t count) const {
    return {{tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(count)}, std::move(edits), Precision::fast, {}};
  }
  Comparison compare(std::vector<Edit> edits, size_t count) {
    const Result<Comparison> both = store.compare(request(std::move(edits), count));
    REQUIRE(both.ok());
    return *both;
  }
};

TEST_CASE("an edit that changes nothing changes no bit of what it is compared with", "[model]") {
  const char* text = GENERATE("add:mlp_out:L1:0", "scale:attn_z:L0:H1:1", "scale:attn_pattern:L1:1", "add:q:L0:0");
  INFO(text);
  Line line;
  // The line as it was typed: a few tokens, then one after the other.
  for (size_t count = 12; count <= line.tokens.size(); ++count) REQUIRE(line.store.run(line.request({}, count)).ok());
  const Comparison both = line.compare({edit(text)}, line.tokens.size());
  CHECK(both.step->logits_hash == both.baseline->logits_hash);
  CHECK(both.step->path == both.baseline->path);
}

TEST_CASE("what is compared is computed alike, whatever the caches hold", "[model]") {
  Line line;
  const std::vector<Edit> edits = {edit("add:mlp_out:L1:0")};
  // The edited line has been computed in two calls, its baseline never.
  REQUIRE(line.store.run(line.request(edits, 14)).ok());
  REQUIRE(line.store.run(line.request(edits, line.tokens.size())).ok());
  const Comparison both = line.compare(edits, line.tokens.size());
  CHECK(both.step->logits_hash == both.baseline->logits_hash);
  // And on, as a text grows.
  line.tokens.push_back(5);
  const Comparison next = line.compare(edits, line.tokens.size());
  CHECK(next.step->logits_hash == next.baseline->logits_hash);
  CHECK(next.step->timing.rows == 1);
  CHECK(next.baseline->timing.rows == 1);
}

TEST_CASE("an edit shows its effect against the baseline", "[model]") {
  Line line;
  const std::vector<Edit> edits = {edit("zero:attn_z:L0:H0")};
  const Comparison on_gpu = line.compare(edits, line.tokens.size());
  SessionStore cpu(line.model, std::shared_ptr<Ops>(make_reference_ops()));
  const Result<Comparison> on_cpu = cpu.compare(line.request(edits, line.tokens.size()));
  REQUIRE(on_cpu.ok());
  CHECK(on_cpu->baseline->recipe.edits.empty());
  std::vector<float> effect(on_gpu.step->logits), truth(on_cpu->step->logits);
  for (size_t i = 0; i < effect.size(); ++i) {
    effect[i] -= on_gpu.baseline->logits[i];
    truth[i] -= on_cpu->baseline->logits[i];
  }
  CHECK(testing::nmse(effect, truth) < 1e-4);
}

}  // namespace
}  // namespace glassbox
