#include "core/io/json_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/text/unicode.h"

namespace glassbox {

namespace {

constexpr size_t kShownBytes = 40;  // of a wrong string in an error

std::string show(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

}  // namespace

nlohmann::json json_number(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double shortest = value;
  std::from_chars(text, end, shortest);
  return shortest;
}

nlohmann::json json_hash(uint64_t value) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[value >> shift & 15];
  return text;
}

std::string join_path(std::string_view path, std::string_view key) {
  std::string joined(path);
  if (!joined.empty()) joined += '.';
  return joined.append(key);
}

std::string index_path(std::string_view path, size_t index) {
  return std::string(path) + "[" + std::to_string(index) + "]";
}

std::string describe_json(const nlohmann::json& json) {
  switch (json.type()) {
    case nlohmann::json::value_t::null:
      return "null";
    case nlohmann::json::value_t::boolean:
      return json.get<bool>() ? "true" : "false";
    case nlohmann::json::value_t::object:
      return "an object";
    case nlohmann::json::value_t::array:
      return "a list of " + std::to_string(json.size());
    case nlohmann::json::value_t::string: {
      const std::string& text = json.get_ref<const std::string&>();
      if (text.size() <= kShownBytes) return '"' + replace_invalid_utf8(text) + '"';
      return '"' + replace_invalid_utf8(text.substr(0, complete_utf8_prefix(text.substr(0, kShownBytes)))) + "…\"";
    }
    case nlohmann::json::value_t::number_integer:
      return std::to_string(json.get<int64_t>());
    case nlohmann::json::value_t::number_unsigned:
      return std::to_string(json.get<uint64_t>());
    case nlohmann::json::value_t::number_float:
      return show(json.get<double>());
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded:
      break;
  }
  return "no JSON value";
}

JsonFields::JsonFields(const nlohmann::json& object, std::string path, ErrorKind kind)
    : object_(object), path_(std::move(path)), kind_(kind) {
  if (!object_.is_object()) error_ = Error{kind_, "found " + describe_json(object_), path_, "an object", ""};
}

const nlohmann::json* JsonFields::find(std::string_view key) {
  if (error_) return nullptr;
  known_.push_back(key);
  const auto at = object_.find(std::string(key));
  if (at == object_.end()) return nullptr;
  ++found_;
  return &*at;
}

void JsonFields::require(std::string_view key) {
  if (error_ || object_.contains(std::string(key))) return;
  error_ = Error{kind_, "the key is missing", path_of(key), "the key \"" + std::string(key) + "\"", ""};
}

void JsonFields::fail(std::string_view key, std::string what, std::string expected) {
  if (!error_) error_ = Error{kind_, std::move(what), path_of(key), std::move(expected), ""};
}

void JsonFields::fail(Error error) {
  if (error_) return;
  error.kind = kind_;
  error_ = std::move(error);
}

void JsonFields::read(std::string_view key, bool& out) {
  const nlohmann::json* value = find(key);
  if (!value) return;
  if (!value->is_boolean()) return fail(key, "found " + describe_json(*value), "true or false");
  out = value->get<bool>();
}

void JsonFields::read(std::string_view key, std::string& out) {
  const nlohmann::json* value = find(key);
  if (!value) return;
  if (!value->is_string()) return fail(key, "found " + describe_json(*value), "a string");
  const std::string& text = value->get_ref<const std::string&>();
  const size_t invalid = find_invalid_utf8(text);
  if (invalid != text.size()) {
    return fail(key, "the byte at " + std::to_string(invalid) + " of the string is no UTF-8", "valid UTF-8");
  }
  out = text;
}

bool JsonFields::read_int64(std::string_view key, int64_t& out, int64_t low, int64_t high) {
  const nlohmann::json* value = find(key);
  if (!value) return false;
  const bool too_big = value->is_number_unsigned() &&
                       value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (!value->is_number_integer() || too_big || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    fail(key, "found " + describe_json(*value),
         "an integer from " + std::to_string(low) + " to " + std::to_string(high));
    return false;
  }
  out = value->get<int64_t>();
  return true;
}

void JsonFields::read_number(std::string_view key, double& out, double low, double high) {
  const nlohmann::json* value = find(key);
  if (!value) return;
  // Written so that NaN, which a program may put into a json value, fails too.
  if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high)) {
    return fail(key, "found " + describe_json(*value), "a number from " + show(low) + " to " + show(high));
  }
  out = value->get<double>();
}

void JsonFields::read_number(std::string_view key, float& out, double low, double high) {
  double value = out;
  read_number(key, value, low, high);
  if (!error_) out = static_cast<float>(value);
}

void JsonFields::read_hash(std::string_view key, uint64_t& out) {
  const nlohmann::json* value = find(key);
  if (!value) return;
  const std::string* text = value->get_ptr<const std::string*>();
  uint64_t hash = 0;
  const bool prefixed = text && text->size() == 18 && text->starts_with("0x");
  if (prefixed) {
    const char* end = text->data() + text->size();
    const auto [rest, code] = std::from_chars(text->data() + 2, end, hash, 16);
    if (code == std::errc() && rest == end) {
      out = hash;
      return;
    }
  }
  fail(key, "found " + describe_json(*value), "a string of 0x and 16 hexadecimal digits");
}

void JsonFields::read_ids(std::string_view key, std::vector<int32_t>& out) {
  const nlohmann::json* list = find_array(key);
  if (!list) return;
  std::vector<int32_t> ids;
  ids.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    const nlohmann::json& item = (*list)[i];
    const bool fits = item.is_number_unsigned()
                          ? item.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int32_t>::max())
                          : item.is_number_integer() && item.get<int64_t>() >= 0 &&
                                item.get<int64_t>() <= std::numeric_limits<int32_t>::max();
    if (!fits) return fail(index_path(key, i), "found " + describe_json(item), "a token id, an integer ≥ 0");
    ids.push_back(item.get<int32_t>());
  }
  out = std::move(ids);
}

void JsonFields::read_numbers(std::string_view key, std::vector<float>& out) {
  const nlohmann::json* list = find_array(key);
  if (!list) return;
  std::vector<float> numbers;
  numbers.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    const nlohmann::json& item = (*list)[i];
    constexpr double kLargest = static_cast<double>(std::numeric_limits<float>::max());
    if (!item.is_number() || !(std::fabs(item.get<double>()) <= kLargest)) {
      return fail(index_path(key, i), "found " + describe_json(item), "a number within the range of float");
    }
    numbers.push_back(item.get<float>());
  }
  out = std::move(numbers);
}

bool JsonFields::read_name(std::string_view key, size_t& index, std::span<const std::string_view> names) {
  const nlohmann::json* value = find(key);
  if (!value) return false;
  if (const std::string* text = value->get_ptr<const std::string*>()) {
    const auto at = std::find(names.begin(), names.end(), *text);
    if (at != names.end()) {
      index = static_cast<size_t>(at - names.begin());
      return true;
    }
  }
  std::string expected = "one of";
  for (const std::string_view name : names) expected.append(" \"").append(name).append("\"");
  fail(key, "found " + describe_json(*value), expected);
  return false;
}

const nlohmann::json* JsonFields::find_object(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (!value || value->is_object()) return value;
  fail(key, "found " + describe_json(*value), "an object");
  return nullptr;
}

const nlohmann::json* JsonFields::find_array(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (!value || value->is_array()) return value;
  fail(key, "found " + describe_json(*value), "a list");
  return nullptr;
}

Result<void> JsonFields::finish() {
  if (error_) return *error_;
  for (const auto& item : object_.items()) {
    if (find_invalid_utf8(item.key()) == item.key().size()) continue;
    return Error{kind_, "a key is no UTF-8", path_of(replace_invalid_utf8(item.key())), "valid UTF-8", ""};
  }
  if (found_ == object_.size()) return {};
  for (const auto& item : object_.items()) {
    if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) continue;
    std::string expected = "one of";
    for (const std::string_view key : known_) expected.append(" \"").append(key).append("\"");
    return Error{kind_, "the key is unknown", path_of(item.key()), expected, ""};
  }
  return {};
}

}  // namespace glassbox
