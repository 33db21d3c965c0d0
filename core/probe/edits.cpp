#include "core/probe/edits.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/io/json_fields.h"
#include "kernels/hash.h"

namespace glassbox {
namespace {

// In the order of EditKind.
constexpr std::array<std::string_view, 7> kKindNames = {"zero",  "scale",     "add",       "overwrite",
                                                        "patch", "cut_score", "cut_weight"};

std::string_view kind_name(EditKind kind) {
  return kKindNames[static_cast<size_t>(kind)];
}

Error refuse(std::string what, std::string where, std::string expected) {
  return {ErrorKind::usage, std::move(what), std::move(where), std::move(expected), "`glassbox inspect --edit help`"};
}

std::optional<int> parse_int(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<float> parse_float(std::string_view text) {
  float value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

Result<void> check_edit(const Edit& edit, const ModelConfig& config) {
  const TapInfo& info = tap_info(edit.tap);
  const std::string where = edit_label(edit);
  if (!info.editable) {
    return refuse("The tap " + std::string(info.name) + " can be seen but not edited.", where,
                  std::string(info.definition));
  }
  const int layer = info.scope == TapScope::model ? 0 : edit.layer;
  if (layer < 0 || layer >= config.layer_count()) {
    return refuse("There is no layer " + std::to_string(edit.layer) + ".", where,
                  "0 to " + std::to_string(config.layer_count() - 1));
  }
  if (!tap_exists(edit.tap, config, layer)) {
    return refuse("This model does not have the tap " + std::string(info.name) + ".", where,
                  std::string(info.definition));
  }
  const int heads = tap_heads(edit.tap, config, layer);
  if (edit.head && (*edit.head < 0 || *edit.head >= heads)) {
    return refuse("There is no head " + std::to_string(*edit.head) + " at " + std::string(info.name) + ".", where,
                  heads == 0 ? "no head: this tap has none" : "0 to " + std::to_string(heads - 1));
  }
  const bool cut = edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight;
  if (cut) {
    const Tap needed = edit.kind == EditKind::cut_score ? Tap::attn_scores : Tap::attn_pattern;
    if (edit.tap != needed) {
      return refuse("This cut belongs to another tap.", where, std::string(tap_info(needed).name));
    }
    if (edit.key && *edit.key < 0) return refuse("A key position is negative.", where, "0 or more");
    return {};
  }
  if (edit.position_begin && *edit.position_begin < 0) return refuse("A position is negative.", where, "0 or more");
  const int64_t width = tap_width(edit.tap, config, layer, config.context);
  if (edit.index && (*edit.index < 0 || *edit.index >= width)) {
    return refuse("There is no dimension " + std::to_string(*edit.index) + ".", where,
                  "0 to " + std::to_string(width - 1));
  }
  if (edit.kind == EditKind::scale && !std::isfinite(edit.factor)) {
    return refuse("The factor of a scale is not a finite number.", where, "a number");
  }
  if (edit.kind == EditKind::add || edit.kind == EditKind::overwrite) {
    const int64_t size = static_cast<int64_t>(edit.vector.size());
    const bool fits = size == 1 || (!has_key_axis(edit.tap) && (size == width || (heads > 0 && size == width * heads)));
    if (!fits) {
      return refuse("The vector of the edit has " + std::to_string(size) + " values.", where,
                    has_key_axis(edit.tap)
                        ? "1 value"
                        : "1, or " + std::to_string(width) +
                              (heads > 0 ? ", or " + std::to_string(width * heads) + " values" : " values"));
    }
    for (const float value : edit.vector) {
      if (!std::isfinite(value))
        return refuse("The vector of the edit holds a value that is not finite.", where, "numbers");
    }
  }
  if (edit.kind == EditKind::patch) {
    if (edit.patch_tokens.empty())
      return refuse("A patch needs the tokens of the run that it takes values from.", where, "patch_tokens");
    if (static_cast<int>(edit.patch_tokens.size()) > config.context) {
      return refuse("The run that a patch takes values from is longer than the model's context.", where,
                    "at most " + std::to_string(config.context) + " tokens");
    }
    for (const int32_t token : edit.patch_tokens) {
      if (token < 0 || token >= config.vocab) {
        return refuse("The run that a patch takes values from holds a token id that the model does not have.", where,
                      "0 to " + std::to_string(config.vocab - 1));
      }
    }
  }
  return {};
}

Edit without_effect(const Edit& edit) {
  Edit neutral;
  neutral.kind = EditKind::scale;
  neutral.tap = edit.tap;
  neutral.layer = edit.layer;
  return neutral;
}

nlohmann::json to_json(const Edit& edit) {
  nlohmann::json json = {{"kind", kind_name(edit.kind)}, {"tap", tap_info(edit.tap).name}, {"layer", edit.layer}};
  if (edit.head) json["head"] = *edit.head;
  if (edit.position_begin) json["position_begin"] = *edit.position_begin;
  if (edit.position_end) json["position_end"] = *edit.position_end;
  if (edit.key) json["key"] = *edit.key;
  if (edit.index) json["index"] = *edit.index;
  if (edit.kind == EditKind::scale) json["factor"] = json_number(edit.factor);
  for (const float value : edit.vector) json["vector"].push_back(json_number(value));
  if (!edit.patch_tokens.empty()) json["patch_tokens"] = edit.patch_tokens;
  if (!edit.enabled) json["enabled"] = false;
  return json;
}

Result<Edit> edit_from_json(const nlohmann::json& json) {
  constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());
  JsonFields fields(json, "", ErrorKind::usage);
  Edit edit;
  fields.require("kind");
  fields.read_choice("kind", edit.kind, kKindNames);
  fields.require("tap");
  std::string tap;
  fields.read("tap", tap);
  const std::optional<TapName> name = find_tap(tap);
  if (fields.ok() && !name)
    fields.fail("tap", "there is no tap " + describe_json(tap), "`glassbox inspect --tap list`");
  const auto read_int = [&](const char* key, int& out) {
    fields.read_integer(key, out, std::numeric_limits<int>::min(), std::numeric_limits<int>::max());
  };
  const auto read_optional = [&](const char* key, std::optional<int>& out) {
    int value = 0;
    read_int(key, value);
    if (fields.ok() && json.contains(key)) out = value;
  };
  read_int("layer", edit.layer);
  read_optional("head", edit.head);
  read_optional("position_begin", edit.position_begin);
  read_optional("position_end", edit.position_end);
  read_optional("key", edit.key);
  read_optional("index", edit.index);
  fields.read_number("factor", edit.factor, -kLargest, kLargest);
  fields.read_numbers("vector", edit.vector);
  fields.read_ids("patch_tokens", edit.patch_tokens);
  fields.read("enabled", edit.enabled);
  if (Result<void> read = fields.finish(); !read) {
    Error error = read.error();
    error.what = "An edit cannot be read: " + error.what + ".";
    if (error.remedy.empty()) error.remedy = "`glassbox inspect --edit help`";
    return error;
  }
  edit.tap = name->tap;
  if (name->layer) edit.layer = *name->layer;
  return edit;
}

Result<Edit> parse_edit(const std::string& text) {
  if (!text.empty() && text.front() == '{') {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return refuse("The edit is no valid JSON.", text.substr(0, 80), "a JSON object");
    return edit_from_json(json);
  }
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() < 2)
    return refuse("An edit's short form has at least a kind and a tap.", text, "zero:attn_z:L14:H3");
  nlohmann::json json = {{"kind", parts[0]}, {"tap", parts[1]}};
  for (size_t i = 2; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    const std::optional<int> number = part.empty() ? std::nullopt : parse_int(part.substr(1));
    const size_t arrow = part.find('>');
    if (part.starts_with('L') && number) {
      json["layer"] = *number;
    } else if (part.starts_with('H') && number) {
      json["head"] = *number;
    } else if (part.starts_with('P') && part.find("..") == std::string_view::npos && number) {
      json["position_begin"] = *number;
      json["position_end"] = *number + 1;
    } else if (part.starts_with('P')) {
      const size_t dots = part.find("..");
      const std::optional<int> begin = parse_int(part.substr(1, dots - 1)), end = parse_int(part.substr(dots + 2));
      if (!begin || !end)
        return refuse("A range of positions is not understood.", std::string(part), "P3..7 (7 not included)");
      json["position_begin"] = *begin;
      json["position_end"] = *end;
    } else if (part.starts_with('D') && number) {
      json["index"] = *number;
    } else if (arrow != std::string_view::npos) {
      const std::optional<int> query = parse_int(part.substr(0, arrow)), key = parse_int(part.substr(arrow + 1));
      if (!query || !key) return refuse("An attention edge is not understood.", std::string(part), "13>1 (query>key)");
      json["position_begin"] = *query;
      json["position_end"] = *query + 1;
      json["key"] = *key;
    } else if (const std::optional<float> value = parse_float(part)) {
      if (parts[0] == "scale") {
        json["factor"] = *value;
      } else {
        json["vector"] = {*value};
      }
    } else {
      return refuse("A part of an edit's short form is not understood.", std::string(part),
                    "L14, H3, P5, P3..7, D12, 13>1 or a number");
    }
  }
  return edit_from_json(json);
}

std::string edit_label(const Edit& edit) {
  std::string where = tap_info(edit.tap).scope == TapScope::model ? "" : "L" + std::to_string(edit.layer);
  if (edit.head) where += "·H" + std::to_string(*edit.head);
  const std::string tap(tap_info(edit.tap).name);
  if (edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight) {
    const std::string query = edit.position_begin ? std::to_string(*edit.position_begin) : "all";
    const std::string key = edit.key ? std::to_string(*edit.key) : "all";
    return where + " " + query + ">" + key + (edit.kind == EditKind::cut_score ? " cut" : " weight 0");
  }
  if (edit.position_begin) {
    where += " @" + std::to_string(*edit.position_begin);
    if (edit.position_end && *edit.position_end != *edit.position_begin + 1)
      where += "–" + std::to_string(*edit.position_end - 1);
  }
  if (edit.index) where += " d" + std::to_string(*edit.index);
  if (edit.kind == EditKind::zero && edit.tap == Tap::attn_z && edit.head && !edit.index) return where + " off";
  if (edit.kind == EditKind::scale) {
    std::array<char, 32> number{};
    const auto result = std::to_chars(number.data(), number.data() + number.size(), edit.factor);
    return where + " " + tap + " ×" + std::string(number.data(), result.ptr);
  }
  return where + " " + tap + " " + std::string(kind_name(edit.kind));
}

std::string edit_help() {
  return "An edit changes the forward pass at one tap, before anything is captured there.\n"
         "\n"
         "Short form: kind:tap[:L<layer>][:H<head>][:P<position> or P<begin>..<end>][:D<dimension>][:<number>]\n"
         "  zero:attn_z:L14:H3            switch head 3 of layer 14 off\n"
         "  scale:mlp_out:L5:0.5          halve what an MLP adds\n"
         "  overwrite:attn_norm:L0:D7:1   set one dimension to 1\n"
         "  cut_score:attn_scores:L24:H4:13>1   query 13 may not look at key 1; the row shares the weight\n"
         "  cut_weight:attn_pattern:L24:H4:13>1 the same edge after softmax; its weight is lost\n"
         "\n"
         "As JSON, the way documents store it:\n"
         "  {\"kind\": \"zero|scale|add|overwrite|patch|cut_score|cut_weight\", \"tap\": NAME, \"layer\": n,\n"
         "   \"head\": n, \"position_begin\": n, \"position_end\": n, \"key\": n, \"index\": n,\n"
         "   \"factor\": x, \"vector\": [x, …], \"patch_tokens\": [id, …], \"enabled\": true}\n"
         "A field that is left out means all: all heads, all positions, all keys, all dimensions. `vector` holds one "
         "value,\n"
         "one head's values or a whole row. `patch` takes the values of a run over `patch_tokens`, position by "
         "position.\n"
         "Taps: `glassbox inspect --tap list`.\n";
}

uint64_t hash_edits(const std::vector<Edit>& edits) {
  // Over the stored form: edits are few, and their JSON is already what makes two of them equal.
  uint64_t hash = 0;
  for (const Edit& edit : edits) {
    if (!edit.enabled) continue;
    if (hash == 0) hash = kHashStart;
    for (const char c : to_json(edit).dump() + "\n") hash = join_hashes(hash, static_cast<uint8_t>(c));
  }
  return hash;
}

}  // namespace glassbox
