// Asking for a file's name: the desktop's own dialog where there is one, else a line to type the path in.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/theme/theme.h"

namespace glassbox {

enum class FileQuestion { open, save };

class FileDialogs {
 public:
  FileDialogs();
  ~FileDialogs();
  // `filters`: pairs of a name and patterns ("Models", "*.gguf"). `answer` is called in a later frame, and not at all
  // when the user cancels.
  void ask(FileQuestion question, const std::string& title, const std::string& start, const std::vector<std::string>& filters,
           std::function<void(const std::string& path)> answer);
  // Once a frame.
  void draw(const Theme& theme, ImVec2 min, ImVec2 max);
  bool waiting() const;  // for the desktop's dialog, which does not wake the window
  // Tests and machines without a desktop: always the typed path.
  void use_typed_paths() { typed_only_ = true; }

 private:
  struct Native;
  std::unique_ptr<Native> native_;
  std::function<void(const std::string&)> answer_;
  std::string title_, path_;
  bool opening_ = false, typed_ = false, typed_only_ = false, saving_ = false;
};

}  // namespace glassbox
