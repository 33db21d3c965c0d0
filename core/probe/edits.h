// Edits: what can be changed in a forward pass, as data. They run before captures at their site.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/result.h"
#include "core/probe/taps.h"

namespace glassbox {

enum class EditKind : uint8_t {
  zero,       // x ← 0
  scale,      // x ← factor · x
  add,        // x ← x + vector  (steering)
  overwrite,  // x ← vector (repeated over heads when it has one head's size; one value fills all)
  patch,      // x ← the same site's values of another run, position by position
  cut_score,  // attn_scores only: score of (query, key) ← −∞, before softmax: the rest of the row shares its weight
  cut_weight,  // attn_pattern only: weight of (query, key) ← 0, after softmax: its share is lost
};

struct Edit {
  EditKind kind = EditKind::zero;
  Tap tap = Tap::attn_z;
  int layer = 0;
  std::optional<int> head;                          // absent: all heads (or the site has none)
  std::optional<int> position_begin, position_end;  // [begin, end); absent: all. For cut_*: the query positions
  std::optional<int> key;                           // cut_*: the key position; absent: every key
  std::optional<int> index;                         // one dimension of the (head's) vector; absent: all
  float factor = 1.0f;                              // scale
  std::vector<float> vector;                        // add, overwrite
  // patch: a run of these tokens, without edits, gives the values; its length decides which positions are patched
  std::vector<int32_t> patch_tokens;
  bool enabled = true;

  bool operator==(const Edit&) const = default;
};

// Refuses what cannot be done, with the reason: unknown layer or head, a site that the model lacks or that is not
// editable, a vector of the wrong size, a cut at another tap.
Result<void> check_edit(const Edit& edit, const ModelConfig& config);

// At the same tap and layer, and nothing changes there: x ← 1 · x.
Edit without_effect(const Edit& edit);

// As the Document stores it; see edit_help() for the fields.
nlohmann::json to_json(const Edit& edit);
Result<Edit> edit_from_json(const nlohmann::json& json);
// "zero:attn_z:L14:H3", "scale:mlp_out:L5:0.5", "cut_score:attn_scores:L24:H4:13>1", … or a JSON object.
Result<Edit> parse_edit(const std::string& text);
std::string edit_label(const Edit& edit);  // short, for a chip: "L14·H3 off"
std::string edit_help();

// A hash of the enabled edits, in order; 0 when there is none.
uint64_t hash_edits(const std::vector<Edit>& edits);

}  // namespace glassbox
