// The centre of the window: the stage's panels in their dock space.
#include <algorithm>
#include <cmath>

#include "app/shell/app.h"
#include "app/shell/icons.h"
#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

std::vector<std::string> stage_panels(int stage) {
  std::vector<std::string> ids;
  for (const Panel& panel : all_panels())
    if (panel.stage == stage) ids.emplace_back(panel.id);
  return ids;
}

// A node with one panel has no tab bar: the panel's own header is its title. With several, tabs say which is shown.
void style_nodes(ImGuiDockNode* node) {
  if (!node) return;
  if (node->ChildNodes[0]) {
    style_nodes(node->ChildNodes[0]);
    style_nodes(node->ChildNodes[1]);
    return;
  }
  constexpr ImGuiDockNodeFlags kAlways = ImGuiDockNodeFlags_NoWindowMenuButton | ImGuiDockNodeFlags_NoCloseButton;
  const ImGuiDockNodeFlags tabs = node->Windows.Size > 1 ? 0 : static_cast<int>(ImGuiDockNodeFlags_NoTabBar);
  node->SetLocalFlags((node->LocalFlags & ~ImGuiDockNodeFlags_NoTabBar) | kAlways | tabs);
}

}  // namespace

void App::reset_layout() {
  const std::string stage = layout_key();
  for (const Panel& panel : all_panels())
    if (panel.stage == document().stage && !panel_open(panel)) run(cmd::ShowPanel{std::string(panel.id), true});
  if (const auto it = document().docking.find(stage); it != document().docking.end() && !it->second.empty()) run(cmd::SetDocking{stage, ""});
  layout_stale_ = true;
}

std::string App::layout_key() const { return std::to_string(document().stage) + (narrow_ ? " narrow" : ""); }

// Builds the layout when it has changed under the window, and saves it when the user has moved something.
void App::keep_layout(ImGuiID dockspace, ImVec2 pos, ImVec2 size, bool narrow) {
  const int stage = document().stage;
  narrow_ = narrow;
  const auto saved = document().docking.find(layout_key());
  const std::string text = saved == document().docking.end() ? std::string() : saved->second;
  const bool resized = size.x != layout_size_.x || size.y != layout_size_.y;
  if (layout_stale_ || layout_key() != layout_name_ || text != layout_text_ || resized) {
    Layout layout = stage_layout(stage, narrow);
    if (!text.empty()) {
      Result<Layout> read = layout_from_json(text);
      if (read) layout = read.take();
      else if (text != layout_text_) report(read.error());
    }
    build_layout(layout, dockspace, pos, size);
    layout_stale_ = false, layout_name_ = layout_key(), layout_text_ = text, layout_size_ = size;
    layout_built_ = read_layout(dockspace, pos, size, stage_panels(stage));
    layout_built_.floating = std::move(layout.floating);
    dragging_ = false;
    return;
  }
  // Layouts change by dragging only: a splitter, or a panel by its header. They are read when the button is let go.
  const bool down = ImGui::GetIO().MouseDown[0];
  const bool dragged = down && (ImGui::GetCurrentContext()->MovingWindow != nullptr || ImGui::IsAnyItemActive());
  // What stood before the drag, as the docking has settled it since it was built: a press on a button changes no layout.
  if (dragged && !dragging_) layout_built_ = read_layout(dockspace, pos, size, stage_panels(stage));
  if (dragged) dragging_ = true;
  if (down || !dragging_) return;
  dragging_ = false;
  Layout now = read_layout(dockspace, pos, size, stage_panels(stage));
  if (same_layout(now, layout_built_)) return;
  layout_text_ = to_json(now).dump();
  layout_built_ = std::move(now);
  run(cmd::SetDocking{layout_key(), layout_text_});
}

void App::draw_centre(ImVec2 min, ImVec2 size) {
  const float gap = theme_.px(Theme::kGap);
  // The gap to the lines around is a little larger than between panels, as the eye wants it.
  const float margin = gap + theme_.px(2);
  const bool narrow = size.x < theme_.px(narrow_width(document().stage));
  const float least = theme_.px(least_height(document().stage, narrow));
  const bool scrolls = size.y - 2 * margin < least;
  constexpr ImGuiWindowFlags kStill = ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse;
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoTitleBar | ImGuiWindowFlags_NoResize | ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoMove |
                                      ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoDocking |
                                      ImGuiWindowFlags_NoBringToFrontOnFocus | ImGuiWindowFlags_NoBackground |
                                      ImGuiWindowFlags_NoNavFocus;
  ImGui::SetNextWindowPos(min);
  ImGui::SetNextWindowSize(size);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(gap, gap));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowBorderSize, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowRounding, 0.0f);
  ImGui::Begin("centre", nullptr, scrolls ? kFlags : kFlags | kStill);
  ImGui::PopStyleVar(3);
  const bool built = !stage_panels(document().stage).empty();
  if (!built) {
    draw_unbuilt(min, size);
    ImGui::End();
    return;
  }
  const ImGuiID dockspace = ImGui::GetID("dockspace");
  const ImVec2 pos(min.x + margin, min.y + margin - ImGui::GetScrollY());
  const ImVec2 inner(std::max(size.x - 2 * margin - (scrolls ? theme_.px(6) : 0), 1.0f), std::max(size.y - 2 * margin, least));
  keep_layout(dockspace, pos, inner, narrow);
  style_nodes(ImGui::DockBuilderGetNode(dockspace));
  ImGui::SetCursorScreenPos(pos);
  ImGui::PushStyleColor(ImGuiCol_Separator, 0u);
  ImGui::PushStyleColor(ImGuiCol_Border, 0u);  // the splitters of a dock space take this one
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme_.background);  // between the panels
  ImGui::DockSpace(dockspace, inner, ImGuiDockNodeFlags_NoWindowMenuButton | ImGuiDockNodeFlags_NoCloseButton);
  ImGui::PopStyleColor(3);
  ImGui::Dummy({1, 1});
  bool any = false;
  for (const Panel& panel : all_panels()) any |= panel_open(panel);
  if (!any) {
    ImGui::SetCursorScreenPos({pos.x, pos.y + inner.y / 2 - theme_.px(30)});
    const std::string text = "All panels of this stage are closed.";
    ImGui::SetCursorPosX((size.x - text_size(theme_.body, text).x) / 2);
    text_line(theme_.body, theme_.dim, text);
    ImGui::SetCursorPosX((size.x - button_width(theme_, "Reset layout")) / 2);
    if (small_button(theme_, "Reset layout", {.height = theme_.px(28)})) reset_layout();
  }
  ImGui::End();
  for (const Panel& panel : all_panels())
    if (panel_open(panel)) draw_panel(panel);
}

void App::draw_panel(const Panel& panel) {
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoTitleBar | ImGuiWindowFlags_NoCollapse |
                                      ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse |
                                      ImGuiWindowFlags_NoFocusOnAppearing;  // the keyboard stays where the stage was chosen
  ImGui::SetNextWindowSizeConstraints({theme_.px(120), theme_.px(60)}, {FLT_MAX, FLT_MAX});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowBorderSize, 0.0f);
  ImGui::PushStyleVar(ImGuiStyleVar_ChildBorderSize, 0.0f);
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme_.background);
  const bool visible = ImGui::Begin(panel_window_name(panel.id).c_str(), nullptr, kFlags);
  ImGui::PopStyleColor();
  ImGui::PopStyleVar(3);
  if (visible) {
    const ImVec2 min = ImGui::GetWindowPos(), size = ImGui::GetWindowSize(), max(min.x + size.x, min.y + size.y);
    ImDrawList* draw = ImGui::GetWindowDrawList();
    const float rounding = theme_.px(Theme::kRounding), line = theme_.hairline();
    if (!ImGui::IsWindowDocked())  // a floating panel casts a shadow
      draw->AddRect({min.x, min.y}, {max.x, max.y}, theme_.accent, rounding, 0, theme_.px(2));
    draw->AddRectFilled(min, max, theme_.surface, rounding);
    draw->AddRect(min, max, theme_.line, rounding, 0, line);
    ImGui::PushClipRect({min.x + line, min.y + line}, {max.x - line, max.y - line}, true);
    FrameContext frame = context(&panel);
    if (bench_.model()) {
      panel.draw(frame);
    } else {
      draw_text(draw, theme_.bold, {min.x + theme_.px(12), min.y + theme_.px(10)}, theme_.text, panel.title);
      const float header = theme_.px(Theme::kPanelHeader);
      draw->AddRectFilled({min.x, min.y + header - line}, {max.x, min.y + header}, theme_.line);
      ImGui::SetCursorScreenPos({min.x + theme_.px(12), min.y + header + theme_.px(12)});
      if (bench_.loading()) draw_waiting(theme_, "loading the model", bench_.load_progress());
      else draw_waiting(theme_, "no model: open one with Ctrl+O, or drop a .gguf file here");
    }
    ImGui::PopClipRect();
  }
  ImGui::End();
}

// One honest line, instead of panels that pretend.
void App::draw_unbuilt(ImVec2 min, ImVec2 size) {
  const std::string title(stage_title(document().stage));
  const float y = min.y + size.y * 0.42f;
  const auto centred = [&](const TextStyle& style, ImU32 colour, const std::string& text, float dy) {
    const std::string fitted = fit_text(style, text, size.x - theme_.px(40));
    draw_text(ImGui::GetWindowDrawList(), style, {min.x + (size.x - text_size(style, fitted).x) / 2, y + dy}, colour, fitted);
  };
  draw_icon(ImGui::GetWindowDrawList(), stage_icon(document().stage), {min.x + size.x / 2, y - theme_.px(36)}, theme_.px(44), theme_.faint,
            theme_.px(2));
  centred(theme_.title, theme_.text, title, 0);
  centred(theme_.body, theme_.dim, "This stage is not built yet. Stages 1, 2, 3 and 6 are.", theme_.px(34));
}

}  // namespace glassbox
