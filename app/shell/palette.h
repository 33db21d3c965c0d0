// The command palette: all actions and commands, found by a few letters.
#pragma once

#include <string>
#include <vector>

#include "app/shell/actions.h"
#include "app/theme/theme.h"

namespace glassbox {

class Palette {
 public:
  void open() { opening_ = true; }
  bool is_open() const { return shown_ || opening_; }
  // In the upper middle of the rectangle.
  void draw(const Theme& theme, const std::vector<Action>& actions, ImVec2 min, ImVec2 max);

 private:
  bool opening_ = false, shown_ = false;
  std::string query_;
  int chosen_ = 0;
};

// How well `query` fits `text`: letters in order, better when they begin words or stand together. 0: not at all.
int match_score(const std::string& query, const std::string& text);

}  // namespace glassbox
