#include "app/cli/option_list.h"

#include <CLI/CLI.hpp>

namespace glassbox {
namespace {

template <typename T>
CLI::Option& add(CLI::App& app, const OptionNames& option, T& value) {
  return *app.add_option(option.names, value, option.help)->type_name(option.value);
}

// By a function: CLI11 itself would take an empty value, as in --prompt "", for one that is absent.
template <typename T>
CLI::Option& add(CLI::App& app, const OptionNames& option, std::optional<T>& value) {
  const auto store = [&value](const T& given) { value = given; };
  return *app.add_option_function<T>(option.names, store, option.help)->type_name(option.value);
}

template <typename T>
CLI::Range check(OptionRange<T> range) {
  return {range.min, range.max};
}

CLI::IsMember check(std::initializer_list<const char*> choices) {
  return CLI::IsMember(std::vector<std::string>(choices.begin(), choices.end()));
}

}  // namespace

void OptionList::flag(const char* names, const char* help, bool& value) {
  app_.add_flag(names, value, help);
}

void OptionList::text(const OptionNames& option, std::string& value) {
  add(app_, option, value);
}
void OptionList::text(const OptionNames& option, std::optional<std::string>& value) {
  add(app_, option, value);
}

void OptionList::choice(const OptionNames& option, std::string& value, std::initializer_list<const char*> choices) {
  add(app_, option, value).check(check(choices));
}
void OptionList::choice(const OptionNames& option, std::optional<std::string>& value,
                        std::initializer_list<const char*> choices) {
  add(app_, option, value).check(check(choices));
}

void OptionList::integer(const OptionNames& option, int& value) {
  add(app_, option, value);
}
void OptionList::integer(const OptionNames& option, std::optional<int>& value) {
  add(app_, option, value);
}
void OptionList::integer(const OptionNames& option, int& value, OptionRange<int> range) {
  add(app_, option, value).check(check(range));
}
void OptionList::integer(const OptionNames& option, std::optional<int>& value, OptionRange<int> range) {
  add(app_, option, value).check(check(range));
}
void OptionList::integer(const OptionNames& option, uint64_t& value, OptionRange<uint64_t> range) {
  add(app_, option, value).check(check(range));
}

void OptionList::number(const OptionNames& option, float& value) {
  add(app_, option, value);
}
void OptionList::number(const OptionNames& option, float& value, OptionRange<float> range) {
  add(app_, option, value).check(check(range));
}
void OptionList::number(const OptionNames& option, std::optional<float>& value, OptionRange<float> range) {
  add(app_, option, value).check(check(range));
}

void OptionList::texts(const OptionNames& option, std::vector<std::string>& values, std::optional<char> delimiter) {
  // Without allow_extra_args(false) the option would swallow the words that follow its value.
  CLI::Option& added = add(app_, option, values);
  added.multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  if (delimiter) added.delimiter(*delimiter);
}

void OptionList::exclude(const char* name, const char* other) {
  app_.get_option(name)->excludes(app_.get_option(other));
}

void OptionList::footer(const char* text) {
  app_.footer(text);
}

}  // namespace glassbox
