// The ways to a figure's cells. A figure of many cells is one item: the pointer is on one of its cells, and while the
// keyboard stands on the figure the arrows move a cursor from cell to cell. Either one shows the cell's card and is what
// the menu, or Ctrl+C, takes the value of.
#pragma once

#include <functional>
#include <optional>

#include "imgui.h"

namespace glassbox {

struct FigureCell {
  int row = 0, column = 0;
  bool operator==(const FigureCell&) const = default;
};

// Where the cursor can go.
struct CellGrid {
  int rows = 1;
  std::function<int(int row)> columns;  // at least 1; the last row of a folded list may be shorter
  bool wraps = false;                   // a list folded into rows: left and right go on in the next one
};

// Moves the cell as the keys that were pressed in this frame say: the arrows by one, with Shift by ten, Home and End to
// the ends of the row, Page Up and Page Down to the first and last row. True when it is another cell now.
bool move_cell(FigureCell& cell, const CellGrid& grid);

struct CellPick {
  std::optional<FigureCell> shown;  // under the pointer or the cursor
  bool by_keys = false;             // `shown` is the cursor's
  bool moved = false;               // by a key, in this frame
  FigureCell asked;                 // that the figure's menu is about
};
// Of the last item. `under`: its cell under the pointer. `cursor`: where the keys begin; without it the item remembers.
CellPick pick_cell(const CellGrid& grid, std::optional<FigureCell> under, std::optional<FigureCell> cursor = std::nullopt);
// Of a figure that is one row of `columns` cells. `under` < 0: the pointer is on none.
CellPick pick_column(int columns, int under, std::optional<int> cursor = std::nullopt);

// True when the pointer, and not the keyboard, is on the last item: where it is in the figure counts.
bool pointer_on_item();
// Lets the card and the menu of the last item stand at a part of it, since its own edge may be far away.
void stand_at(const CellPick& pick, ImVec2 min, ImVec2 max);

}  // namespace glassbox
