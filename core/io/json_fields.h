// Reads the fields of a JSON object strictly: a wrong type, a value out of range or an unknown key is an error that
// names its JSON path. A key that is absent leaves the default. The first error is kept, and the reads after it do
// nothing, so that a reader is a plain list of fields.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/result.h"

namespace glassbox {

// The shortest decimal that reads back as this float: 0.05f is written 0.05 and not 0.05000000074505806.
nlohmann::json json_number(float value);
// 64 bits as "0x" and 16 digits, since readers of JSON in other languages keep only 53.
nlohmann::json json_hash(uint64_t value);

// "runs[0].nodes[3]" + "parent" → "runs[0].nodes[3].parent"
std::string join_path(std::string_view path, std::string_view key);
std::string index_path(std::string_view path, size_t index);

class JsonFields {
 public:
  // `path` of the object itself, "" at the root.
  JsonFields(const nlohmann::json& object, std::string path, ErrorKind kind);

  bool ok() const { return !error_; }
  const std::string& path() const { return path_; }
  std::string path_of(std::string_view key) const { return join_path(path_, key); }

  // Null when absent or after an error. Marks the key as known; each key is asked for once.
  const nlohmann::json* find(std::string_view key);
  void require(std::string_view key);

  void read(std::string_view key, bool& out);
  void read(std::string_view key, std::string& out);  // valid UTF-8
  // Precondition: low and high are values of T.
  template <class T>
  void read_integer(std::string_view key, T& out, int64_t low, int64_t high) {
    int64_t value = 0;
    if (read_int64(key, value, low, high)) out = static_cast<T>(value);
  }
  void read_number(std::string_view key, double& out, double low, double high);
  void read_number(std::string_view key, float& out, double low, double high);
  void read_hash(std::string_view key, uint64_t& out);
  void read_ids(std::string_view key, std::vector<int32_t>& out);  // token ids ≥ 0
  void read_numbers(std::string_view key, std::vector<float>& out);  // finite
  // One of `names`, whose places are the values of the enumeration.
  template <class Enum>
  void read_choice(std::string_view key, Enum& out, std::span<const std::string_view> names) {
    size_t index = 0;
    if (read_name(key, index, names)) out = static_cast<Enum>(index);
  }
  // The object or array at the key; null when absent or wrong.
  const nlohmann::json* find_object(std::string_view key);
  const nlohmann::json* find_array(std::string_view key);

  void fail(std::string_view key, std::string what, std::string expected);
  void fail(Error error);  // of a reader that was called with this key's value; its `where` is complete
  // Unknown keys are errors, and keys that are no UTF-8.
  Result<void> finish();

 private:
  bool read_int64(std::string_view key, int64_t& out, int64_t low, int64_t high);
  bool read_name(std::string_view key, size_t& index, std::span<const std::string_view> names);

  const nlohmann::json& object_;
  std::string path_;
  ErrorKind kind_;
  std::vector<std::string_view> known_;  // keys that were asked for
  size_t found_ = 0;                     // how many of them were there
  std::optional<Error> error_;
};

// A short description of a JSON value for errors: `"text"`, `12`, `a list of 3`.
std::string describe_json(const nlohmann::json& json);

}  // namespace glassbox
