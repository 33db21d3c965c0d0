#include "core/model/placed_rows.h"

#include <algorithm>
#include <bit>

namespace glassbox {
namespace {

// What recorded operations depend on grows in steps: in powers of two from these on, and the rows of keys that are
// seen, which are copied to their end, in equal ones.
constexpr unsigned kFewKeys = 256;
constexpr size_t kFewBlocks = 16;
constexpr int kKeyWidthStep = 256;

int rounded_up(int value, int step) {
  return (value + step - 1) / step * step;
}

// What the layer stores where it waits for the pages.
LayerOutputs outputs_of(const Workspace& ws, int layer) {
  const CaptureSlots& slots = ws.captures;
  const auto slot = [&](Tap tap) { return slots.slot(tap, layer); };
  LayerOutputs outputs{.resid_pre = slot(Tap::resid_pre),
                       .attn_norm = slot(Tap::attn_norm),
                       .q = slot(Tap::q),
                       .k = slot(Tap::k),
                       .v = slot(Tap::v),
                       .q_rot = slot(Tap::q_rot),
                       .k_rot = slot(Tap::k_rot),
                       .attn_z = slot(Tap::attn_z),
                       .attn_out = slot(Tap::attn_out),
                       .resid_mid = slot(Tap::resid_mid),
                       .mlp_norm = slot(Tap::mlp_norm),
                       .mlp_gate = slot(Tap::mlp_gate),
                       .mlp_up = slot(Tap::mlp_up),
                       .mlp_act = slot(Tap::mlp_act),
                       .mlp_out = slot(Tap::mlp_out),
                       .resid_post = slot(Tap::resid_post),
                       .scores = slots.key_rows(Tap::attn_scores, layer).data(),
                       .pattern = slots.key_rows(Tap::attn_pattern, layer).data(),
                       .pooled = slot(Tap::attn_pooled),
                       .focus = slot(Tap::attn_focus)};
  // Each head alone is made of it.
  if (outputs.attn_z == nullptr && slot(Tap::head_out) != nullptr) outputs.attn_z = ws.z;
  return outputs;
}

}  // namespace

size_t placed_blocks(const KvSequence& sequence) {
  return std::bit_ceil(std::max(sequence.blocks().size(), kFewBlocks));
}

PlacedRows place_rows(const ForwardCall& call, const ModelConfig& config, Workspace& ws, bool repeated) {
  PlacedRows placed;
  ws.rows.clear();
  ws.logit_rows.clear();
  for (const ForwardRow& row : call.rows) {
    const RowPosition at{row.sequence, row.position};
    ws.rows.push_back(at);
    if (row.logits) ws.logit_rows.push_back(at);
    placed.longest = std::max(placed.longest, row.position + 1);
  }
  const int key_width = repeated ? rounded_up(placed.longest, kKeyWidthStep) : 0;
  if (repeated)
    placed.longest = static_cast<int>(std::bit_ceil(std::max(static_cast<unsigned>(placed.longest), kFewKeys)));
  ws.captures.lay_out(call.plan, config, ws.rows, ws.logit_rows, key_width);

  const size_t count = call.rows.size(), sequences = call.sequences.size();
  bool in_steps = false;  // the attention of some layer
  for (int layer = 0; call.plan != nullptr && layer < config.layer_count(); ++layer) {
    in_steps = in_steps || call.plan->edits_attention(layer);
  }
  size_t bytes = 3 * StepInputs::room<int32_t>(count) + StepInputs::room<RowPosition>(count) +
                 StepInputs::room<std::byte* const*>(sequences) + StepInputs::room<LayerOutputs>(config.layers.size()) +
                 (in_steps ? 2 * StepInputs::room<KeyRow>(count) : 0) +
                 (call.draw != nullptr ? StepInputs::room<DrawRow>(1) : 0);
  // A recording has their address, so they stay where they are whatever comes to be wanted.
  bytes += repeated ? CaptureSlots::most_inputs_room(config.layer_count(), count) : ws.captures.inputs_room();
  for (const KvSequence* sequence : call.sequences) bytes += StepInputs::room<std::byte*>(placed_blocks(*sequence));
  StepInputs& inputs = ws.inputs;
  inputs.begin(bytes);
  const auto ids = inputs.add<int32_t>(count), positions = inputs.add<int32_t>(count);
  const auto rows = inputs.add<RowPosition>(count);
  const auto logit_rows = inputs.add<int32_t>(ws.logit_rows.size());
  size_t next = 0;
  for (size_t r = 0; r < count; ++r) {
    ids[r] = call.rows[r].token;
    positions[r] = call.rows[r].position;
    rows[r] = ws.rows[r];
    if (call.rows[r].logits) logit_rows[next++] = static_cast<int32_t>(r);
  }
  const auto tables = inputs.add<std::byte* const*>(sequences);
  for (size_t i = 0; i < sequences; ++i) {
    const std::span<const KvPool::Block> blocks = call.sequences[i]->blocks();
    const auto table = inputs.add<std::byte*>(placed_blocks(*call.sequences[i]));
    for (size_t b = 0; b < table.size(); ++b) table[b] = b < blocks.size() ? blocks[b].get() : nullptr;
    tables[i] = inputs.placed(static_cast<std::byte* const*>(table.data()));
  }
  placed.ids = inputs.placed(ids);
  placed.positions = inputs.placed(positions);
  placed.logit_rows = inputs.placed(logit_rows);
  placed.rows = inputs.placed(rows);
  placed.sequence_count = static_cast<int>(sequences);
  placed.sequences = inputs.placed(static_cast<std::byte* const* const*>(tables.data()));
  if (in_steps) {
    placed.scores = inputs.add<KeyRow>(count);
    placed.pattern = inputs.add<KeyRow>(count);
  }
  if (call.draw != nullptr) {
    const auto draws = inputs.add<DrawRow>(1);
    draws[0] = call.draw->row;
    placed.draws = inputs.placed(draws);
    placed.ids = {call.draw->token, 1};
  }
  // These before the rows with a key axis, of which there are as many as are wanted.
  if (ws.captures.of_layers()) placed.outputs = inputs.add<LayerOutputs>(config.layers.size());
  ws.captures.describe_keys(inputs);
  for (size_t layer = 0; layer < placed.outputs.size(); ++layer) {
    placed.outputs[layer] = outputs_of(ws, static_cast<int>(layer));
  }
  if (!placed.outputs.empty()) placed.placed_outputs = inputs.placed(placed.outputs).data();
  return placed;
}

}  // namespace glassbox
