#include "app/widgets/hover_card.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/controls.h"
#include "app/widgets/token_text.h"

namespace glassbox {

namespace {

float line_height(const TextStyle& style) { return std::ceil(style.size * 1.08f); }

struct FractionBox {
  float width, height, bar;  // bar: y of the fraction bar from the top
};

FractionBox measure(const Theme& theme, const Fraction& f) {
  if (f.denominator.empty()) return {text_size(theme.mono, f.numerator).x, line_height(theme.mono), line_height(theme.mono) / 2};
  const float width = std::max(text_size(theme.mono, f.numerator).x, text_size(theme.mono, f.denominator).x) + theme.px(6);
  return {width, 2 * line_height(theme.mono) + theme.px(3), line_height(theme.mono) + theme.px(1)};
}

void draw_fraction(ImDrawList* draw, const Theme& theme, const Fraction& f, const FractionBox& box, float x, float axis,
                   ImU32 colour) {
  const float top = axis - box.bar;
  if (f.denominator.empty()) {
    draw_text(draw, theme.mono, {x, top}, colour, f.numerator);
    return;
  }
  draw_text(draw, theme.mono, {x + (box.width - text_size(theme.mono, f.numerator).x) / 2, top}, colour, f.numerator);
  draw->AddRectFilled({x, std::round(axis)}, {x + box.width, std::round(axis) + theme.hairline()}, colour);
  draw_text(draw, theme.mono, {x + (box.width - text_size(theme.mono, f.denominator).x) / 2, axis + theme.px(3)}, colour,
            f.denominator);
}

// Parts left to right on one axis; plain texts are fractions without a denominator.
void equation(const Theme& theme, std::initializer_list<Fraction> parts) {
  float width = 0, above = 0, below = 0;
  for (const Fraction& part : parts) {
    if (part.numerator.empty()) continue;
    const FractionBox box = measure(theme, part);
    width += box.width + theme.px(6);
    above = std::max(above, box.bar), below = std::max(below, box.height - box.bar);
  }
  const ImVec2 origin = ImGui::GetCursorScreenPos();
  ImGui::Dummy({width, above + below});
  float x = origin.x;
  for (const Fraction& part : parts) {
    if (part.numerator.empty()) continue;
    const FractionBox box = measure(theme, part);
    draw_fraction(ImGui::GetWindowDrawList(), theme, part, box, x, origin.y + above, theme.text);
    x += box.width + theme.px(6);
  }
}

}  // namespace

void begin_hover_card(const Theme& theme) {
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(12), theme.px(10)));
  ImGui::PushStyleVar(ImGuiStyleVar_WindowRounding, theme.px(8));
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(theme.px(8), theme.px(5)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  ImGui::BeginTooltip();
}

void end_hover_card(const Theme&) {
  ImGui::EndTooltip();
  ImGui::PopFont();
  ImGui::PopStyleVar(3);
}

void card_value(const Theme& theme, std::string_view name, std::string_view value, ImU32 colour) {
  const ImVec2 pos = ImGui::GetCursorScreenPos();
  const std::string left = std::string(name) + (value.empty() ? "" : " = ");
  const float width = text_size(theme.bold, left).x;
  ImGui::Dummy({width + text_size(theme.mono, value).x, line_height(theme.bold)});
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw_text(draw, theme.bold, pos, theme.text, left);
  draw_text(draw, theme.mono, {pos.x + width, pos.y + theme.px(1)}, colour, value);
}

void card_tokens(const Theme& theme, std::string_view first, std::string_view join, std::string_view second,
                 ImU32 first_colour, ImU32 second_colour) {
  const ImVec2 pos = ImGui::GetCursorScreenPos();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  float x = pos.x;
  const auto put = [&](std::string_view text, ImU32 colour) {
    if (text.empty()) return;
    draw_visible_text(draw, theme.mono, {x, pos.y}, colour, text);
    x += text_size(theme.mono, text).x + theme.px(8);
  };
  put(first, first_colour ? first_colour : theme.text);
  put(join, theme.dim);
  put(second, second_colour ? second_colour : theme.text);
  ImGui::Dummy({x - pos.x, line_height(theme.mono)});
}

void card_equation(const Theme& theme, std::string_view lhs, Fraction fraction, std::string_view rhs) {
  equation(theme, {{lhs, {}}, {lhs.empty() ? "" : "=", {}}, fraction, {rhs.empty() ? "" : "=", {}}, {rhs, {}}});
}

void card_equation(const Theme& theme, Fraction formula, Fraction numbers, std::string_view result) {
  equation(theme, {formula, {"=", {}}, numbers, {result.empty() ? "" : "=", {}}, {result, {}}});
}

void card_line(const Theme& theme, std::string_view text) {
  const ImVec2 pos = ImGui::GetCursorScreenPos();
  ImGui::Dummy({text_size(theme.mono, text).x, line_height(theme.mono)});
  draw_text(ImGui::GetWindowDrawList(), theme.mono, pos, theme.text, text);
}

void card_row(const Theme& theme, std::string_view label, std::string_view value) {
  const ImVec2 pos = ImGui::GetCursorScreenPos();
  const float column = std::max(theme.px(120), text_size(theme.body, label).x + theme.px(14));
  ImGui::Dummy({column + text_size(theme.mono, value).x, line_height(theme.mono)});
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw_text(draw, theme.body, pos, theme.dim, label);
  draw_visible_text(draw, theme.mono, {pos.x + column, pos.y + theme.px(1)}, theme.text, value);
}

void card_source(const Theme& theme, std::string_view text) {
  ImGui::PushFont(theme.small.font, theme.small.size);
  ImGui::PushStyleColor(ImGuiCol_Text, theme.dim);
  ImGui::PushTextWrapPos(theme.px(320));
  ImGui::TextUnformatted(text.data(), text.data() + text.size());
  ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
  ImGui::PopFont();
}

}  // namespace glassbox
