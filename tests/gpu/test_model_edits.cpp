// Every kind of edit, at every place that can be edited, on the device against the reference: in a prefill and in
// steps.
#include "kernels/cuda_devices.h"
#include "tests/gpu/step_checks.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using namespace testing;

const std::vector<int32_t> kText = {5, 17, 3, 200, 41, 42, 7, 99, 150, 12, 3, 77};

std::vector<float> numbers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = 0.25f * static_cast<float>(static_cast<int>(i * 7 % 11) - 5);
  return values;
}

// The mean of a head's values over the positions of a step: what a mean ablation puts in their place.
std::vector<float> mean_of(const Step& step, Tap tap, int layer, int head) {
  std::vector<float> mean;
  for (int position = 0; position < step.length(); ++position) {
    const std::span<const float> row = step.page(tap, layer, position)->head(position, head);
    mean.resize(row.size(), 0.0f);
    for (size_t i = 0; i < row.size(); ++i) mean[i] += row[i] / static_cast<float>(step.length());
  }
  return mean;
}

// Edits of all kinds that the tap takes: whole rows, one head, some positions, one dimension.
std::vector<Edit> edits_at(Tap tap, const ModelConfig& config, const Step& clean) {
  std::vector<Edit> edits;
  const int layer = tap_info(tap).scope == TapScope::model ? 0 : 1, heads = tap_heads(tap, config, layer);
  const auto add = [&](EditKind kind) -> Edit& {
    Edit& edit = edits.emplace_back();
    edit.kind = kind;
    edit.tap = tap;
    edit.layer = layer;
    return edit;
  };
  const std::optional<int> last_head = heads > 0 ? std::optional<int>(heads - 1) : std::nullopt;
  Edit& zero = add(EditKind::zero);
  zero.head = last_head;
  zero.position_begin = 2;
  zero.position_end = 9;
  add(EditKind::scale).factor = -0.75f;
  Edit& patch = add(EditKind::patch);
  patch.patch_tokens = {9, 8, 7, 100, 101, 102, 6};
  patch.head = last_head;
  Edit& one = add(EditKind::overwrite);
  one.vector = {0.5f};
  one.position_begin = 11;
  one.position_end = 12;
  if (has_key_axis(tap)) {
    Edit& cut = add(tap == Tap::attn_scores ? EditKind::cut_score : EditKind::cut_weight);
    cut.head = last_head;
    cut.position_begin = 5;
    cut.position_end = 6;
    cut.key = 2;
    Edit& all = add(cut.kind);  // the key is hidden from everybody
    all.key = 1;
    return edits;
  }
  const int64_t width = tap_width(tap, config, layer, 0);
  one.index = static_cast<int>(width - 1);
  Edit& steer = add(EditKind::add);
  steer.vector = numbers(static_cast<size_t>(width));
  steer.head = last_head;
  steer.position_begin = 3;
  Edit& mean = add(EditKind::overwrite);
  mean.vector = mean_of(clean, tap, layer, heads > 0 ? heads - 1 : 0);
  mean.head = last_head;
  if (heads > 0) add(EditKind::add).vector = numbers(static_cast<size_t>(width * heads));
  return edits;
}

TEST_CASE("every kind of edit at every tap is the reference's, on the device", "[model][edits]") {
  const auto model = test::make_small_model(3, 64);
  const ModelConfig& config = model->config();
  SessionStore device(model, make_cuda_ops(0)), reference(model, make_reference_ops());
  device.set_poison(true);
  StepRequest request = all_taps_of(*model, kText, Precision::exact);
  const auto clean = run_step(reference, request);
  int count = 0;
  for (const TapInfo& info : all_taps()) {
    if (!info.editable || !tap_exists(info.tap, config, 1)) continue;
    for (const Edit& edit : edits_at(info.tap, config, *clean)) {
      // Elsewhere one in ten: the emulator finds nothing new in the others.
#ifdef GLASSBOX_CUDA_EMULATED
      if (emulator::build() != emulator::Build::plain && ++count % 10 != 0) continue;
#endif
      INFO(to_json(edit).dump());
      request.edits = {edit};
      request.tokens.assign(kText.begin(), kText.end() - 2);
      (void)run_step(device, request);  // two more tokens by steps
      for (int more = 1; more >= 0; --more) {
        request.tokens.assign(kText.begin(), kText.end() - more);
        const auto found = run_step(device, request), truth = run_step(reference, request);
        CHECK(found->timing.rows == 1);
        CHECK(page_difference(*found, *truth, request.needs, config) < 1e-9);
        CHECK(nmse(found->logits, truth->logits) < 1e-9);
        if (more > 0) continue;
        // It changes something, and what it changed is not in the line without.
        CHECK(truth->logits_hash != clean->logits_hash);
      }
      ++count;
    }
  }
  CHECK(count > 20);
  request.edits = {};
  request.tokens = kText;
  CHECK(page_difference(*run_step(device, request), *clean, request.needs, config) < 1e-9);
}

TEST_CASE("several edits of one run, of different layers, are the reference's on the device", "[model][edits]") {
  const auto model = test::make_small_model(3, 64);
  SessionStore reference(model, make_reference_ops());
  StepRequest request = all_taps_of(*model, kText, Precision::exact);
  for (const char* spec : {"zero:attn_z:L0:H1", "cut_score:attn_scores:L1:H0:8>3", "scale:attn_pattern:L1:H1:0.5",
                           "overwrite:mlp_act:L2:D7:1", "zero:embed:P4", "scale:resid_post:L0:1.5"}) {
    request.edits.push_back(*parse_edit(spec));
  }
  const auto truth = run_step(reference, request);
  under_schedules(
      [&] {
        SessionStore device(model, make_cuda_ops(0));
        device.set_poison(true);
        CHECK(page_difference(*run_step(device, request), *truth, request.needs, model->config()) < 1e-9);
      },
      1);
}

}  // namespace
}  // namespace glassbox
