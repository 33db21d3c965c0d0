#include "app/shell/palette.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"
#include "imgui_internal.h"
#include "imgui_stdlib.h"

namespace glassbox {

int match_score(const std::string& query, const std::string& text) {
  const auto lower = [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); };
  int score = 1;
  size_t at = 0;
  bool together = false;
  for (const char wanted : query) {
    if (wanted == ' ') {
      together = false;
      continue;
    }
    const size_t before = at;
    while (at < text.size() && lower(text[at]) != lower(wanted)) ++at;
    if (at == text.size()) return 0;
    const bool word = at == 0 || text[at - 1] == ' ' || text[at - 1] == '-';
    score += word ? 8 : together && at == before ? 5 : 1;
    together = true;
    ++at;
  }
  return score * 4 + std::max(0, 40 - static_cast<int>(text.size()) / 2) / 10;
}

void Palette::draw(const Theme& theme, const std::vector<Action>& actions, ImVec2 min, ImVec2 max) {
  if (opening_) {
    opening_ = false, shown_ = true, chosen_ = 0;
    query_.clear();
    ImGui::OpenPopup("palette");
  }
  if (!shown_) return;
  const float width = std::min(theme.px(600), max.x - min.x - theme.px(40));
  ImGui::SetNextWindowPos({(min.x + max.x - width) / 2, min.y + theme.px(60)});
  ImGui::SetNextWindowSize({width, 0});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(10), theme.px(10)));
  ImGui::PushStyleVar(ImGuiStyleVar_PopupRounding, theme.px(10));
  ImGui::PushFont(theme.body.font, theme.body.size);
  if (ImGui::BeginPopup("palette", ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoDocking)) {
    std::vector<std::pair<int, const Action*>> found;
    ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, ImVec2(theme.px(10), theme.px(8)));
    ImGui::SetNextItemWidth(-1);
    if (ImGui::IsWindowAppearing()) ImGui::SetKeyboardFocusHere();
    ImGui::PushStyleColor(ImGuiCol_NavCursor, 0u);
    if (ImGui::InputTextWithHint("##query", "Find a command", &query_)) chosen_ = 0;
    ImGui::PopStyleColor();
    ImGui::PopStyleVar();
    for (const Action& action : actions)
      if (const int score = match_score(query_, action.name); score > 0 && action.name != "Command palette") found.emplace_back(score, &action);
    if (!query_.empty())
      std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    const int count = static_cast<int>(found.size());
    if (ImGui::IsKeyPressed(ImGuiKey_DownArrow)) chosen_ = std::min(chosen_ + 1, count - 1);
    if (ImGui::IsKeyPressed(ImGuiKey_UpArrow)) chosen_ = std::max(chosen_ - 1, 0);
    const bool moved = ImGui::IsKeyPressed(ImGuiKey_DownArrow) || ImGui::IsKeyPressed(ImGuiKey_UpArrow);
    const Action* start = nullptr;
    const float row = theme.px(30);
    const float height = std::min(static_cast<float>(std::max(count, 1)) * row, std::max(row * 3, max.y - min.y - theme.px(200)));
    ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(0, 0));
    ImGui::BeginChild("found", {0, std::min(height, row * 12)}, 0, ImGuiWindowFlags_NoNav);
    if (found.empty()) text_line(theme.body, theme.dim, "No command has these letters.");
    for (int i = 0; i < count; ++i) {
      const Action& action = *found[static_cast<size_t>(i)].second;
      const bool enabled = !action.enabled || action.enabled();
      const ImVec2 low = ImGui::GetCursorScreenPos(), high(low.x + ImGui::GetContentRegionAvail().x, low.y + row);
      ImGui::PushID(i);
      if (ImGui::InvisibleButton(action.name.c_str(), {std::max(1.0f, high.x - low.x), row}) && enabled) start = &action;
      ImGui::PopID();
      if (ImGui::IsItemHovered() && (ImGui::GetIO().MouseDelta.x != 0 || ImGui::GetIO().MouseDelta.y != 0)) chosen_ = i;
      ImDrawList* draw = ImGui::GetWindowDrawList();
      if (i == chosen_) {
        draw->AddRectFilled(low, high, theme.selected, theme.px(Theme::kRounding));
        if (moved) ImGui::SetScrollHereY(0.5f);
      }
      const float y = low.y + (row - theme.body.size) / 2;
      const float keys = action.keys.empty() ? 0 : text_size(theme.small, action.keys).x + theme.px(12);
      draw_text(draw, theme.body, {low.x + theme.px(10), y}, enabled ? theme.text : theme.faint,
                fit_text(theme.body, action.name, high.x - low.x - keys - theme.px(30)));
      if (!action.keys.empty()) draw_key(draw, theme, {high.x - keys - theme.px(8), low.y + (row - theme.px(19)) / 2}, action.keys);
    }
    ImGui::EndChild();
    ImGui::PopStyleVar();
    if (ImGui::IsKeyPressed(ImGuiKey_Enter, false) && chosen_ < count) {
      const Action& action = *found[static_cast<size_t>(chosen_)].second;
      if (!action.enabled || action.enabled()) start = &action;
    }
    if (start || ImGui::IsKeyPressed(ImGuiKey_Escape, false)) ImGui::CloseCurrentPopup(), shown_ = false;
    ImGui::EndPopup();
    if (start) start->run();
  } else {
    shown_ = false;
  }
  ImGui::PopFont();
  ImGui::PopStyleVar(2);
}

}  // namespace glassbox
