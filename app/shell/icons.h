// The window's own line icons, drawn as vectors so that they are sharp at every scale.
#pragma once

#include "app/theme/theme.h"

namespace glassbox {

enum class Icon : uint8_t {
  tokens, embed, attention, training, tuning, inference, agents, evals,        // the stages
  reset, back, step, play, pause, branch, close, book, copy, check, warning,   // controls
};
// In a square of `size` pixels around `centre`.
void draw_icon(ImDrawList* draw, Icon icon, ImVec2 centre, float size, ImU32 colour, float line);
Icon stage_icon(int stage);  // 1 … 8

// A square button with an icon. `label` names it for tests and the keyboard.
struct IconButtonLook {
  bool enabled = true, primary = false, quiet = false, active = false;
  std::string_view text = {};  // right of the icon
  std::string_view hint = {};
};
float icon_button_width(const Theme& theme, const IconButtonLook& look);
bool icon_button(const Theme& theme, const char* label, Icon icon, const IconButtonLook& look = {});

}  // namespace glassbox
