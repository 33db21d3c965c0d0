#include "app/widgets/panel_frame.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/token_text.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

constexpr float kNoteGap = 6;  // at 100 %: more between a text and the control right of it than between two controls

float text_top(const TextStyle& style, float middle) {
  const ImFontBaked* baked = style.font->GetFontBaked(style.size);
  return std::round(middle - (baked->Ascent - baked->Descent) / 2);
}

void copy(FrameContext& context, const std::string& text, const std::string& what) {
  ImGui::SetClipboardText(text.c_str());
  context.shell.say("copied " + what);
}

void figure_items(FrameContext& context) {
  const Panel* panel = context.panel;
  if (panel && panel->figure) {
    if (ImGui::MenuItem("Copy as CSV")) copy(context, to_csv(panel->figure(context)), "the figure as CSV");
    if (ImGui::MenuItem("Copy as JSON")) copy(context, panel->figure(context).dump(2), "the figure as JSON");
  }
  if (panel && ImGui::MenuItem("Save PNG …")) {
    // The menu is a window of its own; the panel's is named "Title###id", and what stands before ### does not count.
    if (const ImGuiWindow* window = ImGui::FindWindowByID(ImHashStr(("###" + std::string(panel->id)).c_str())))
      context.shell.save_png(std::string(panel->id), window->Pos,
                             {window->Pos.x + window->Size.x, window->Pos.y + window->Size.y});
  }
}

// The last item is a handle: dragging it moves the panel.
void move_by_header() {
  ImGuiWindow* window = ImGui::GetCurrentWindow();
  if (ImGui::IsItemActive() && ImGui::IsMouseDragging(ImGuiMouseButton_Left)) ImGui::StartMouseMovingWindowOrNode(window, window->DockNode, true);
}

}  // namespace

PanelHeader::PanelHeader(FrameContext& context, std::string_view title) : context_(context) {
  const Theme& theme = context.theme;
  const ImVec2 origin = ImGui::GetWindowPos();
  const float width = ImGui::GetWindowWidth(), height = theme.px(Theme::kPanelHeader);
  top_ = ImGui::GetCursorScreenPos().y;
  middle_ = top_ + height / 2;
  left_ = origin.x + theme.px(Theme::kPadding), right_ = origin.x + width - theme.px(Theme::kPadding);

  // The empty header is the handle of the panel; the controls lie over it.
  ImGui::SetCursorScreenPos({origin.x, top_});
  ImGui::SetNextItemAllowOverlap();
  ImGui::InvisibleButton("##header", {std::max(1.0f, width), height});
  move_by_header();

  // The title is an item, so that the keyboard finds the help as well. It is a handle as the rest of the header is.
  const float title_width = text_size(theme.bold, title).x;
  ImGui::SetCursorScreenPos({left_ - theme.px(4), top_ + theme.px(5)});
  press_area("##title", {title_width + theme.px(8), std::max(1.0f, height - theme.px(10))});
  draw_focus(theme, ImGui::GetItemRectMin(), ImGui::GetItemRectMax());
  move_by_header();
  if (ImGui::IsItemHovered() && context.panel) {
    ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(10), theme.px(7)));
    ImGui::BeginTooltip();
    ImGui::PushFont(theme.small.font, theme.small.size);
    ImGui::PushTextWrapPos(theme.px(340));
    ImGui::TextUnformatted(context.panel->help.data(), context.panel->help.data() + context.panel->help.size());
    ImGui::PopTextWrapPos();
    ImGui::PopFont();
    ImGui::EndTooltip();
    ImGui::PopStyleVar();
  }
  label(title, theme.bold, theme.text);

  const bool has_figure = context.panel && context.panel->figure;
  const char* menu = has_figure ? "copy" : "…";
  if (context.panel && place(dropdown_width(theme, menu))) {
    if (begin_dropdown(theme, menu)) {
      figure_items(context);
      ImGui::Separator();
      if (ImGui::MenuItem("Close panel")) context.run(cmd::ShowPanel{std::string(context.panel->id), false});
      end_dropdown();
    }
  }
}

void PanelHeader::label(std::string_view text, const TextStyle& style, ImU32 colour) {
  const float room = right_ - left_;
  if (room < style.size || text.empty()) return;
  const std::string fitted = fit_text(style, text, room);
  draw_visible_text(ImGui::GetWindowDrawList(), style, {left_, text_top(style, middle_)}, colour, fitted);
  left_ += text_size(style, fitted).x + context_.theme.px(8);
}

void PanelHeader::dim(std::string_view text) {
  const TextStyle& style = context_.theme.body;
  if (text_size(style, text).x <= right_ - left_) label(text, style, context_.theme.dim);
}

bool PanelHeader::place_note(float width) {
  const float gap = context_.theme.px(kNoteGap);
  if (right_ - gap - width < left_ + context_.theme.px(8)) return false;
  right_ -= gap;
  return place(width);
}

bool PanelHeader::place(float width) {
  if (right_ - width < left_ + context_.theme.px(8)) return false;
  right_ -= width;
  ImGui::SetCursorScreenPos({right_, std::round(middle_ - context_.theme.px(12))});
  right_ -= context_.theme.px(8);
  return true;
}

bool PanelHeader::button(const char* label, const ButtonLook& look) {
  if (!place(look.width > 0 ? look.width : button_width(context_.theme, label))) return false;
  return small_button(context_.theme, label, look);
}

bool PanelHeader::toggle(const char* label, bool on, const ButtonLook& look) {
  if (!place(toggle_width(context_.theme, label))) return false;
  return glassbox::toggle(context_.theme, label, on, look);
}

int PanelHeader::dropdown(const char* id, std::string_view prefix, int current, std::span<const std::string> items,
                          std::string_view hint) {
  std::string label(prefix);
  if (current >= 0 && current < static_cast<int>(items.size())) label += items[static_cast<size_t>(current)];
  if (!place(dropdown_width(context_.theme, label))) return -1;
  ButtonLook look;
  look.hint = hint;
  return glassbox::dropdown(context_.theme, id, prefix, current, items, look);
}

void PanelHeader::note(std::string_view text) { note(text, context_.theme.body, context_.theme.dim); }

void PanelHeader::note(std::string_view text, const TextStyle& style, ImU32 colour) {
  const float width = std::ceil(text_size(style, text).x), gap = context_.theme.px(kNoteGap);
  if (right_ - gap - width < left_ + context_.theme.px(8)) return;
  right_ -= gap + width;
  draw_visible_text(ImGui::GetWindowDrawList(), style, {right_, text_top(style, middle_)}, colour, text);
  right_ -= context_.theme.px(12);
}

void PanelHeader::end() {
  if (ended_) return;
  ended_ = true;
  const Theme& theme = context_.theme;
  const ImVec2 origin = ImGui::GetWindowPos();
  const float bottom = top_ + theme.px(Theme::kPanelHeader);
  ImGui::GetWindowDrawList()->AddRectFilled({origin.x, bottom - theme.hairline()},
                                            {origin.x + ImGui::GetWindowWidth(), bottom}, theme.line);
  ImGui::SetCursorScreenPos({origin.x, bottom});
}

PanelBody::PanelBody(FrameContext& context, bool fixed, float padding) : theme_(context.theme) {
  const Theme& theme = context.theme;
  const float pad = theme.px(padding);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(pad, pad));
  // Flattened: the keyboard walks from the header into the body as if they were one.
  ImGui::BeginChild("##body", {0, 0}, ImGuiChildFlags_AlwaysUseWindowPadding | ImGuiChildFlags_NavFlattened,
                    fixed ? ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse : ImGuiWindowFlags_None);
  ImGui::PopStyleVar();
  min = ImGui::GetCursorScreenPos();
  size = ImGui::GetContentRegionAvail();
  size = {std::max(1.0f, size.x), std::max(1.0f, size.y)};
  draw = ImGui::GetWindowDrawList();
}

PanelBody::~PanelBody() {
  fade_scrolled_edges(theme_, theme_.surface);
  ImGui::EndChild();
}

bool begin_value_menu(FrameContext& context, const char* id, std::string_view value) {
  const Theme& theme = context.theme;
  if (!value.empty() && item_focused() && ImGui::IsKeyChordPressed(ImGuiMod_Ctrl | ImGuiKey_C)) copy(context, std::string(value), std::string(value));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(6), theme.px(6)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  const bool open = ImGui::BeginPopupContextItem(id);
  ImGui::PopFont();
  ImGui::PopStyleVar();
  if (!open) return false;
  ImGui::PushFont(theme.body.font, theme.body.size);
  if (!value.empty() && ImGui::MenuItem("Copy value", "Ctrl+C")) copy(context, std::string(value), std::string(value));
  figure_items(context);
  return true;
}

void end_value_menu() {
  ImGui::PopFont();
  ImGui::EndPopup();
}

}  // namespace glassbox
