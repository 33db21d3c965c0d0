#include "app/cli/terminal.h"

#include <utf8proc.h>

#include <algorithm>
#include <cmath>

#include "core/text/unicode.h"

namespace glassbox {
namespace {

void append_byte(std::string& out, char byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  out += "‹";
  out += kDigits[value >> 4];
  out += kDigits[value & 15];
  out += "›";
}

// Control, format (zero width, direction marks) and private characters, and line separators: a terminal draws nothing,
// or obeys.
bool is_invisible(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return true;
    default:
      return false;
  }
}

std::string sequence(int kind, Rgb colour) {
  return "\033[" + std::to_string(kind) + ";2;" + std::to_string(colour >> 16 & 255) + ";" +
         std::to_string(colour >> 8 & 255) + ";" + std::to_string(colour & 255) + "m";
}

}  // namespace

std::string visible_bytes(std::string_view bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, at);
    if (c.code == ' ') {
      out += "·";
    } else if (c.code == '\n') {
      out += "↵";
    } else if (c.code == '\t') {
      out += "⇥";
    } else if (c.code == '\r') {
      out += "␍";
    } else if (!c.valid || is_invisible(c.code)) {
      for (size_t i = at; i < at + c.length; ++i) append_byte(out, bytes[i]);
    } else {
      out += bytes.substr(at, c.length);
    }
    at += c.length;
  }
  return out;
}

int display_width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    width += utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.code));
    at += c.length;
  }
  return width;
}

std::string fit_columns(std::string_view text, int columns) {
  const int width = display_width(text);
  if (width <= columns) return std::string(text) + std::string(static_cast<size_t>(columns - width), ' ');
  size_t end = 0;
  int used = 0;
  while (end < text.size()) {
    const Utf8Char c = decode_utf8(text, end);
    const int next = used + utf8proc_charwidth(static_cast<utf8proc_int32_t>(c.code));
    if (next > columns - 1) break;
    used = next;
    end += c.length;
  }
  return std::string(text.substr(0, end)) + "…" +
         std::string(static_cast<size_t>(std::max(columns - 1 - used, 0)), ' ');
}

std::vector<std::string> wrap_words(std::string_view text, int columns) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    const bool fits = display_width(lines.back()) + 1 + display_width(word) <= columns;
    if (lines.back().empty())
      lines.back() = word;
    else if (fits)
      lines.back().append(" ").append(word);
    else
      lines.emplace_back(word);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
  return lines;
}

std::string right_align(std::string_view text, int columns) {
  return std::string(static_cast<size_t>(std::max(columns - display_width(text), 0)), ' ') + std::string(text);
}

std::string Paint::text(Rgb colour) const {
  return on_ ? sequence(38, colour) : "";
}
std::string Paint::ground(Rgb colour) const {
  return on_ ? sequence(48, colour) : "";
}
std::string Paint::reset() const {
  return on_ ? "\033[0m" : "";
}

Rgb blend(Rgb a, Rgb b, Rgb c, double t) {
  t = std::clamp(t, 0.0, 1.0);
  const Rgb from = t < 0.5 ? a : b, to = t < 0.5 ? b : c;
  const double share = t < 0.5 ? t * 2 : t * 2 - 1;
  Rgb out = 0;
  for (int shift = 16; shift >= 0; shift -= 8) {
    const double low = from >> shift & 255, high = to >> shift & 255;
    out = out << 8 | static_cast<Rgb>(std::lround(low + (high - low) * share));
  }
  return out;
}

}  // namespace glassbox
