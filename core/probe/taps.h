// The closed list of what can be seen in a forward pass. Every tap fires exactly once for each row, layer and call,
// with the same definition on every path and backend.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/model/config.h"

namespace glassbox {

enum class Tap : uint8_t {
  embed,
  resid_pre,
  attn_norm,
  q,
  k,
  v,
  q_rot,
  k_rot,
  attn_scores,
  attn_pattern,
  attn_pooled,
  attn_focus,
  attn_z,
  head_out,
  attn_out,
  resid_mid,
  mlp_norm,
  mlp_gate,
  mlp_up,
  mlp_act,
  mlp_out,
  resid_post,
  final_norm,
  logits,
};
inline constexpr int kTapCount = 24;

enum class TapScope : uint8_t { model, layer };   // fires once a call, or once a layer
enum class TapCost : uint8_t { store, compute };  // capturing is a store, or needs work of its own

struct TapInfo {
  Tap tap;
  std::string_view name;
  std::string_view axes;  // of one position's row, in the letters of kernels/dims.h: "C", "H D", "H S"
  TapScope scope;
  TapCost cost;
  bool editable;                // edits may run at this site
  std::string_view alias;       // TransformerLens's hook, "{}" stands for the layer; empty when it has none
  std::string_view definition;  // one sentence that leaves no doubt
};

const TapInfo& tap_info(Tap tap);
std::span<const TapInfo> all_taps();
// By our name or by TransformerLens's ("blocks.5.attn.hook_pattern" also sets the layer). Null when unknown.
struct TapName {
  Tap tap;
  std::optional<int> layer;
};
std::optional<TapName> find_tap(std::string_view name);

// True for attn_scores and attn_pattern: a position's row has a key axis that grows with the position.
bool has_key_axis(Tap tap);
// True when the model has this site (mlp_gate is absent in an ungated MLP, q_rot and k_rot are q and k when positions
// are learned, and then they are absent).
bool tap_exists(Tap tap, const ModelConfig& config, int layer);
// Heads (H or G) of the row, 0 where it has no head axis.
int tap_heads(Tap tap, const ModelConfig& config, int layer);
// Values of one head (D, C, S, P or M), or of the whole row where there is no head axis. `keys`: length of the key
// axis.
int64_t tap_width(Tap tap, const ModelConfig& config, int layer, int64_t keys);
// Values in one position's row.
int64_t tap_row_size(Tap tap, const ModelConfig& config, int layer, int64_t keys);

// A request to see something: one tap in some layers, at every position of the step, or at its last one alone.
struct TapNeed {
  Tap tap = Tap::resid_post;
  int layer_begin = 0, layer_end = 1;  // [begin, end); ignored for model scope
  bool last_only = false;
  bool operator==(const TapNeed&) const = default;
  auto operator<=>(const TapNeed&) const = default;
};

// What a panel, or all visible panels together, need of a step.
struct ProbeSpec {
  std::vector<TapNeed> needs;
  void add(Tap tap, int layer_begin, int layer_end);
  void add(Tap tap) { add(tap, 0, 1); }
  void add_last(Tap tap, int layer_begin, int layer_end);
  void add(TapNeed need);
  void merge(const ProbeSpec& other);
  // Refuses what the model does not have: unknown layer, absent site.
  Result<void> check(const ModelConfig& config) const;
};

}  // namespace glassbox
