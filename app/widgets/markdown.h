// Markdown with formulas, for lessons: imgui_rich_md with the window's fonts and colours.
#pragma once

#include <functional>
#include <string>

#include "app/theme/theme.h"

namespace glassbox {

class Markdown {
 public:
  Markdown() = default;
  ~Markdown() { release(); }
  Markdown(const Markdown&) = delete;
  Markdown& operator=(const Markdown&) = delete;

  // At the cursor, as wide as the window's content. Text can be selected; a link calls `on_link`.
  void draw(const Theme& theme, const std::string& text, ImU32 colour = 0);
  std::function<void(const std::string& link)> on_link;
  // Frees fonts and textures; while the renderer is still there.
  void release();

 private:
  void make();
  void* context_ = nullptr;
  Theme theme_{};  // of the text that is being drawn
};

}  // namespace glassbox
