#include "app/shell/notices.h"

#include <algorithm>

#include "app/shell/icons.h"
#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {
constexpr double kSayingSeconds = 2.5;
constexpr size_t kMostErrors = 3;  // older ones go: a stack of errors is a dialog of despair
}  // namespace

void Notices::report(const Error& error) {
  if (error.kind == ErrorKind::cancelled) return;
  const std::string message = error.message();
  for (const Item& item : errors_)
    if (item.error.message() == message) return;
  errors_.push_back({error, ""});
  if (errors_.size() > kMostErrors) errors_.erase(errors_.begin());
}

void Notices::follow(const std::string& source, const std::optional<Error>& error, bool mild) {
  const std::string message = error && error->kind != ErrorKind::cancelled ? error->message() : std::string();
  std::erase_if(errors_, [&](const Item& item) { return item.source == source && item.error.message() != message; });
  if (message.empty()) {
    std::erase_if(dismissed_, [&](const std::string& text) { return text.starts_with(source + "\n"); });
    return;
  }
  if (std::find(dismissed_.begin(), dismissed_.end(), source + "\n" + message) != dismissed_.end()) return;
  for (Item& item : errors_) {
    if (item.error.message() != message) continue;
    item.source = source;  // reported a moment ago by the place where it happened: from now on it goes with its cause
    return;
  }
  errors_.push_back({*error, source, mild});
  if (errors_.size() > kMostErrors) errors_.erase(errors_.begin());
}

void Notices::say(const std::string& text, double now) { saying_ = text, saying_until_ = now + kSayingSeconds; }

bool Notices::draw(const Theme& theme, ImVec2 min, ImVec2 max, double now) {
  if (!saying_.empty() && now >= saying_until_) saying_.clear();
  bool dismissed = false;
  constexpr ImGuiWindowFlags kFlags = ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoMove | ImGuiWindowFlags_NoSavedSettings |
                                      ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoFocusOnAppearing | ImGuiWindowFlags_NoNav |
                                      ImGuiWindowFlags_AlwaysAutoResize;
  float bottom = max.y - theme.px(12);
  const float width = std::min(theme.px(460), max.x - min.x - theme.px(24));
  ImGui::PushStyleColor(ImGuiCol_WindowBg, theme.raised);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(14), theme.px(12)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  for (size_t i = errors_.size(); i-- > 0;) {
    const Error error = errors_[i].error;
    const ImU32 tone = errors_[i].mild ? theme.warn : theme.error;
    const std::string name = "notice " + std::to_string(i);
    ImGui::SetNextWindowPos({min.x + theme.px(12), bottom}, ImGuiCond_Always, {0, 1});
    ImGui::SetNextWindowSizeConstraints({width, 0}, {width, max.y - min.y});
    if (ImGui::Begin(name.c_str(), nullptr, kFlags)) {
      ImGui::BringWindowToDisplayFront(ImGui::GetCurrentWindow());
      const ImVec2 pos = ImGui::GetWindowPos(), size = ImGui::GetWindowSize();
      ImDrawList* draw = ImGui::GetWindowDrawList();
      draw->AddRectFilled(pos, {pos.x + theme.px(4), pos.y + size.y}, tone, theme.px(Theme::kRounding),
                          ImDrawFlags_RoundCornersLeft);
      const ImVec2 start = ImGui::GetCursorScreenPos();
      draw_icon(draw, Icon::warning, {start.x + theme.px(9), start.y + theme.px(9)}, theme.px(19), tone, theme.px(1.6f));
      ImGui::Indent(theme.px(28));
      ImGui::PushTextWrapPos(width - theme.px(14));
      text_wrapped(theme.bold, theme.text, error.what);
      ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(theme.px(8), theme.px(3)));
      const auto part = [&](const char* label, const std::string& text) {
        if (!text.empty()) text_wrapped(theme.small, theme.dim, std::string(label) + text);
      };
      part("", error.where);
      part("Expected: ", error.expected);
      if (!error.remedy.empty()) text_wrapped(theme.body, theme.text, error.remedy);
      ImGui::PopStyleVar();
      ImGui::PopTextWrapPos();
      ImGui::PushID(static_cast<int>(i));
      if (small_button(theme, "Copy")) {
        ImGui::SetClipboardText(error.message().c_str());
        say("copied the message", now);
      }
      ImGui::SameLine();
      if (small_button(theme, "Dismiss")) {
        if (!errors_[i].source.empty()) dismissed_.push_back(errors_[i].source + "\n" + error.message());
        errors_.erase(errors_.begin() + static_cast<ptrdiff_t>(i));
        dismissed = true;
      }
      ImGui::PopID();
      ImGui::Unindent(theme.px(28));
      bottom -= size.y + theme.px(8);
    }
    ImGui::End();
    if (dismissed) break;
  }
  if (!saying_.empty()) {
    ImGui::SetNextWindowPos({(min.x + max.x) / 2, max.y - theme.px(14)}, ImGuiCond_Always, {0.5f, 1});
    ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(14), theme.px(8)));
    if (ImGui::Begin("saying", nullptr, kFlags | ImGuiWindowFlags_NoInputs)) {
      ImGui::BringWindowToDisplayFront(ImGui::GetCurrentWindow());
      text_line(theme.body, theme.text, saying_);
    }
    ImGui::End();
    ImGui::PopStyleVar();
  }
  ImGui::PopFont();
  ImGui::PopStyleVar();
  ImGui::PopStyleColor();
  return dismissed;
}

}  // namespace glassbox
