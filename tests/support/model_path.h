// Where the tests find the default model. It is fetched by the set-up; a test that needs it and does not find it fails.
#pragma once

#include <cstdlib>
#include <string>

namespace glassbox::test {

// GLASSBOX_MODEL, or the place in the user's data folder where app/run and tests/run put it.
inline std::string model_path() {
  if (const char* named = std::getenv("GLASSBOX_MODEL"); named != nullptr && *named != '\0') return named;
  std::string data;
  if (const char* xdg = std::getenv("XDG_DATA_HOME"); xdg != nullptr && *xdg != '\0') {
    data = xdg;
  } else {
    const char* home = std::getenv("HOME");
    data = std::string(home != nullptr ? home : "") + "/.local/share";
  }
  return data + "/glassbox/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace glassbox::test
