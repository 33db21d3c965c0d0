#include "app/shell/icons.h"

#include <cmath>

#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"

namespace glassbox {

namespace {

// Draws in a unit square of 24 × 24 around the centre, the usual grid for icons.
class Pen {
 public:
  Pen(ImDrawList* draw, ImVec2 centre, float size, ImU32 colour, float line)
      : draw_(draw), centre_(centre), unit_(size / 24), colour_(colour), line_(line) {}

  ImVec2 at(float x, float y) const { return {centre_.x + (x - 12) * unit_, centre_.y + (y - 12) * unit_}; }
  void line(float x0, float y0, float x1, float y1) const { draw_->AddLine(at(x0, y0), at(x1, y1), colour_, line_); }
  void rect(float x0, float y0, float x1, float y1, float r = 1.5f) const {
    draw_->AddRect(at(x0, y0), at(x1, y1), colour_, r * unit_, 0, line_);
  }
  void box(float x0, float y0, float x1, float y1, float r = 0.6f) const {
    draw_->AddRectFilled(at(x0, y0), at(x1, y1), colour_, r * unit_);
  }
  void ring(float x, float y, float r) const { draw_->AddCircle(at(x, y), r * unit_, colour_, 0, line_); }
  void dot(float x, float y, float r) const { draw_->AddCircleFilled(at(x, y), r * unit_, colour_); }
  void triangle(float x0, float y0, float x1, float y1, float x2, float y2) const {
    draw_->AddTriangleFilled(at(x0, y0), at(x1, y1), at(x2, y2), colour_);
  }
  void curve(float x0, float y0, float x1, float y1, float x2, float y2, float x3, float y3) const {
    draw_->AddBezierCubic(at(x0, y0), at(x1, y1), at(x2, y2), at(x3, y3), colour_, line_);
  }

 private:
  ImDrawList* draw_;
  ImVec2 centre_;
  float unit_;
  ImU32 colour_;
  float line_;
};

}  // namespace

Icon stage_icon(int stage) { return static_cast<Icon>(stage - 1); }

void draw_icon(ImDrawList* draw, Icon icon, ImVec2 centre, float size, ImU32 colour, float line) {
  const Pen pen(draw, centre, size, colour, line);
  switch (icon) {
    case Icon::tokens:
      pen.rect(3, 5, 14, 11), pen.rect(16, 5, 21, 11), pen.rect(3, 13, 8, 19), pen.rect(10, 13, 21, 19);
      break;
    case Icon::embed:
      pen.dot(6, 7, 2.2f), pen.dot(9.5f, 15, 2.2f), pen.dot(4.5f, 19, 1.6f), pen.dot(17.5f, 6, 2.2f), pen.dot(14, 10, 1.5f);
      pen.ring(17.5f, 17, 2.6f);
      break;
    case Icon::attention:
      pen.line(4, 4, 4, 20), pen.line(4, 20, 20, 20);
      pen.curve(4, 20, 8, 8, 14, 12, 20, 4), pen.curve(4, 8, 9, 9, 12, 15, 20, 16);
      break;
    case Icon::training:
      pen.line(4, 4, 4, 20), pen.line(4, 20, 20, 20);
      pen.curve(6, 5, 8, 16, 12, 17, 20, 17);
      break;
    case Icon::tuning:
      pen.line(3, 7, 21, 7), pen.line(3, 12, 21, 12), pen.line(3, 17, 21, 17);
      pen.dot(8, 7, 2.4f), pen.dot(16, 12, 2.4f), pen.dot(10, 17, 2.4f);
      break;
    case Icon::inference:
      pen.line(3, 20, 21, 20);
      pen.box(4.5f, 6, 7.5f, 18.5f), pen.box(10.5f, 11, 13.5f, 18.5f), pen.box(16.5f, 14.5f, 19.5f, 18.5f);
      break;
    case Icon::agents:
      pen.rect(4, 8, 20, 19, 3), pen.line(12, 8, 12, 4.5f), pen.dot(12, 4, 1.4f), pen.dot(9, 13, 1.5f), pen.dot(15, 13, 1.5f);
      break;
    case Icon::evals:
      pen.ring(10.5f, 10.5f, 6.5f), pen.line(15.4f, 15.4f, 20.5f, 20.5f), pen.line(7.5f, 10.5f, 13.5f, 10.5f);
      break;
    case Icon::reset:
      pen.box(5.5f, 5, 8, 19), pen.triangle(18.5f, 5, 18.5f, 19, 8.5f, 12);
      break;
    case Icon::back: pen.triangle(16.5f, 5, 16.5f, 19, 6.5f, 12); break;
    case Icon::step:
      pen.triangle(6, 5, 6, 19, 15.5f, 12), pen.box(16, 5, 18.5f, 19);
      break;
    case Icon::play: pen.triangle(7.5f, 4.5f, 7.5f, 19.5f, 18.5f, 12); break;
    case Icon::pause:
      pen.box(6.5f, 5, 10, 19), pen.box(14, 5, 17.5f, 19);
      break;
    case Icon::branch:
      pen.line(6, 5, 6, 10), pen.curve(6, 10, 6, 15, 9, 16, 14, 16);
      pen.triangle(13.5f, 11.8f, 13.5f, 20.2f, 19.5f, 16);
      break;
    case Icon::close:
      pen.line(7, 7, 17, 17), pen.line(17, 7, 7, 17);
      break;
    case Icon::book:
      pen.rect(4, 5, 20, 19, 2), pen.line(12, 5, 12, 19);
      pen.line(14.5f, 9, 17.5f, 9), pen.line(14.5f, 12.5f, 17.5f, 12.5f);
      break;
    case Icon::copy:
      pen.rect(9, 9, 20, 20, 2), pen.line(5, 4.5f, 14, 4.5f), pen.line(4.5f, 5, 4.5f, 14);
      break;
    case Icon::check:
      pen.line(6, 12.5f, 10.3f, 16.8f), pen.line(10.3f, 16.8f, 18.5f, 7.5f);
      break;
    case Icon::warning:
      draw->AddTriangle(pen.at(12, 4), pen.at(21, 19.5f), pen.at(3, 19.5f), colour, line);
      pen.line(12, 9.5f, 12, 14.2f), pen.dot(12, 16.8f, 1);
      break;
  }
}

float icon_button_width(const Theme& theme, const IconButtonLook& look) {
  return theme.px(30) + (look.text.empty() ? 0 : std::ceil(text_size(theme.bold, look.text).x) + theme.px(14));
}

bool icon_button(const Theme& theme, const char* label, Icon icon, const IconButtonLook& look) {
  const float height = theme.px(28), width = icon_button_width(theme, look);
  const ImVec2 min = ImGui::GetCursorScreenPos(), max(min.x + width, min.y + height);
  if (!look.enabled) ImGui::BeginDisabled();
  const bool clicked = press_area(label, {width, height});
  const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive();
  if (!look.enabled) ImGui::EndDisabled();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float rounding = theme.px(Theme::kRounding);
  ImU32 ink = look.enabled ? theme.text : theme.faint;
  if (look.primary && look.enabled) {
    draw->AddRectFilled(min, max, hovered || held ? mix(theme.accent, theme.text, held ? 0.15f : 0.08f) : theme.accent, rounding);
    ink = theme.on_accent;
  } else if (!look.quiet || hovered || held || look.active) {
    draw->AddRectFilled(min, max, look.active ? theme.selected : held ? theme.pressed : hovered ? theme.hover : theme.raised,
                        rounding);
    draw->AddRect(min, max, look.active ? theme.accent : theme.line, rounding, 0, theme.hairline());
  }
  const float line = std::fmax(1.0f, theme.scale * 1.5f);
  draw_icon(draw, icon, {min.x + theme.px(15), (min.y + max.y) / 2}, theme.px(17), ink, line);
  if (!look.text.empty()) {
    const ImFontBaked* baked = theme.bold.font->GetFontBaked(theme.bold.size);
    draw_text(draw, theme.bold, {min.x + theme.px(29), (min.y + max.y - baked->Ascent + baked->Descent) / 2}, ink, look.text);
  }
  draw_focus(theme, min, max);
  if (!look.hint.empty()) tooltip(theme, look.hint);
  return clicked && look.enabled;
}

}  // namespace glassbox
