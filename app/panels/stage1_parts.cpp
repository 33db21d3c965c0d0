#include "app/panels/stage1_parts.h"

#include <cmath>

#include "app/widgets/widgets.h"

namespace glassbox {

void FlowLayout::add_together(const std::vector<float>& widths, std::vector<Place>& places) {
  float total = -gap_;
  for (const float width : widths) total += width + gap_;
  if (x_ > 0 && x_ + total > width_ && total <= width_) x_ = 0, ++line_;
  for (const float width : widths) {
    if (x_ > 0 && x_ + width > width_) x_ = 0, ++line_;
    places.push_back({x_, line_});
    x_ += width + gap_;
  }
}

bool draw_without_model(const FrameContext& context, std::string_view subject) {
  if (!context.model()) {
    if (context.bench.loading()) {
      draw_waiting(context.theme, std::string(subject) + " when the model has been loaded", context.bench.load_progress());
    } else {
      draw_waiting(context.theme, "No model: drop a GGUF file on the window");
    }
    return true;
  }
  if (context.document().shown_tokens().empty()) {
    draw_waiting(context.theme, "Type in the prompt bar: " + std::string(subject) + " at every key");
    return true;
  }
  return false;
}

SpotAnswer spot(const FrameContext& context, const char* id, ImVec2 min, ImVec2 max, bool way_in) {
  ImGui::SetCursorScreenPos(min);
  SpotAnswer answer;
  if (!way_in) begin_list_items();
  answer.clicked = press_area(id, {std::max(1.0f, max.x - min.x), std::max(1.0f, max.y - min.y)});
  if (!way_in) end_list_items();
  answer.hovered = ImGui::IsItemHovered();
  draw_focus(context.theme, min, max);
  return answer;
}

void value_menu(FrameContext& context, const char* id, std::string_view value) {
  if (!ImGui::IsItemHovered() && !item_focused() && !ImGui::IsPopupOpen(id)) return;
  if (begin_value_menu(context, id, value)) end_value_menu();
}

ImU32 symbol_fill(const Theme& theme) { return mix(theme.surface, theme.text, theme.kind == ThemeKind::dark ? 0.05f : 0.07f); }

float middle_of(const TextStyle& style, float top, float bottom) {
  const ImFontBaked* baked = style.font->GetFontBaked(style.size);
  return std::round((top + bottom - (baked->Ascent - baked->Descent)) / 2);
}

float note_width(const std::vector<NotePart>& parts) {
  float width = 0;
  for (const NotePart& part : parts) width += text_size(*part.style, part.text).x;
  return std::ceil(width);
}

bool note_item(const FrameContext& context, const char* id, const std::vector<NotePart>& parts) {
  const ImVec2 min = ImGui::GetCursorScreenPos();
  const float height = context.theme.px(24);
  const SpotAnswer answer = spot(context, id, min, {min.x + note_width(parts), min.y + height});
  float x = min.x;
  for (const NotePart& part : parts) {
    draw_text(ImGui::GetWindowDrawList(), *part.style, {x, middle_of(*part.style, min.y, min.y + height)}, part.colour, part.text);
    x += text_size(*part.style, part.text).x;
  }
  return answer.hovered;
}

}  // namespace glassbox
