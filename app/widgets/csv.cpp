// A figure's JSON as comma separated values (RFC 4180).
#include <algorithm>
#include <string>
#include <vector>

#include "app/widgets/panel_frame.h"

namespace glassbox {

namespace {

using Json = nlohmann::json;

std::string field(const Json& value) {
  std::string text = value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : value.dump();
  // The token of the byte 0 would end the text for the clipboard, which counts no lengths: its picture stands for it.
  for (size_t at = 0; (at = text.find('\0', at)) != std::string::npos;) text.replace(at, 1, "␀");
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string line(const Json& row) {
  std::string out;
  for (size_t i = 0; i < row.size(); ++i) out += (i ? "," : "") + field(row[i]);
  return out + "\n";
}

// An array of objects: one column a key, in order of appearance.
std::string object_table(const Json& rows) {
  std::vector<std::string> keys;
  for (const Json& row : rows)
    for (const auto& [key, value] : row.items())
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  Json head = Json::array();
  for (const std::string& key : keys) head.push_back(key);
  std::string out = line(head);
  for (const Json& row : rows) {
    Json cells = Json::array();
    for (const std::string& key : keys) cells.push_back(row.contains(key) ? row[key] : Json());
    out += line(cells);
  }
  return out;
}

// Numbers nested to any depth: the innermost arrays are rows, blocks are parted by empty lines.
std::string number_rows(const Json& array) {
  if (array.empty() || !array.front().is_array()) return line(array);
  std::string out;
  const bool blocks = !array.front().empty() && array.front().front().is_array();
  for (size_t i = 0; i < array.size(); ++i) {
    if (blocks && i) out += "\n";
    out += number_rows(array[i]);
  }
  return out;
}

std::string table(const Json& value) {
  if (value.is_array()) return !value.empty() && value.front().is_object() ? object_table(value) : number_rows(value);
  if (!value.is_object()) return field(value) + "\n";
  // Scalars as "key,value" lines, then every array as a table of its own under its name.
  std::string out;
  for (const auto& [key, item] : value.items())
    if (!item.is_structured()) out += field(key) + "," + field(item) + "\n";
  for (const auto& [key, item] : value.items())
    if (item.is_structured() && !item.empty()) out += (out.empty() ? "" : "\n") + field(key) + "\n" + table(item);
  return out;
}

}  // namespace

std::string to_csv(const Json& figure) { return table(figure); }

}  // namespace glassbox
