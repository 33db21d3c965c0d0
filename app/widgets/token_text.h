// Tokens as text and as chips, with white space and bytes made visible.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/theme/theme.h"

namespace glassbox {

class Tokenizer;

// Bytes as a reader can see them: space "·", new line "↵", tab "⇥", carriage return "␍", other control characters and bytes that are no whole
// character "‹E8›", and so are characters that no font of the theme has.
std::string visible_text(const Theme& theme, std::string_view bytes);
// The same for a token of the vocabulary; special tokens keep their name.
std::string token_text(const Theme& theme, const Tokenizer& tokenizer, int32_t id);
// Cut to `width` pixels with "…" at a character's border.
std::string fit_text(const TextStyle& style, std::string_view text, float width);

ImVec2 text_size(const TextStyle& style, std::string_view text);
void draw_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text);
// Marks of white space and bytes ("·", "↵", "‹E8›") are drawn in `colour` at half strength.
void draw_visible_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text);
// Text turned about `pos` (its left end, middle of the line), for column titles of a matrix. Degrees, counter-clockwise.
void draw_turned_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text,
                      float degrees);

struct ChipLook {
  ImU32 fill = 0;              // 0: outline only
  ImU32 text = 0;              // 0: the theme's
  ImU32 ring = 0;              // 0: none
  bool dashed = false;         // a prediction
  bool generated = false;      // drawn by the model: a line under it
  bool large = false;          // stage 1
  float alpha = 1;
};
ImVec2 chip_size(const Theme& theme, std::string_view text, bool large = false);
void draw_chip(ImDrawList* draw, const Theme& theme, ImVec2 min, std::string_view text, const ChipLook& look);

struct ChipAnswer {
  bool hovered = false, clicked = false, right_clicked = false, double_clicked = false;
  ImVec2 min, max;
};
// A chip as an item at the cursor. `id` is unique in its window.
ChipAnswer token_chip(const Theme& theme, const char* id, std::string_view text, const ChipLook& look);

}  // namespace glassbox
