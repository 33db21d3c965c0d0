// A matrix of values as one texture, with hover, grid, numbers in large cells and a mark on the chosen one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "app/theme/theme.h"
#include "app/widgets/textures.h"

namespace glassbox {

struct Heatmap {
  std::string_view key;        // unique in the program; the texture's name
  uint64_t version = 0;        // changes when the data changes (the theme's part is added here)
  int rows = 0, columns = 0;
  // Writes the values of a row, from left to right; NaN leaves a cell empty (masked).
  std::function<void(int row, std::span<float> values)> read_row;
  const ColourMap* map = nullptr;
  float low = 0, high = 1;     // t = (value − low) / (high − low)
  bool logarithmic = false;    // t by the logarithm between low > 0 and high
  bool grid = true;            // hairlines, when cells are large enough
  bool numbers = false;        // in cells that have room, for values ≥ numbers_from
  float numbers_from = 0.2f;
  std::function<std::string(float)> number_text;  // default: ".79"
  int marked_row = -1, marked_column = -1;        // ring on the chosen cell
  int hovered_row = -1, hovered_column = -1;      // from elsewhere: a thin ring
  bool keeps_arrows = false;   // while the keyboard stands on the figure, the arrow keys are the caller's
};

struct HeatmapHit {
  int row = -1, column = -1;   // −1: the pointer is not on it
  bool clicked = false, double_clicked = false, right_clicked = false;
  bool focused = false;        // the keyboard stands on the figure
};

// Draws into [min, min + size] and takes the pointer there (an item named `key`).
HeatmapHit draw_heatmap(const Theme& theme, TextureCache& textures, const Heatmap& heatmap, ImVec2 min, ImVec2 size);

}  // namespace glassbox
