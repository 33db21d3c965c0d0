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

float place(const Heatmap& map, float value) {
  if (!map.logarithmic) return (value - map.low) / (map.high - map.low);
  if (!(value > 0)) return std::isnan(value) ? value : 0.0f;
  return std::log(value / map.low) / std::log(map.high / map.low);
}

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

}  // namespace

HeatmapHit draw_heatmap(const Theme& theme, TextureCache& textures, const Heatmap& map, ImVec2 min, ImVec2 size) {
  HeatmapHit hit;
  if (map.rows < 1 || map.columns < 1 || size.x < 1 || size.y < 1) return hit;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const ImVec2 max(min.x + size.x, min.y + size.y);
  std::vector<float> values(static_cast<size_t>(map.columns));  // of one row
  const ImTextureRef texture = textures.get(map.key, full_version(map), map.columns, map.rows, [&](std::span<ImU32> pixels) {
    ImU32* pixel = pixels.data();
    for (int r = 0; r < map.rows; ++r) {
      map.read_row(r, values);
      for (const float value : values) *pixel++ = map.map->at(place(map, value));
    }
  });
  TextureCache::draw_nearest(draw, texture, min, max);

  const float width = size.x / static_cast<float>(map.columns), height = size.y / static_cast<float>(map.rows);
  const auto left = [&](int column) { return std::round(min.x + width * static_cast<float>(column)); };
  const auto top = [&](int row) { return std::round(min.y + height * static_cast<float>(row)); };
  if (map.grid && width >= kSmallestGridCell && height >= kSmallestGridCell) {
    const ImU32 colour = theme.surface;
    const float line = theme.hairline();
    for (int c = 1; c < map.columns; ++c) draw->AddRectFilled({left(c), min.y}, {left(c) + line, max.y}, colour);
    for (int r = 1; r < map.rows; ++r) draw->AddRectFilled({min.x, top(r)}, {max.x, top(r) + line}, colour);
  }
  if (map.numbers && width >= theme.px(22) && height >= theme.px(14)) {
    for (int r = 0; r < map.rows; ++r) {
      map.read_row(r, values);
      for (int c = 0; c < map.columns; ++c) {
        const float value = values[static_cast<size_t>(c)];
        if (!(value >= map.numbers_from)) continue;
        const std::string text = map.number_text ? map.number_text(value) : short_number(value);
        const ImVec2 extent = text_size(theme.mono_small, text);
        if (extent.x > width) continue;
        const ImU32 under = map.map->at(place(map, value));
        const ImU32 ink = contrast(under, rgb(0x0B0D10)) > contrast(under, rgb(0xFFFFFF)) ? rgb(0x0B0D10) : rgb(0xFFFFFF);
        draw_text(draw, theme.mono_small, {left(c) + (width - extent.x) / 2, top(r) + (height - extent.y) / 2}, ink, text);
      }
    }
  }
  const auto ring = [&](int row, int column, ImU32 colour, float line) {
    if (row < 0 || column < 0 || row >= map.rows || column >= map.columns) return;
    draw->AddRect({left(column) - line / 2, top(row) - line / 2},
                  {left(column + 1) + line / 2 + 1, top(row + 1) + line / 2 + 1}, colour, 0, 0, line);
  };
  ring(map.hovered_row, map.hovered_column, with_alpha(theme.ring, 0.6f), theme.hairline());
  ring(map.marked_row, map.marked_column, theme.ring, theme.px(2));

  const ImVec2 cursor = ImGui::GetCursorScreenPos();
  ImGui::SetCursorScreenPos(min);
  const std::string id(map.key);
  hit.clicked = press_area(id.c_str(), size);
  draw_focus(theme, min, max);
  hit.focused = item_focused();
  if (hit.focused && map.keeps_arrows) keep_keys({ImGuiKey_LeftArrow, ImGuiKey_RightArrow, ImGuiKey_UpArrow, ImGuiKey_DownArrow});
  // The keyboard on the figure as a whole points at no cell of it.
  if (ImGui::IsItemHovered(ImGuiHoveredFlags_NoNavOverride)) {
    const ImVec2 mouse = ImGui::GetIO().MousePos;
    hit.column = std::clamp(static_cast<int>((mouse.x - min.x) / width), 0, map.columns - 1);
    hit.row = std::clamp(static_cast<int>((mouse.y - min.y) / height), 0, map.rows - 1);
    hit.double_clicked = ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left);
    hit.right_clicked = ImGui::IsMouseReleased(ImGuiMouseButton_Right);
    ring(hit.row, hit.column, with_alpha(theme.ring, 0.85f), theme.hairline());
  } else {
    hit.clicked = false;
  }
  ImGui::SetCursorScreenPos(cursor);
  return hit;
}

}  // namespace glassbox
