#include "app/widgets/token_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "app/widgets/controls.h"
#include "core/text/tokenizer.h"

namespace glassbox {

namespace {

// One character of UTF-8 at the front of `bytes`: its length in bytes, or 0 when it is none (also surrogates, overlong
// forms and what lies beyond U+10FFFF).
int read_utf8(std::string_view bytes, uint32_t& codepoint) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])); };
  const uint32_t first = byte(0);
  if (first < 0x80) {
    codepoint = first;
    return 1;
  }
  const int length = first >= 0xF0 && first <= 0xF4 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (first > 0xF4 || length == 0 || bytes.size() < static_cast<size_t>(length)) return 0;
  codepoint = first & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) {
    const uint32_t next = byte(static_cast<size_t>(i));
    if ((next & 0xC0u) != 0x80u) return 0;
    codepoint = codepoint << 6 | (next & 0x3Fu);
  }
  const bool overlong = (length == 3 && codepoint < 0x800) || (length == 4 && codepoint < 0x10000);
  const bool surrogate = codepoint >= 0xD800 && codepoint <= 0xDFFF;
  return overlong || surrogate || codepoint > 0x10FFFF ? 0 : length;
}

void append_byte(std::string& out, char byte) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "‹%02X›", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  out += text.data();
}

// Characters that no font draws as anything, though they have a code: they would vanish in a chip.
bool is_invisible(uint32_t c) {
  return (c >= 0x80 && c <= 0xA0) || c == 0xAD || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x2800 || c == 0x3000 || c == 0x3164 || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || (c >= 0xE0000 && c <= 0xE01EF);
}

bool starts_mark(std::string_view text, size_t at, size_t& length) {
  for (const std::string_view mark : {"·", "↵", "⇥", "␍"}) {
    if (text.substr(at, mark.size()) == mark) {
      length = mark.size();
      return true;
    }
  }
  constexpr std::string_view open = "‹", close = "›";
  if (text.substr(at, open.size()) != open) return false;
  const size_t end = text.find(close, at);
  if (end == std::string_view::npos || end - at > open.size() + 2) return false;
  length = end - at + close.size();
  return true;
}

}  // namespace

std::string visible_text(const Theme& theme, std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const char byte = bytes[i];
    if (byte == ' ') out += "·", ++i;
    else if (byte == '\n') out += "↵", ++i;
    else if (byte == '\t') out += "⇥", ++i;
    else if (byte == '\r') out += "␍", ++i;
    else if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F) append_byte(out, byte), ++i;
    else {
      uint32_t codepoint = 0;
      const int length = read_utf8(bytes.substr(i), codepoint);
      if (length == 0) {
        append_byte(out, byte), ++i;
      } else if (codepoint >= 0x80 && (is_invisible(codepoint) || !theme.has_glyph(codepoint))) {
        for (int k = 0; k < length; ++k, ++i) append_byte(out, bytes[i]);
      } else {
        out.append(bytes.substr(i, static_cast<size_t>(length)));
        i += static_cast<size_t>(length);
      }
    }
  }
  return out;
}

std::string token_text(const Theme& theme, const Tokenizer& tokenizer, int32_t id) {
  return visible_text(theme, tokenizer.bytes_of(id));
}

ImVec2 text_size(const TextStyle& style, std::string_view text) {
  if (text.empty()) return {0, style.size};  // an empty view may have no data at all
  return style.font->CalcTextSizeA(style.size, FLT_MAX, 0.0f, text.data(), text.data() + text.size());
}

std::string fit_text(const TextStyle& style, std::string_view text, float width) {
  if (text_size(style, text).x <= width) return std::string(text);
  const float dots = text_size(style, "…").x;
  const char* end = text.data();
  style.font->CalcTextSizeA(style.size, std::max(width - dots, 0.0f), 0.0f, text.data(), text.data() + text.size(), &end);
  size_t length = static_cast<size_t>(end - text.data());
  while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0u) == 0x80u) --length;
  return std::string(text.substr(0, length)) + "…";
}

void draw_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text) {
  if (text.empty()) return;
  draw->AddText(style.font, style.size, {std::round(pos.x), std::round(pos.y)}, colour, text.data(),
                text.data() + text.size());
}

void draw_visible_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text) {
  const ImU32 quiet = with_alpha(colour, 0.5f);
  size_t run = 0;
  const auto flush = [&](size_t end) {
    if (end == run) return;
    const std::string_view part = text.substr(run, end - run);
    draw_text(draw, style, pos, colour, part);
    pos.x += text_size(style, part).x;
  };
  for (size_t i = 0; i < text.size();) {
    size_t length = 0;
    if (!starts_mark(text, i, length)) {
      ++i;
      continue;
    }
    flush(i);
    const std::string_view mark = text.substr(i, length);
    // Bytes are what there is to read in such a token; only white space stands back.
    draw_text(draw, style, pos, mark.size() > 3 ? with_alpha(colour, 0.85f) : quiet, mark);
    pos.x += text_size(style, mark).x;
    i += length;
    run = i;
  }
  flush(text.size());
}

void draw_turned_text(ImDrawList* draw, const TextStyle& style, ImVec2 pos, ImU32 colour, std::string_view text,
                      float degrees) {
  const int first = draw->VtxBuffer.Size;
  const ImVec2 size = text_size(style, text);
  draw_visible_text(draw, style, {pos.x, pos.y - size.y / 2}, colour, text);
  const float angle = -degrees * 3.14159265f / 180.0f, c = std::cos(angle), s = std::sin(angle);
  const ImVec2 pivot(std::round(pos.x), std::round(pos.y));
  for (int i = first; i < draw->VtxBuffer.Size; ++i) {
    ImVec2& p = draw->VtxBuffer[i].pos;
    const ImVec2 d(p.x - pivot.x, p.y - pivot.y);
    p = {pivot.x + c * d.x - s * d.y, pivot.y + s * d.x + c * d.y};
  }
}

ImVec2 chip_size(const Theme& theme, std::string_view text, bool large) {
  const TextStyle& style = large ? theme.mono_large : theme.mono;
  const float width = std::ceil(text_size(style, text).x);
  return large ? ImVec2(width + theme.px(14), theme.px(34)) : ImVec2(width + theme.px(12), theme.px(27));
}

void draw_chip(ImDrawList* draw, const Theme& theme, ImVec2 min, std::string_view text, const ChipLook& look) {
  const TextStyle& style = look.large ? theme.mono_large : theme.mono;
  const ImVec2 size = chip_size(theme, text, look.large);
  const ImVec2 max(min.x + size.x, min.y + size.y);
  const float rounding = theme.px(Theme::kChipRounding);
  const ImU32 colour = with_alpha(look.text ? look.text : theme.text, look.alpha);
  if (look.fill) draw->AddRectFilled(min, max, with_alpha(look.fill, look.alpha), rounding);
  if (look.dashed) {
    // Dashes along the outline; the corners stay open, which at this radius reads as round.
    const float dash = theme.px(4), gap = theme.px(3), line = theme.hairline();
    const auto dashes = [&](ImVec2 from, ImVec2 to) {
      const float length = std::max(std::abs(to.x - from.x), std::abs(to.y - from.y));
      const ImVec2 step((to.x - from.x) / length, (to.y - from.y) / length);
      for (float at = 0; at < length; at += dash + gap) {
        const float end = std::min(at + dash, length);
        draw->AddLine({from.x + step.x * at, from.y + step.y * at}, {from.x + step.x * end, from.y + step.y * end}, colour,
                      line);
      }
    };
    const float half = line / 2, r = rounding / 2;
    dashes({min.x + r, min.y + half}, {max.x - r, min.y + half});
    dashes({min.x + r, max.y - half}, {max.x - r, max.y - half});
    dashes({min.x + half, min.y + r}, {min.x + half, max.y - r});
    dashes({max.x - half, min.y + r}, {max.x - half, max.y - r});
  } else if (!look.fill) {
    draw->AddRect(min, max, with_alpha(theme.line, look.alpha), rounding, 0, theme.hairline());
  }
  if (look.generated) {
    const float line = theme.px(2);
    draw->AddRectFilled({min.x + rounding, max.y - line}, {max.x - rounding, max.y},
                        with_alpha(theme.logits, look.alpha * 0.8f));
  }
  if (look.ring) {
    const float line = std::max(theme.px(2), 1.0f);
    draw->AddRect({min.x - line / 2, min.y - line / 2}, {max.x + line / 2, max.y + line / 2},
                  with_alpha(look.ring, look.alpha), rounding + line / 2, 0, line);
  }
  const float inset = (size.x - std::ceil(text_size(style, text).x)) / 2;
  draw_visible_text(draw, style, {min.x + inset, min.y + (size.y - style.size) / 2}, colour, text);
}

ChipAnswer token_chip(const Theme& theme, const char* id, std::string_view text, const ChipLook& look) {
  ChipAnswer answer;
  const ImVec2 size = chip_size(theme, text, look.large);
  answer.min = ImGui::GetCursorScreenPos();
  answer.max = {answer.min.x + size.x, answer.min.y + size.y};
  answer.clicked = press_area(id, size);
  answer.hovered = ImGui::IsItemHovered();
  answer.right_clicked = ImGui::IsItemClicked(ImGuiMouseButton_Right);
  answer.double_clicked = answer.hovered && ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left);
  draw_chip(ImGui::GetWindowDrawList(), theme, answer.min, text, look);
  draw_focus(theme, answer.min, answer.max);
  return answer;
}

}  // namespace glassbox
