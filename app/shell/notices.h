// Messages in the window: errors with their reason and the way out, and short sayings that go away by themselves.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/theme/theme.h"
#include "core/base/result.h"

namespace glassbox {

class Notices {
 public:
  // An error stays until it is dismissed. The same one is not shown twice.
  void report(const Error& error);
  // The error of `source` ("engine", "model") as it stands now; when it is gone, so is its notice. `mild`: it is no
  // error, all goes on.
  void follow(const std::string& source, const std::optional<Error>& error, bool mild = false);
  void say(const std::string& text, double now);
  // At the lower left of the rectangle, above everything else. True when an error was dismissed by the user.
  bool draw(const Theme& theme, ImVec2 min, ImVec2 max, double now);
  bool empty() const { return errors_.empty() && saying_.empty(); }
  // When the saying goes away; 0: there is none.
  double next_change() const { return saying_.empty() ? 0 : saying_until_; }
  size_t error_count() const { return errors_.size(); }

 private:
  struct Item {
    Error error;
    std::string source;  // empty: reported once
    bool mild = false;
  };
  std::vector<Item> errors_;
  std::vector<std::string> dismissed_;  // messages of followed errors that the user has put away
  std::string saying_;
  double saying_until_ = 0;
};

}  // namespace glassbox
