#include "app/widgets/heatmap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "app/widgets/controls.h"
#include "app/widgets/numbers.h"
#include "app/widgets/token_text.h"

namespace glassbox {

namespace {

constexpr float kSmallestGridCell = 9;  // pixels; below, the grid would be most of the picture

// Where a value lies on the colour map.
struct Scale {
  explicit Scale(const Heatmap& map)
      : low(map.low), per_unit(1 / (map.logarithmic ? std::log(map.high / map.low) : map.high - map.low)), logarithmic(map.logarithmic) {}
  float place(float value) const {
    if (!logarithmic) return (value - low) * per_unit;
    if (!(value > 0)) return std::isnan(value) ? value : 0.0f;
    return std::log(value / low) * per_unit;
  }
  // The colours of a row. `values` is used up.
  void paint(const ColourMap& colours, std::span<float> values, ImU32* pixels) const {
    if (!logarithmic) return colours.paint(values, low, per_unit, pixels);
    for (float& value : values) value = place(value);
    colours.paint(values, 0, 1, pixels);
  }
  float low, per_unit;
  bool logarithmic;
};

// The theme, map and limits are part of what the texture shows.
uint64_t full_version(const Heatmap& map) {
  uint64_t hash = map.version * 0x9E3779B97F4A7C15u;
  const auto add = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001B3u; };
  for (const size_t i : {size_t{0}, size_t{64}, size_t{128}, size_t{192}, size_t{255}}) add(map.map->entries[i]);
  add(static_cast<uint64_t>(static_cast<int64_t>(map.low * 1e6f)));
  add(static_cast<uint64_t>(static_cast<int64_t>(map.high * 1e6f)));
  add(map.logarithmic);
  return hash;
}

std::string short_number(float value) {
  if (value >= 0.995f && value <= 1.0f) return "1.00";
  std::string text = format_fixed(value, 2);
  if (text.starts_with("0.")) text.erase(0, 1);
  if (text.starts_with("-0.")) text.erase(1, 1);
  return text;
}

float cell_width(const Heatmap& map) { return map.size.x / static_cast<float>(map.columns); }
float cell_height(const Heatmap& map) { return map.size.y / static_cast<float>(map.rows); }

void draw_grid(ImDrawList* draw, const Theme& theme, const Heatmap& map) {
  if (!map.grid || cell_width(map) < kSmallestGridCell || cell_height(map) < kSmallestGridCell) return;
  const float line = theme.hairline();
  const ImVec2 max = map.corner(map.rows, map.columns);
  for (int c = 1; c < map.columns; ++c) {
    const float x = map.corner(0, c).x;
    draw->AddRectFilled({x, map.min.y}, {x + line, max.y}, theme.surface);
  }
  for (int r = 1; r < map.rows; ++r) {
    const float y = map.corner(r, 0).y;
    draw->AddRectFilled({map.min.x, y}, {max.x, y + line}, theme.surface);
  }
}

void draw_numbers(ImDrawList* draw, const Theme& theme, const Heatmap& map) {
  const float width = cell_width(map), height = cell_height(map);
  if (!map.numbers || width < theme.px(22) || height < theme.px(14)) return;
  const Scale scale(map);
  std::vector<float> values(static_cast<size_t>(map.columns));
  for (int r = 0; r < map.rows; ++r) {
    map.read_row(r, values);
    for (int c = 0; c < map.columns; ++c) {
      const float value = values[static_cast<size_t>(c)];
      if (!(value >= map.numbers_from)) continue;
      const std::string text = map.number_text ? map.number_text(value) : short_number(value);
      const ImVec2 extent = text_size(theme.mono_small, text), corner = map.corner(r, c);
      if (extent.x > width) continue;
      const ImU32 under = map.map->at(scale.place(value));
      const ImU32 ink = contrast(under, rgb(0x0B0D10)) > contrast(under, rgb(0xFFFFFF)) ? rgb(0x0B0D10) : rgb(0xFFFFFF);
      draw_text(draw, theme.mono_small, {corner.x + (width - extent.x) / 2, corner.y + (height - extent.y) / 2}, ink, text);
    }
  }
}

void draw_ring(ImDrawList* draw, const Heatmap& map, std::optional<FigureCell> cell, ImU32 colour, float line) {
  if (!cell || cell->row < 0 || cell->column < 0 || cell->row >= map.rows || cell->column >= map.columns) return;
  const ImVec2 from = map.corner(cell->row, cell->column), to = map.end(cell->row, cell->column);
  draw->AddRect({from.x - line / 2, from.y - line / 2}, {to.x + line / 2 + 1, to.y + line / 2 + 1}, colour, 0, 0, line);
}

bool empty(const Heatmap& map) { return map.rows < 1 || map.columns < 1 || map.size.x < 1 || map.size.y < 1; }

}  // namespace

ImVec2 Heatmap::corner(int row, int column) const {
  return {std::round(min.x + size.x * static_cast<float>(column) / static_cast<float>(columns)),
          std::round(min.y + size.y * static_cast<float>(row) / static_cast<float>(rows))};
}

HeatmapHit heatmap_item(const Theme& theme, const Heatmap& map) {
  HeatmapHit hit;
  if (empty(map)) return hit;
  const ImVec2 cursor = ImGui::GetCursorScreenPos();
  ImGui::SetCursorScreenPos(map.min);
  hit.clicked = press_area(std::string(map.key).c_str(), map.size);
  draw_focus(theme, map.min, {map.min.x + map.size.x, map.min.y + map.size.y});
  ImGui::SetCursorScreenPos(cursor);
  if (!pointer_on_item()) return hit;
  const ImVec2 mouse = ImGui::GetIO().MousePos;
  hit.under = FigureCell{std::clamp(static_cast<int>((mouse.y - map.min.y) / cell_height(map)), 0, map.rows - 1),
                         std::clamp(static_cast<int>((mouse.x - map.min.x) / cell_width(map)), 0, map.columns - 1)};
  hit.double_clicked = ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left);
  return hit;
}

void draw_heatmap(const Theme& theme, TextureCache& textures, const Heatmap& map) {
  if (empty(map)) return;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const ImTextureRef texture = textures.get(map.key, full_version(map), map.columns, map.rows, [&](std::span<ImU32> pixels) {
    std::vector<float> values(static_cast<size_t>(map.columns));  // of one row
    const Scale scale(map);
    ImU32* pixel = pixels.data();
    for (int r = 0; r < map.rows; ++r) {
      map.read_row(r, values);
      scale.paint(*map.map, values, pixel);
      pixel += map.columns;
    }
  });
  TextureCache::draw_nearest(draw, texture, map.min, {map.min.x + map.size.x, map.min.y + map.size.y});
  // The frame shows where the figure ends where its edge has the colour of the ground.
  const float line = theme.hairline();
  draw->AddRect({map.min.x - line, map.min.y - line}, {map.min.x + map.size.x + line, map.min.y + map.size.y + line}, theme.line, 0, 0, line);
  draw_grid(draw, theme, map);
  draw_numbers(draw, theme, map);
  draw_ring(draw, map, map.lit, with_alpha(theme.ring, map.by_keys ? 1.0f : 0.85f), map.by_keys ? theme.px(2) : theme.hairline());
  draw_ring(draw, map, map.marked, theme.ring, theme.px(2));
}

}  // namespace glassbox
