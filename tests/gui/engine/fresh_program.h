// What a fresh run of the command line prints, to compare with what a panel copied.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/support/model_path.h"

namespace glassbox::test {

// The JSON that `glassbox <arguments> --json` prints on the default model; null when it fails, discarded when it is none.
// The same question is asked once only: the program's answer does not change while the tests run.
inline nlohmann::json fresh_json(const std::vector<std::string>& arguments) {
  const auto quoted = [](const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  };
  std::string line = quoted(GLASSBOX_PROGRAM);
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  line += " -m " + quoted(model_path()) + " --json 2>/dev/null";
  static std::map<std::string, nlohmann::json> answers;
  if (const auto known = answers.find(line); known != answers.end()) return known->second;
  std::FILE* pipe = popen(line.c_str(), "r");
  if (!pipe) return nullptr;
  std::string text;
  char buffer[1 << 14];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  if (pclose(pipe) != 0) return nullptr;
  return answers[line] = nlohmann::json::parse(text, nullptr, false);
}

}  // namespace glassbox::test
