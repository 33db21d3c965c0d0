// A matrix of values as one texture, with grid, numbers in large cells and rings on chosen ones; and the item under it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "app/theme/theme.h"
#include "app/widgets/figure_cells.h"
#include "app/widgets/textures.h"

namespace glassbox {

struct Heatmap {
  std::string_view key;        // unique in the program; the texture's and the item's name
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
  std::optional<FigureCell> marked;  // a ring on the chosen cell
  std::optional<FigureCell> lit;     // a thin one on that under the pointer
  bool by_keys = false;              // `lit` is the keyboard's cursor, which is seen without looking for it
  ImVec2 min, size;                  // where it lies on the screen

  // The screen's place of a cell: upper left and lower right corner.
  ImVec2 corner(int row, int column) const;
  ImVec2 end(int row, int column) const { return corner(row + 1, column + 1); }
};

struct HeatmapHit {
  std::optional<FigureCell> under;  // the pointer
  bool clicked = false, double_clicked = false;  // clicked: also by Enter or Space
};

// The item, which draws nothing but the keyboard's focus; then what is lit can be decided, then draw_heatmap.
HeatmapHit heatmap_item(const Theme& theme, const Heatmap& heatmap);
void draw_heatmap(const Theme& theme, TextureCache& textures, const Heatmap& heatmap);

}  // namespace glassbox
