#include "app/widgets/figure_cells.h"

#include <algorithm>

#include "app/widgets/controls.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

constexpr int kLeap = 10;  // cells, with Shift; as sliders have it

// One step along the row, into the next or the last one where the figure is a folded list.
void step_along(FigureCell& cell, const CellGrid& grid, int by) {
  cell.column += by;
  if (!grid.wraps) return;
  while (cell.column < 0 && cell.row > 0) cell.column += grid.columns(--cell.row);
  while (cell.row + 1 < grid.rows && cell.column >= grid.columns(cell.row)) cell.column -= grid.columns(cell.row++);
}

FigureCell inside(FigureCell cell, const CellGrid& grid) {
  cell.row = std::clamp(cell.row, 0, grid.rows - 1);
  cell.column = std::clamp(cell.column, 0, std::max(0, grid.columns(cell.row) - 1));
  return cell;
}

// The keyboard was used after the pointer, and stands on the last item.
bool keys_on_item() { return item_focused() && ImGui::GetCurrentContext()->NavHighlightItemUnderNav; }

// A cell in the storage of the window, by the item's own name.
struct Kept {
  ImGuiStorage* storage = ImGui::GetStateStorage();
  ImGuiID row, column;
  Kept(ImGuiID item, const char* what) : row(ImHashStr(what, 0, item)), column(ImHashStr("column", 0, row)) {}
  FigureCell get() const { return {storage->GetInt(row), storage->GetInt(column)}; }
  void set(FigureCell cell) { storage->SetInt(row, cell.row), storage->SetInt(column, cell.column); }
};

}  // namespace

bool move_cell(FigureCell& cell, const CellGrid& grid) {
  const FigureCell before = cell = inside(cell, grid);
  const int by = ImGui::GetIO().KeyShift ? kLeap : 1;
  if (ImGui::IsKeyPressed(ImGuiKey_LeftArrow)) step_along(cell, grid, -by);
  if (ImGui::IsKeyPressed(ImGuiKey_RightArrow)) step_along(cell, grid, by);
  if (ImGui::IsKeyPressed(ImGuiKey_Home)) cell.column = 0;
  if (ImGui::IsKeyPressed(ImGuiKey_End)) cell.column = grid.columns(cell.row) - 1;
  if (grid.rows > 1) {
    if (ImGui::IsKeyPressed(ImGuiKey_UpArrow)) cell.row -= by;
    if (ImGui::IsKeyPressed(ImGuiKey_DownArrow)) cell.row += by;
    if (ImGui::IsKeyPressed(ImGuiKey_PageUp)) cell.row = 0;
    if (ImGui::IsKeyPressed(ImGuiKey_PageDown)) cell.row = grid.rows - 1;
  }
  cell = inside(cell, grid);
  return !(cell == before);
}

CellPick pick_cell(const CellGrid& grid, std::optional<FigureCell> under, std::optional<FigureCell> cursor) {
  const ImGuiID item = ImGui::GetItemID();
  Kept kept(item, "cursor"), asked(item, "asked");
  CellPick pick;
  FigureCell at = inside(cursor.value_or(kept.get()), grid);
  if (item_focused()) {
    keep_keys({ImGuiKey_LeftArrow, ImGuiKey_RightArrow, ImGuiKey_Home, ImGuiKey_End});
    // Out of a single row the arrows up and down lead on to other items.
    if (grid.rows > 1) keep_keys({ImGuiKey_UpArrow, ImGuiKey_DownArrow, ImGuiKey_PageUp, ImGuiKey_PageDown});
    pick.moved = move_cell(at, grid);
    // The key is ours, so that Dear ImGui has not seen that the keyboard is used again.
    if (pick.moved) kept.set(at), ImGui::SetNavCursorVisibleAfterMove();
  }
  pick.by_keys = keys_on_item();
  if (pick.by_keys) pick.shown = at;
  else if (pointer_on_item()) pick.shown = under;
  if (pick.shown && (pick.by_keys || ImGui::IsMouseReleased(ImGuiMouseButton_Right))) asked.set(*pick.shown);
  pick.asked = inside(asked.get(), grid);
  return pick;
}

CellPick pick_column(int columns, int under, std::optional<int> cursor) {
  const CellGrid grid{1, [columns](int) { return columns; }};
  const auto cell = [](int column) { return FigureCell{0, column}; };
  return pick_cell(grid, under < 0 ? std::nullopt : std::optional(cell(under)),
                   cursor ? std::optional(cell(*cursor)) : std::nullopt);
}

bool pointer_on_item() { return !keys_on_item() && ImGui::IsItemHovered(ImGuiHoveredFlags_NoNavOverride); }

void stand_at(const CellPick& pick, ImVec2 min, ImVec2 max) {
  if (!pick.by_keys) return;
  const ImGuiContext& g = *ImGui::GetCurrentContext();
  ImGuiWindow* window = ImGui::GetCurrentWindow();
  // Where tooltips and menus look for the item of the keyboard.
  window->NavRectRel[g.NavLayer] = ImGui::WindowRectAbsToRel(window, {min, max});
}

}  // namespace glassbox
