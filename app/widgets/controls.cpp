#include "app/widgets/controls.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "app/widgets/numbers.h"
#include "app/widgets/token_text.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

// The part of a label that is shown: "copy##pattern" → "copy".
std::string_view shown(std::string_view label) { return label.substr(0, label.find("##")); }

struct Fill {
  ImU32 face, edge, text;
};

Fill button_fill(const Theme& theme, const ButtonLook& look, bool hovered, bool held) {
  if (look.primary) {
    const ImU32 face = held ? mix(theme.accent, theme.text, 0.15f) : hovered ? mix(theme.accent, theme.text, 0.08f)
                                                                               : theme.accent;
    return {face, face, theme.on_accent};
  }
  if (look.active) return {hovered ? mix(theme.selected, theme.text, 0.06f) : theme.selected, theme.accent, theme.text};
  if (look.quiet && !hovered && !held) return {0, 0, theme.text};
  return {held ? theme.pressed : hovered ? theme.hover : theme.raised, theme.line, theme.text};
}

// A button of the given width; `draw` puts the inside onto it.
template <class Draw>
bool button_frame(const Theme& theme, const char* label, float width, const ButtonLook& look, const Draw& draw_inside) {
  const float height = look.height > 0 ? look.height : theme.px(24);
  const ImVec2 min = ImGui::GetCursorScreenPos(), max(min.x + width, min.y + height);
  if (!look.enabled) ImGui::BeginDisabled();
  const bool clicked = press_area(label, {width, height});
  const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  Fill fill = button_fill(theme, look, hovered, held);
  if (!look.enabled) fill.text = theme.faint;
  const float rounding = theme.px(Theme::kRounding);
  if (fill.face) draw->AddRectFilled(min, max, look.enabled ? fill.face : with_alpha(fill.face, 0.5f), rounding);
  if (fill.edge && !look.primary) draw->AddRect(min, max, fill.edge, rounding, 0, theme.hairline());
  draw_inside(draw, min, max, fill.text);
  draw_focus(theme, min, max);
  if (!look.enabled) ImGui::EndDisabled();
  if (!look.hint.empty()) tooltip(theme, look.hint);
  return clicked && look.enabled;
}

float text_y(const TextStyle& style, ImVec2 min, ImVec2 max) {
  const float height = style.font->GetFontBaked(style.size)->Ascent - style.font->GetFontBaked(style.size)->Descent;
  return std::round((min.y + max.y - height) / 2);
}

void draw_dot(ImDrawList* draw, const Theme& theme, ImVec2 centre, bool on, ImU32 colour) {
  const float radius = theme.px(4.5f);
  if (on) draw->AddCircleFilled(centre, radius, colour);
  else draw->AddCircle(centre, radius, colour, 0, std::max(1.0f, theme.scale * 1.3f));
}

void draw_arrow(ImDrawList* draw, const Theme& theme, ImVec2 centre, ImU32 colour) {
  const float s = theme.px(3);
  draw->AddTriangleFilled({centre.x - s, centre.y - s * 0.6f}, {centre.x + s, centre.y - s * 0.6f},
                          {centre.x, centre.y + s * 0.8f}, colour);
}

}  // namespace

bool press_area(const char* id, ImVec2 size) {
  ImGui::PushStyleColor(ImGuiCol_NavCursor, 0u);
  const bool pressed = ImGui::InvisibleButton(id, size, ImGuiButtonFlags_EnableNav);
  ImGui::PopStyleColor();
  return pressed;
}

void begin_list_items() { ImGui::PushItemFlag(ImGuiItemFlags_NoTabStop, true); }
void end_list_items() { ImGui::PopItemFlag(); }

void focus_item() {
  ImGui::SetFocusID(ImGui::GetItemID(), ImGui::GetCurrentWindow());
  ImGui::SetNavCursorVisibleAfterMove();
}

bool item_focused() { return ImGui::IsItemFocused() && ImGui::GetIO().NavVisible; }

void draw_focus(const Theme& theme, ImVec2 min, ImVec2 max) {
  if (!item_focused()) return;
  const float out = theme.px(2);
  ImGui::GetWindowDrawList()->AddRect({min.x - out, min.y - out}, {max.x + out, max.y + out}, theme.accent,
                                      theme.px(Theme::kRounding) + out, 0, theme.px(2));
}

void keep_keys(std::initializer_list<ImGuiKey> keys) {
  // Dear ImGui's own call needs an item that is hovered or held; a key is to work on one that only has the focus.
  for (const ImGuiKey key : keys) ImGui::SetKeyOwner(key, ImGui::GetItemID());
}

bool takes_escape() {
  if (!ImGui::IsWindowFocused(ImGuiFocusedFlags_RootAndChildWindows | ImGuiFocusedFlags_NoPopupHierarchy)) return false;
  ImGui::SetKeyOwner(ImGuiKey_Escape, ImGui::GetID("escape"));
  return ImGui::IsKeyPressed(ImGuiKey_Escape, false);
}

void text_line(const TextStyle& style, ImU32 colour, std::string_view text) {
  const ImVec2 pos = ImGui::GetCursorScreenPos(), size = text_size(style, text);
  ImGui::Dummy({std::ceil(size.x), std::ceil(size.y)});
  draw_text(ImGui::GetWindowDrawList(), style, pos, colour, text);
}

void text_wrapped(const TextStyle& style, ImU32 colour, std::string_view text) {
  ImGui::PushFont(style.font, style.size);
  ImGui::PushStyleColor(ImGuiCol_Text, colour);
  ImGui::PushTextWrapPos(0.0f);
  ImGui::TextUnformatted(text.data(), text.data() + text.size());
  ImGui::PopTextWrapPos();
  ImGui::PopStyleColor();
  ImGui::PopFont();
}

void tooltip(const Theme& theme, std::string_view text) {
  if (!ImGui::IsItemHovered(ImGuiHoveredFlags_AllowWhenDisabled | ImGuiHoveredFlags_DelayShort)) return;
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(10), theme.px(7)));
  if (ImGui::BeginTooltip()) {
    ImGui::PushFont(theme.small.font, theme.small.size);
    ImGui::PushTextWrapPos(theme.px(340));
    ImGui::TextUnformatted(text.data(), text.data() + text.size());
    ImGui::PopTextWrapPos();
    ImGui::PopFont();
    ImGui::EndTooltip();
  }
  ImGui::PopStyleVar();
}

float button_width(const Theme& theme, std::string_view label) {
  return std::ceil(text_size(theme.small, shown(label)).x) + theme.px(20);
}

bool small_button(const Theme& theme, const char* label, const ButtonLook& look) {
  const float width = look.width > 0 ? look.width : button_width(theme, label);
  return button_frame(theme, label, width, look, [&](ImDrawList* draw, ImVec2 min, ImVec2 max, ImU32 colour) {
    const TextStyle& style = look.primary ? theme.small_bold : theme.small;
    const std::string text = fit_text(style, shown(label), max.x - min.x - theme.px(8));
    draw_text(draw, style, {(min.x + max.x - text_size(style, text).x) / 2, text_y(style, min, max)}, colour, text);
  });
}

float toggle_width(const Theme& theme, std::string_view label) { return button_width(theme, label) + theme.px(15); }

bool toggle(const Theme& theme, const char* label, bool on, const ButtonLook& look) {
  return button_frame(theme, label, look.width > 0 ? look.width : toggle_width(theme, label), look,
                      [&](ImDrawList* draw, ImVec2 min, ImVec2 max, ImU32 colour) {
                        draw_text(draw, theme.small, {min.x + theme.px(10), text_y(theme.small, min, max)}, colour,
                                  shown(label));
                        draw_dot(draw, theme, {max.x - theme.px(14), std::round((min.y + max.y) / 2)}, on, colour);
                      });
}

float dropdown_width(const Theme& theme, std::string_view label) { return button_width(theme, label) + theme.px(11); }

bool begin_dropdown(const Theme& theme, const char* label, const ButtonLook& look) {
  const ImVec2 min = ImGui::GetCursorScreenPos();
  const float width = look.width > 0 ? look.width : dropdown_width(theme, label);
  ImGui::PushID(label);
  const bool clicked = button_frame(theme, label, width, look, [&](ImDrawList* draw, ImVec2 low, ImVec2 high, ImU32 colour) {
    draw_text(draw, theme.small, {low.x + theme.px(10), text_y(theme.small, low, high)}, colour,
              fit_text(theme.small, shown(label), high.x - low.x - theme.px(28)));
    draw_arrow(draw, theme, {high.x - theme.px(12), std::round((low.y + high.y) / 2)}, colour);
  });
  const float bottom = ImGui::GetItemRectMax().y;
  if (clicked) ImGui::OpenPopup("##menu");
  ImGui::SetNextWindowPos({min.x, bottom + theme.px(4)}, ImGuiCond_Appearing);
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(6), theme.px(6)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  const bool open = ImGui::BeginPopup("##menu");
  if (!open) {
    ImGui::PopFont();
    ImGui::PopStyleVar();
    ImGui::PopID();
  }
  return open;
}

void end_dropdown() {
  ImGui::EndPopup();
  ImGui::PopFont();
  ImGui::PopStyleVar();
  ImGui::PopID();
}

int dropdown(const Theme& theme, const char* id, std::string_view prefix, int current,
             std::span<const std::string> items, const ButtonLook& look) {
  std::string label(prefix);
  if (current >= 0 && current < static_cast<int>(items.size())) label += items[static_cast<size_t>(current)];
  int chosen = -1;
  ImGui::PushID(id);
  // The identity must not change with the choice, or the menu would close under the pointer.
  const std::string full = label + "##dropdown";
  ButtonLook own = look;
  if (own.width <= 0) own.width = dropdown_width(theme, label);
  const ImVec2 min = ImGui::GetCursorScreenPos();
  const bool clicked = button_frame(theme, "##button", own.width, own, [&](ImDrawList* draw, ImVec2 low, ImVec2 high, ImU32 colour) {
    draw_text(draw, theme.small, {low.x + theme.px(10), text_y(theme.small, low, high)}, colour,
              fit_text(theme.small, label, high.x - low.x - theme.px(28)));
    draw_arrow(draw, theme, {high.x - theme.px(12), std::round((low.y + high.y) / 2)}, colour);
  });
  const float bottom = ImGui::GetItemRectMax().y;
  if (clicked) ImGui::OpenPopup("##menu");
  ImGui::SetNextWindowPos({min.x, bottom + theme.px(4)}, ImGuiCond_Appearing);
  ImGui::SetNextWindowSizeConstraints({own.width, 0}, {theme.px(480), theme.px(420)});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(theme.px(6), theme.px(6)));
  ImGui::PushFont(theme.body.font, theme.body.size);
  if (ImGui::BeginPopup("##menu")) {
    for (int i = 0; i < static_cast<int>(items.size()); ++i) {
      ImGui::PushID(i);
      if (ImGui::Selectable(items[static_cast<size_t>(i)].c_str(), i == current)) chosen = i;
      if (i == current && ImGui::IsWindowAppearing()) ImGui::SetScrollHereY();
      ImGui::PopID();
    }
    ImGui::EndPopup();
  }
  ImGui::PopFont();
  ImGui::PopStyleVar();
  ImGui::PopID();
  return chosen;
}

namespace {

float snap(float value, const SliderRange& range) {
  if (range.step > 0) value = std::round(value / range.step) * range.step;
  return std::clamp(value, range.min, range.max);
}

// Place of a value on the track, 0 … 1. On a logarithmic track from 0 the value 0 has the first stop for itself.
float place_of(float value, const SliderRange& range) {
  if (!range.logarithmic) return (value - range.min) / (range.max - range.min);
  const float low = range.min > 0 ? range.min : range.step;
  if (value < low) return 0;
  const float first = range.min > 0 ? 0.0f : 0.04f;
  return first + (1 - first) * std::log(value / low) / std::log(range.max / low);
}

float value_at(float place, const SliderRange& range) {
  if (!range.logarithmic) return range.min + place * (range.max - range.min);
  const float low = range.min > 0 ? range.min : range.step;
  const float first = range.min > 0 ? 0.0f : 0.04f;
  if (place < first) return range.min;
  return low * std::pow(range.max / low, (place - first) / (1 - first));
}

// The box right of a slider: the value, which can be typed.
bool value_box(const Theme& theme, float* value, const SliderRange& range, float width, float height) {
  ImGuiStorage* storage = ImGui::GetStateStorage();
  const ImGuiID editing = ImGui::GetID("editing");
  const ImVec2 min = ImGui::GetCursorScreenPos(), max(min.x + width, min.y + height);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const bool off = !range.off.empty() && *value == range.off_value;
  const std::string text = off ? std::string(range.off) : format_fixed(*value, range.decimals);
  bool changed = false;
  if (storage->GetBool(editing)) {
    static constexpr size_t kSize = 32;
    char buffer[kSize] = "";
    std::snprintf(buffer, kSize, "%s", format_fixed(*value, range.decimals).c_str());
    ImGui::PushFont(theme.mono.font, theme.mono.size);
    ImGui::SetNextItemWidth(width);
    ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, ImVec2(theme.px(8), std::max(0.0f, (height - theme.mono.size) / 2 - 1)));
    const ImGuiID first = ImGui::GetID("first");
    if (storage->GetBool(first)) ImGui::SetKeyboardFocusHere(), storage->SetBool(first, false);
    const bool done = ImGui::InputText("##value", buffer, kSize,
                                       ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_AutoSelectAll |
                                           ImGuiInputTextFlags_CharsScientific);
    const bool left = ImGui::IsItemDeactivated();
    ImGui::PopStyleVar();
    ImGui::PopFont();
    if (done || left) {
      char* end = nullptr;
      const float typed = std::strtof(buffer, &end);
      const bool cancelled = ImGui::IsKeyPressed(ImGuiKey_Escape, false);
      if (end != buffer && std::isfinite(typed) && !cancelled) {
        changed = typed != *value;
        *value = typed;
      }
      storage->SetBool(editing, false);
    }
    return changed;
  }
  if (press_area("##box", {width, height})) {
    storage->SetBool(editing, true);
    storage->SetBool(ImGui::GetID("first"), true);
  }
  const bool hovered = ImGui::IsItemHovered();
  draw->AddRectFilled(min, max, hovered ? theme.hover : theme.well, theme.px(Theme::kRounding));
  draw->AddRect(min, max, theme.line, theme.px(Theme::kRounding), 0, theme.hairline());
  draw_text(draw, theme.mono, {max.x - theme.px(10) - text_size(theme.mono, text).x, text_y(theme.mono, min, max)},
            off ? theme.dim : theme.text, text);
  draw_focus(theme, min, max);
  tooltip(theme, "click to type a value");
  return changed;
}

}  // namespace

bool slider(const Theme& theme, const char* label, float* value, const SliderRange& range) {
  const float total = ImGui::GetContentRegionAvail().x;
  const float height = theme.px(28), gap = theme.px(12);
  const float box = theme.px(60);
  // In a narrow panel the label gives way, down to its own width; in a very narrow one it stands above.
  const float wish = theme.px(range.label_width), text_width = std::ceil(text_size(theme.body, shown(label)).x);
  const bool above = total < text_width + box + 2 * gap + theme.px(70);
  const float room = total - box - 2 * gap - theme.px(120);
  const float label_width = above ? total : std::clamp(room, std::min(text_width, wish), std::max(text_width, wish));
  const float track = above ? std::max(total - box - gap, theme.px(30)) : std::max(total - label_width - box - 2 * gap, theme.px(30));
  ImVec2 origin = ImGui::GetCursorScreenPos();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  ImGui::PushID(label);
  ImGui::BeginGroup();

  ImGui::Dummy({std::max(label_width, 1.0f), above ? theme.px(22) : height});
  const std::string fitted = fit_text(theme.body, shown(label), label_width);
  draw_text(draw, theme.body, {origin.x, text_y(theme.body, origin, {origin.x, origin.y + (above ? theme.px(22) : height)})}, theme.text,
            fitted);
  if (!range.hint.empty()) tooltip(theme, range.hint);

  if (above) origin.y += theme.px(22);
  ImGui::SetCursorScreenPos({above ? origin.x : origin.x + label_width + gap, origin.y});
  const ImVec2 min = ImGui::GetCursorScreenPos();
  const float radius = theme.px(8), y = std::round(min.y + height / 2), line = theme.px(4);
  ImGui::SetNextItemAllowOverlap();
  press_area("##track", {track, height});
  const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive();
  float next = *value;
  if (held && ImGui::IsMouseDown(ImGuiMouseButton_Left)) {
    const float place = (ImGui::GetIO().MousePos.x - min.x - radius) / (track - 2 * radius);
    next = snap(value_at(std::clamp(place, 0.0f, 1.0f), range), range);
  } else if (ImGui::IsItemFocused()) {
    const float step = ImGui::GetIO().KeyShift ? range.step * 10 : range.step;
    if (ImGui::IsKeyPressed(ImGuiKey_RightArrow)) next = snap(*value + step, range);
    if (ImGui::IsKeyPressed(ImGuiKey_LeftArrow)) next = snap(*value - step, range);
    // The arrows are ours while the track has the focus.
    keep_keys({ImGuiKey_LeftArrow, ImGuiKey_RightArrow});
  }
  bool changed = next != *value;
  *value = next;
  const float place = std::clamp(place_of(*value, range), 0.0f, 1.0f);
  const float knob = min.x + radius + place * (track - 2 * radius);
  draw->AddRectFilled({min.x, y - line / 2}, {min.x + track, y + line / 2}, theme.line, line / 2);
  draw->AddRectFilled({min.x, y - line / 2}, {knob, y + line / 2}, theme.accent, line / 2);
  if (hovered || held || item_focused())
    draw->AddCircleFilled({knob, y}, radius + theme.px(4), with_alpha(theme.accent, 0.25f));
  draw->AddCircleFilled({knob, y}, radius, theme.kind == ThemeKind::dark ? theme.text : theme.surface);
  if (theme.kind == ThemeKind::light) draw->AddCircle({knob, y}, radius, theme.accent, 0, theme.px(1.5f));

  ImGui::SetCursorScreenPos({min.x + track + gap, origin.y});
  changed |= value_box(theme, value, range, box, height);
  ImGui::EndGroup();
  ImGui::PopID();
  return changed;
}

void draw_bar(ImDrawList* draw, const Theme& theme, ImVec2 min, ImVec2 size, float fraction, ImU32 colour, bool outline) {
  if (!(fraction > 0)) return;
  const float width = std::max(std::round(size.x * std::min(fraction, 1.0f)), 1.0f);
  const ImVec2 max(min.x + width, min.y + size.y);
  const float rounding = std::min({theme.px(2), width / 2, size.y / 2});
  if (outline && width > 3) draw->AddRect(min, max, colour, rounding, 0, theme.hairline());
  else draw->AddRectFilled(min, max, colour, rounding);
}

namespace {

// A run of colours as quads of one gradient each.
void draw_gradient(ImDrawList* draw, const ColourMap& map, ImVec2 min, ImVec2 max, bool upright) {
  constexpr int kBands = 32;
  for (int i = 0; i < kBands; ++i) {
    const float t0 = static_cast<float>(i) / kBands, t1 = static_cast<float>(i + 1) / kBands;
    const ImU32 from = map.at(t0), to = map.at(t1);
    if (upright) {
      const float y0 = max.y - (max.y - min.y) * t0, y1 = max.y - (max.y - min.y) * t1;
      draw->AddRectFilledMultiColor({min.x, y1}, {max.x, y0}, to, to, from, from);
    } else {
      const float x0 = min.x + (max.x - min.x) * t0, x1 = min.x + (max.x - min.x) * t1;
      draw->AddRectFilledMultiColor({x0, min.y}, {x1, max.y}, from, to, to, from);
    }
  }
}

}  // namespace

void draw_colour_bar(ImDrawList* draw, const Theme& theme, const ColourMap& map, ImVec2 min, ImVec2 size,
                     std::span<const std::string> labels) {
  const ImVec2 max(min.x + size.x, min.y + size.y);
  draw_gradient(draw, map, min, max, true);
  draw->AddRect(min, max, theme.line, 0, 0, theme.hairline());
  const float last = std::max(static_cast<float>(labels.size()) - 1, 1.0f);
  for (size_t i = 0; i < labels.size(); ++i) {
    const float y = max.y - size.y * static_cast<float>(i) / last;
    draw_text(draw, theme.mono_small, {max.x + theme.px(7), y - theme.mono_small.size * 0.5f}, theme.dim, labels[i]);
  }
}

void draw_colour_strip(ImDrawList* draw, const Theme& theme, const ColourMap& map, ImVec2 min, ImVec2 size,
                       std::string_view limits) {
  const ImVec2 max(min.x + size.x, min.y + size.y);
  draw_gradient(draw, map, min, max, false);
  draw->AddRect(min, max, theme.line, 0, 0, theme.hairline());
  draw_text(draw, theme.mono_small, {max.x + theme.px(8), text_y(theme.mono_small, min, max)}, theme.dim, limits);
}

void draw_key(ImDrawList* draw, const Theme& theme, ImVec2 min, std::string_view key) {
  const ImVec2 size = text_size(theme.small, key);
  const ImVec2 max(min.x + size.x + theme.px(12), min.y + theme.px(19));
  draw->AddRect(min, max, theme.line, theme.px(4), 0, theme.hairline());
  draw_text(draw, theme.small, {min.x + theme.px(6), text_y(theme.small, min, max)}, theme.dim, key);
}

void fade_scrolled_edges(const Theme& theme, ImU32 ground) {
  const ImGuiWindow* window = ImGui::GetCurrentWindow();
  if (window->Flags & ImGuiWindowFlags_NoScrollWithMouse) return;  // a fixed figure: what lies outside is nothing to go to
  ImRect r = window->InnerRect;
  r.Expand({-theme.px(4), 0});  // the rounded corners of a panel stay
  const float reach = std::min(theme.px(26), r.GetHeight() / 3);
  const ImU32 clear = with_alpha(ground, 0);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw->PushClipRect(r.Min, r.Max, true);
  if (window->Scroll.y > 0) draw->AddRectFilledMultiColor(r.Min, {r.Max.x, r.Min.y + reach}, ground, ground, clear, clear);
  if (window->Scroll.y < window->ScrollMax.y) draw->AddRectFilledMultiColor({r.Min.x, r.Max.y - reach}, r.Max, clear, clear, ground, ground);
  draw->PopClipRect();
}

void draw_waiting(const Theme& theme, std::string_view text, float progress) {
  const ImVec2 area = ImGui::GetContentRegionAvail(), origin = ImGui::GetCursorScreenPos();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const std::string line = fit_text(theme.body, text, area.x - theme.px(16));
  const ImVec2 size = text_size(theme.body, line);
  const ImVec2 pos(origin.x + std::max(0.0f, (area.x - size.x) / 2), origin.y + std::max(0.0f, (area.y - size.y) / 2));
  ImGui::Dummy({std::max(1.0f, area.x), std::max(1.0f, std::min(area.y, size.y))});
  draw_text(draw, theme.body, pos, theme.dim, line);
  if (progress < 0) return;
  const float width = std::min(theme.px(160), area.x), y = pos.y + size.y + theme.px(8);
  const float x = origin.x + (area.x - width) / 2;
  draw->AddRectFilled({x, y}, {x + width, y + theme.px(3)}, theme.line, theme.px(1.5f));
  draw->AddRectFilled({x, y}, {x + width * std::min(progress, 1.0f), y + theme.px(3)}, theme.accent, theme.px(1.5f));
}

}  // namespace glassbox
