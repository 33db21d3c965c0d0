// Runs the built program as a user or a script does, and says what came back.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace glassbox::test {

struct Launch {
  std::vector<std::string> arguments;
  std::optional<std::string> input;                // standard input; absent: nothing
  std::map<std::string, std::string> environment;  // set beside the caller's; GLASSBOX_MODEL is the default model
  std::vector<std::string> without;                // variables that it does not get
  std::string output_path;                         // standard output goes to this file instead
  bool close_output = false;                       // the reader of its output goes away at once
  bool keep_input_open = false;                    // its standard input stays silent and never ends
  std::optional<double> interrupt_after;           // seconds from its first output until Ctrl+C
  std::optional<double> interrupt_after_start;     // the same from its start
};

struct Outcome {
  int code = -1;   // exit code
  int signal = 0;  // that ended it; 0: none
  std::string out, err;
  double seconds = 0;      // from start to end
  double cpu_seconds = 0;  // of the processor; other programs do not change it
};

Outcome run_program(const Launch& launch);
Outcome run_program(const std::vector<std::string>& arguments);
// Runs it with --json, requires success, an output of exactly one document, and parses it.
nlohmann::json run_json(std::vector<std::string> arguments);
nlohmann::json run_json(Launch launch);

// Requires the exit code, nothing on standard output, and each of `words` on standard error.
void require_error(const std::vector<std::string>& arguments, int code, const std::vector<std::string>& words);
void require_error(const Launch& launch, int code, const std::vector<std::string>& words);

// "1,2,3" for --ids
std::string id_list(const nlohmann::json& ids);

// A small random model of tests/golden, "llama" or "gpt2".
std::string tiny_model(const std::string& kind);

// True when the program was built with a sanitizer: it is then several times slower.
bool is_sanitized();

}  // namespace glassbox::test
