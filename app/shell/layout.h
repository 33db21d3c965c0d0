// Where a stage's panels stand: a tree of splits by ratio, so that it fits every window size and scale. Saved in the
// Document as JSON when the user has moved something.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/result.h"
#include "imgui.h"

namespace glassbox {

struct LayoutNode {
  std::vector<std::string> panels;                // a leaf: ids of the panels; more than one are tabs
  bool upright = false;                           // a split: the parts stand one above the other
  float ratio = 0.5f;                             // share of the first part
  std::unique_ptr<LayoutNode> first, second;      // both or none
  bool is_leaf() const { return !first; }
};
struct FloatingPanel {
  std::string panel;
  float x, y, width, height;                      // shares of the centre
};
struct Layout {
  LayoutNode root;
  std::vector<FloatingPanel> floating;
};

// The layout that the stage was made for; an empty leaf for a stage that is not built. A narrow centre has the panels one
// above the other.
Layout stage_layout(int stage, bool narrow = false);
// Below this width of the centre the stage takes its narrow layout. Pixels at 100 %.
float narrow_width(int stage);
// The height, in pixels at 100 %, below which the centre scrolls instead of squeezing its panels.
float least_height(int stage, bool narrow);
nlohmann::json to_json(const Layout& layout);
// Errors (bad_file): another form. Unknown panels are kept: they are no panels of this version.
Result<Layout> layout_from_json(const std::string& text);
// The same splits and places, within half a per cent.
bool same_layout(const Layout& a, const Layout& b);

// Makes the dock space anew from the layout. Call inside a frame, before ImGui::DockSpace(dockspace).
void build_layout(const Layout& layout, ImGuiID dockspace, ImVec2 pos, ImVec2 size);
// Reads what stands in the dock space now.
Layout read_layout(ImGuiID dockspace, ImVec2 pos, ImVec2 size, const std::vector<std::string>& panels);

// The name of a panel's window.
std::string panel_window_name(std::string_view id);

}  // namespace glassbox
