// How a verb declares its options. CLI11 stands behind it: its templates cost ten seconds in each file that includes
// them, so only option_list.cpp and cli.cpp do.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace glassbox {

// Both ends belong to it.
template <typename T>
struct OptionRange {
  T min, max;
};

// What an option is known by: its names ("-p,--prompt"; without dashes it is a positional argument), what stands for
// its value in the help ("FILE"), and the help itself.
struct OptionNames {
  const char* names;
  const char* value;
  const char* help;
};

// The options of `app`. Values are written into the variables, which must live until the command line has been read; a
// variable keeps what it holds when its option is not given. Of an option given twice the last value counts.
class OptionList {
 public:
  explicit OptionList(CLI::App& app) : app_(app) {}

  void flag(const char* names, const char* help, bool& value);

  void text(const OptionNames& option, std::string& value);
  void text(const OptionNames& option, std::optional<std::string>& value);

  // One of `choices`.
  void choice(const OptionNames& option, std::string& value, std::initializer_list<const char*> choices);
  void choice(const OptionNames& option, std::optional<std::string>& value, std::initializer_list<const char*> choices);

  void integer(const OptionNames& option, int& value);
  void integer(const OptionNames& option, std::optional<int>& value);
  void integer(const OptionNames& option, int& value, OptionRange<int> range);
  void integer(const OptionNames& option, std::optional<int>& value, OptionRange<int> range);
  void integer(const OptionNames& option, uint64_t& value, OptionRange<uint64_t> range);

  void number(const OptionNames& option, float& value);
  void number(const OptionNames& option, float& value, OptionRange<float> range);
  void number(const OptionNames& option, std::optional<float>& value, OptionRange<float> range);

  // Every value that the option is given, each time; cut at `delimiter` where there is one.
  void texts(const OptionNames& option, std::vector<std::string>& values, std::optional<char> delimiter = std::nullopt);

  // To give both is an error. Both must have been declared.
  void exclude(const char* name, const char* other);
  // What follows the options in the help.
  void footer(const char* text);

 private:
  CLI::App& app_;
};

}  // namespace glassbox
