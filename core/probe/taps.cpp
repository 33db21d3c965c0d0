#include "core/probe/taps.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "kernels/pattern_summary.h"

namespace glassbox {
namespace {

constexpr std::array<TapInfo, kTapCount> kTaps = {{
    {Tap::embed, "embed", "C", TapScope::model, TapCost::store, true, "hook_embed",
     "The token's row of the embedding table, times the embedding scale; before learned positions are added."},
    {Tap::resid_pre, "resid_pre", "C", TapScope::layer, TapCost::store, true, "blocks.{}.hook_resid_pre",
     "The residual stream as it enters the layer; at layer 0 the embedding, with learned positions if there are any."},
    {Tap::attn_norm, "attn_norm", "C", TapScope::layer, TapCost::store, true, "",
     "What the attention reads: the norm of resid_pre, with its weight (and bias). TransformerLens's "
     "ln1.hook_normalized "
     "leaves the weight out."},
    {Tap::q, "q", "H D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_q",
     "Queries as projected, with bias, before rotation; dimensions in Hugging Face's order."},
    {Tap::k, "k", "G D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_k",
     "Keys as projected, with bias, before rotation; one for each group of query heads."},
    {Tap::v, "v", "G D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_v",
     "Values as they lie in the cache: projected, with bias, rounded to the cache's type."},
    {Tap::q_rot, "q_rot", "H D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_rot_q",
     "Queries after rotation by position; not yet scaled."},
    {Tap::k_rot, "k_rot", "G D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_rot_k",
     "Keys as they lie in the cache: after rotation, rounded to the cache's type."},
    {Tap::attn_scores, "attn_scores", "H S", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_attn_scores",
     "q_rot · k_rot times the attention scale, soft-capped if the model does so; keys after the query are masked (−∞), "
     "keys outside a window are not yet."},
    {Tap::attn_pattern, "attn_pattern", "H S", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_pattern",
     "Softmax of the masked scores over the keys: each row sums to 1."},
    {Tap::attn_pooled, "attn_pooled", "H P", TapScope::layer, TapCost::compute, false, "",
     "Attn_pattern in at most 64 values a row: each is the greatest weight of w neighbouring keys, w the smallest "
     "power of two with which the row's keys fit; 0 behind the last. Edit attn_pattern to change it."},
    {Tap::attn_focus, "attn_focus", "H M", TapScope::layer, TapCost::compute, false, "",
     "Of each row of attn_pattern: the weight on the token before (0 at the first), the greatest weight, and the "
     "position that has it (the first of equals). Edit attn_pattern to change it."},
    {Tap::attn_z, "attn_z", "H D", TapScope::layer, TapCost::store, true, "blocks.{}.attn.hook_z",
     "Each head's mix of values, before the output projection."},
    {Tap::head_out, "head_out", "H C", TapScope::layer, TapCost::compute, false, "blocks.{}.attn.hook_result",
     "Each head's part of attn_out: attn_z of the head through its columns of W_O, without bias. Edit attn_z to change "
     "it."},
    {Tap::attn_out, "attn_out", "C", TapScope::layer, TapCost::store, true, "blocks.{}.hook_attn_out",
     "What the attention adds to the residual stream: all heads through W_O, with bias."},
    {Tap::resid_mid, "resid_mid", "C", TapScope::layer, TapCost::store, true, "blocks.{}.hook_resid_mid",
     "The residual stream between attention and MLP: resid_pre + attn_out."},
    {Tap::mlp_norm, "mlp_norm", "C", TapScope::layer, TapCost::store, true, "",
     "What the MLP reads: the norm of resid_mid, with its weight (and bias)."},
    {Tap::mlp_gate, "mlp_gate", "F", TapScope::layer, TapCost::store, true, "blocks.{}.mlp.hook_pre",
     "The gate projection before its activation; only in gated MLPs."},
    {Tap::mlp_up, "mlp_up", "F", TapScope::layer, TapCost::store, true, "blocks.{}.mlp.hook_pre_linear",
     "The up projection with bias; before the activation where the MLP has no gate (there TransformerLens calls it "
     "mlp.hook_pre)."},
    {Tap::mlp_act, "mlp_act", "F", TapScope::layer, TapCost::store, true, "blocks.{}.mlp.hook_post",
     "The neurons: activation(gate) ⊙ up, or activation(up) without a gate; what the down projection reads."},
    {Tap::mlp_out, "mlp_out", "C", TapScope::layer, TapCost::store, true, "blocks.{}.hook_mlp_out",
     "What the MLP adds to the residual stream, with bias."},
    {Tap::resid_post, "resid_post", "C", TapScope::layer, TapCost::store, true, "blocks.{}.hook_resid_post",
     "The residual stream as it leaves the layer: resid_mid + mlp_out."},
    {Tap::final_norm, "final_norm", "C", TapScope::model, TapCost::store, true, "",
     "What the head reads: the norm of the last resid_post, with its weight (and bias)."},
    {Tap::logits, "logits", "V", TapScope::model, TapCost::compute, true, "",
     "Final_norm through the head, soft-capped if the model does so. Asked for, the head runs at every position of the "
     "step, not only at the last."},
}};

}  // namespace

const TapInfo& tap_info(Tap tap) {
  return kTaps[static_cast<size_t>(tap)];
}

std::span<const TapInfo> all_taps() {
  return kTaps;
}

std::optional<TapName> find_tap(std::string_view name) {
  for (const TapInfo& info : kTaps) {
    if (name == info.name || (!info.alias.empty() && name == info.alias)) return TapName{info.tap, std::nullopt};
    const size_t brace = info.alias.find("{}");
    if (brace == std::string_view::npos) continue;
    const std::string_view head = info.alias.substr(0, brace), tail = info.alias.substr(brace + 2);
    if (name.size() <= head.size() + tail.size() || !name.starts_with(head) || !name.ends_with(tail)) continue;
    const std::string_view digits = name.substr(head.size(), name.size() - head.size() - tail.size());
    int layer = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
    if (error == std::errc() && end == digits.data() + digits.size() && layer >= 0) return TapName{info.tap, layer};
  }
  return std::nullopt;
}

bool has_key_axis(Tap tap) {
  return tap == Tap::attn_scores || tap == Tap::attn_pattern;
}

bool tap_exists(Tap tap, const ModelConfig& config, int layer) {
  if (tap_info(tap).scope == TapScope::model) return layer == 0;
  if (layer < 0 || layer >= config.layer_count()) return false;
  const LayerConfig& variations = config.layers[static_cast<size_t>(layer)];
  if (tap == Tap::mlp_gate) return variations.gated;
  if (tap == Tap::q_rot || tap == Tap::k_rot) return variations.rope;
  return true;
}

int tap_heads(Tap tap, const ModelConfig& config, int layer) {
  const std::string_view axes = tap_info(tap).axes;
  if (axes.size() != 3) return 0;
  const LayerConfig& variations = config.layers[static_cast<size_t>(layer)];
  return axes[0] == 'H' ? variations.heads : variations.kv_heads;
}

int64_t tap_width(Tap tap, const ModelConfig& config, int layer, int64_t keys) {
  switch (tap_info(tap).axes.back()) {
    case 'C':
      return config.width;
    case 'V':
      return config.vocab;
    case 'D':
      return config.layers[static_cast<size_t>(layer)].head_dim;
    case 'F':
      return config.layers[static_cast<size_t>(layer)].ff;
    case 'P':
      return kPooledKeys;
    case 'M':
      return kFocusMeasures;
    default:
      return keys;
  }
}

int64_t tap_row_size(Tap tap, const ModelConfig& config, int layer, int64_t keys) {
  return std::max(tap_heads(tap, config, layer), 1) * tap_width(tap, config, layer, keys);
}

void ProbeSpec::add(Tap tap, int layer_begin, int layer_end) {
  add({tap, layer_begin, layer_end});
}

void ProbeSpec::add_last(Tap tap, int layer_begin, int layer_end) {
  add({tap, layer_begin, layer_end, true});
}

void ProbeSpec::add(TapNeed need) {
  if (tap_info(need.tap).scope == TapScope::model) need.layer_begin = 0, need.layer_end = 1;
  if (std::find(needs.begin(), needs.end(), need) == needs.end()) needs.push_back(need);
}

void ProbeSpec::merge(const ProbeSpec& other) {
  for (const TapNeed& need : other.needs) add(need);
}

Result<void> ProbeSpec::check(const ModelConfig& config) const {
  for (const TapNeed& need : needs) {
    const TapInfo& info = tap_info(need.tap);
    if (info.scope == TapScope::model) continue;
    if (need.layer_begin < 0 || need.layer_begin >= need.layer_end || need.layer_end > config.layer_count()) {
      return Error{ErrorKind::usage, "There is no such layer.",
                   std::string(info.name) + ", layers " + std::to_string(need.layer_begin) + " to " +
                       std::to_string(need.layer_end - 1),
                   "layers 0 to " + std::to_string(config.layer_count() - 1), ""};
    }
    for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
      if (!tap_exists(need.tap, config, layer)) {
        return Error{ErrorKind::usage, "This model does not have the tap " + std::string(info.name) + ".",
                     "layer " + std::to_string(layer), std::string(info.definition), "`glassbox inspect --tap list`"};
      }
    }
  }
  return {};
}

}  // namespace glassbox
