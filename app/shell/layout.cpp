#include "app/shell/layout.h"

#include <algorithm>
#include <cmath>

#include "app/panels/panel.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

LayoutNode leaf(std::string panel) {
  LayoutNode node;
  if (!panel.empty()) node.panels.push_back(std::move(panel));
  return node;
}

LayoutNode split(bool upright, float ratio, LayoutNode first, LayoutNode second) {
  LayoutNode node;
  node.upright = upright, node.ratio = ratio;
  node.first = std::make_unique<LayoutNode>(std::move(first));
  node.second = std::make_unique<LayoutNode>(std::move(second));
  return node;
}
LayoutNode beside(float ratio, LayoutNode first, LayoutNode second) {
  return split(false, ratio, std::move(first), std::move(second));
}
LayoutNode above(float ratio, LayoutNode first, LayoutNode second) {
  return split(true, ratio, std::move(first), std::move(second));
}

nlohmann::json node_json(const LayoutNode& node) {
  if (node.is_leaf()) return {{"panels", node.panels}};
  return {{"split", node.upright ? "above" : "beside"},
          {"ratio", std::round(node.ratio * 1000) / 1000},
          {"first", node_json(*node.first)},
          {"second", node_json(*node.second)}};
}

constexpr int kDeepest = 16;  // of splits in splits; a file that nests deeper is not one of ours

bool read_node(const nlohmann::json& json, LayoutNode& node, int depth) {
  if (!json.is_object() || depth > kDeepest) return false;
  if (const auto panels = json.find("panels"); panels != json.end()) {
    if (!panels->is_array()) return false;
    for (const auto& panel : *panels) {
      if (!panel.is_string()) return false;
      node.panels.push_back(panel.get<std::string>());
    }
    return true;
  }
  const auto kind = json.find("split"), ratio = json.find("ratio"), first = json.find("first"), second = json.find("second");
  if (kind == json.end() || ratio == json.end() || first == json.end() || second == json.end()) return false;
  if ((*kind != "above" && *kind != "beside") || !ratio->is_number()) return false;
  node.upright = *kind == "above";
  node.ratio = std::clamp(ratio->get<float>(), 0.05f, 0.95f);
  node.first = std::make_unique<LayoutNode>(), node.second = std::make_unique<LayoutNode>();
  return read_node(*first, *node.first, depth + 1) && read_node(*second, *node.second, depth + 1);
}

bool same_node(const LayoutNode& a, const LayoutNode& b) {
  if (a.is_leaf() != b.is_leaf()) return false;
  if (a.is_leaf()) return a.panels == b.panels;
  return a.upright == b.upright && std::abs(a.ratio - b.ratio) < 0.005f && same_node(*a.first, *b.first) &&
         same_node(*a.second, *b.second);
}

void build_node(const LayoutNode& node, ImGuiID id) {
  if (node.is_leaf()) {
    for (const std::string& panel : node.panels) ImGui::DockBuilderDockWindow(panel_window_name(panel).c_str(), id);
    return;
  }
  ImGuiID first = 0, second = 0;
  ImGui::DockBuilderSplitNode(id, node.upright ? ImGuiDir_Up : ImGuiDir_Left, node.ratio, &first, &second);
  build_node(*node.first, first);
  build_node(*node.second, second);
}

LayoutNode read_dock_node(const ImGuiDockNode* dock, const std::vector<std::string>& panels) {
  if (!dock->ChildNodes[0] || !dock->ChildNodes[1]) {
    LayoutNode node;
    for (const ImGuiWindow* window : dock->Windows)
      for (const std::string& panel : panels)
        if (ImHashStr(panel_window_name(panel).c_str()) == window->ID) node.panels.push_back(panel);
    return node;
  }
  const bool upright = dock->SplitAxis == ImGuiAxis_Y;
  const ImGuiDockNode *one = dock->ChildNodes[0], *two = dock->ChildNodes[1];
  // SizeRef is what the user's splitters set; a node that is hidden now keeps the size that it comes back with.
  const float a = upright ? one->SizeRef.y : one->SizeRef.x, b = upright ? two->SizeRef.y : two->SizeRef.x;
  return split(upright, a + b > 0 ? a / (a + b) : 0.5f, read_dock_node(one, panels), read_dock_node(two, panels));
}

}  // namespace

std::string panel_window_name(std::string_view id) {
  for (const Panel& panel : all_panels())
    if (panel.id == id) return std::string(panel.title) + "###" + std::string(id);
  return "###" + std::string(id);
}

namespace {

struct PanelHeight {
  const char* panel;
  float height;  // that it needs when it stands alone in a row, at 100 %
};

std::vector<PanelHeight> column_of(int stage) {
  switch (stage) {
    case 1: return {{"tokens", 250}, {"pieces", 110}, {"merges", 460}, {"pairs", 300}};
    case 2: return {{"embedding_row", 180}, {"neighbours", 420}, {"cosines", 460}};
    case 3: return {{"pattern", 460}, {"next_token", 380}, {"heads", 560}, {"cell", 430}};
    case 6: return {{"chain", 440}, {"sampler_settings", 320}, {"rank_plot", 300}};
    default: return {};
  }
}

LayoutNode stack(const std::vector<PanelHeight>& column, size_t from) {
  if (from + 1 >= column.size()) return leaf(column.empty() ? "" : column[from].panel);
  float rest = 0;
  for (size_t i = from; i < column.size(); ++i) rest += column[i].height;
  return above(column[from].height / rest, leaf(column[from].panel), stack(column, from + 1));
}

}  // namespace

float narrow_width(int stage) {
  return stage == 2 ? 760 : 660;  // three lists of neighbours beside a matrix
}

float least_height(int stage, bool narrow) {
  if (!narrow) return stage == 1 ? 700 : 600;
  float total = 0;
  for (const PanelHeight& panel : column_of(stage)) total += panel.height;
  return total;
}

// The shares are those of the pictures that the stages were designed with, at 1600 × 1000.
Layout stage_layout(int stage, bool narrow) {
  Layout layout;
  if (narrow) {
    layout.root = stack(column_of(stage), 0);
    return layout;
  }
  switch (stage) {
    case 1:
      layout.root = above(0.283f, leaf("tokens"),
                          above(0.145f, leaf("pieces"), beside(0.69f, leaf("merges"), leaf("pairs"))));
      break;
    case 2:
      layout.root = above(0.215f, leaf("embedding_row"), beside(0.46f, leaf("neighbours"), leaf("cosines")));
      break;
    case 3:
      layout.root = beside(0.257f, leaf("heads"),
                           above(0.60f, beside(0.672f, leaf("pattern"), leaf("next_token")), leaf("cell")));
      break;
    case 6:
      layout.root = above(0.635f, leaf("chain"), beside(0.365f, leaf("sampler_settings"), leaf("rank_plot")));
      break;
    default: break;
  }
  return layout;
}

nlohmann::json to_json(const Layout& layout) {
  nlohmann::json floating = nlohmann::json::array();
  for (const FloatingPanel& panel : layout.floating)
    floating.push_back({{"panel", panel.panel}, {"x", panel.x}, {"y", panel.y}, {"width", panel.width}, {"height", panel.height}});
  return {{"root", node_json(layout.root)}, {"floating", floating}};
}

Result<Layout> layout_from_json(const std::string& text) {
  const Error error{ErrorKind::bad_file, "the saved layout of the panels cannot be read", "docking",
                    "a tree of {\"split\", \"ratio\", \"first\", \"second\"} and {\"panels\"}", "use \"Reset layout\""};
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("root")) return error;
  Layout layout;
  if (!read_node(json["root"], layout.root, 0)) return error;
  for (const auto& item : json.value("floating", nlohmann::json::array())) {
    if (!item.is_object()) return error;
    const auto number = [&](const char* key) {
      const auto it = item.find(key);
      return it != item.end() && it->is_number() ? std::clamp(it->get<float>(), -1.0f, 2.0f) : 0.3f;
    };
    const auto panel = item.find("panel");
    if (panel == item.end() || !panel->is_string()) return error;
    layout.floating.push_back({panel->get<std::string>(), number("x"), number("y"), number("width"), number("height")});
  }
  return layout;
}

bool same_layout(const Layout& a, const Layout& b) {
  const auto close = [](float x, float y) { return std::abs(x - y) < 0.005f; };
  return same_node(a.root, b.root) &&
         std::equal(a.floating.begin(), a.floating.end(), b.floating.begin(), b.floating.end(),
                    [&](const FloatingPanel& x, const FloatingPanel& y) {
                      return x.panel == y.panel && close(x.x, y.x) && close(x.y, y.y) && close(x.width, y.width) &&
                             close(x.height, y.height);
                    });
}

void build_layout(const Layout& layout, ImGuiID dockspace, ImVec2 pos, ImVec2 size) {
  ImGui::DockBuilderRemoveNode(dockspace);
  ImGui::DockBuilderAddNode(dockspace, ImGuiDockNodeFlags_DockSpace);
  ImGui::DockBuilderSetNodePos(dockspace, pos);
  ImGui::DockBuilderSetNodeSize(dockspace, size);
  for (const FloatingPanel& panel : layout.floating) {
    const std::string name = panel_window_name(panel.panel);
    ImGui::DockBuilderDockWindow(name.c_str(), 0);
    ImGui::SetWindowPos(name.c_str(), {pos.x + panel.x * size.x, pos.y + panel.y * size.y});
    ImGui::SetWindowSize(name.c_str(), {panel.width * size.x, panel.height * size.y});
  }
  build_node(layout.root, dockspace);
  ImGui::DockBuilderFinish(dockspace);
}

Layout read_layout(ImGuiID dockspace, ImVec2 pos, ImVec2 size, const std::vector<std::string>& panels) {
  Layout layout;
  if (const ImGuiDockNode* root = ImGui::DockBuilderGetNode(dockspace)) layout.root = read_dock_node(root, panels);
  for (const std::string& panel : panels) {
    const ImGuiWindow* window = ImGui::FindWindowByName(panel_window_name(panel).c_str());
    if (!window || !window->WasActive || window->DockIsActive) continue;
    if (window->DockNode && ImGui::DockNodeGetRootNode(window->DockNode)->ID == dockspace) continue;
    layout.floating.push_back({panel, (window->Pos.x - pos.x) / size.x, (window->Pos.y - pos.y) / size.y,
                               window->Size.x / size.x, window->Size.y / size.y});
  }
  return layout;
}

}  // namespace glassbox
