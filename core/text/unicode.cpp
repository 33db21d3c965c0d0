#include "core/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace glassbox {

namespace {

struct Range {
  char32_t first, last;
};

// Letters and numbers that Unicode 15.1, 16 and 17 added (DerivedGeneralCategory.txt). The system's utf8proc may be
// older (2.8 has Unicode 15.0); without these its answer, "unassigned", would depend on the machine.
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3}, {0x10D4A, 0x10D65},
    {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
    {0x11390, 0x113B5}, {0x113B7, 0x113B7}, {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0},
    {0x13460, 0x143FA}, {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D},
};
constexpr Range kNewNumbers[] = {
    {0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x11DE0, 0x11DE9}, {0x16130, 0x16139},
    {0x16D70, 0x16D79}, {0x16FF4, 0x16FF6}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA},
};

template <size_t kCount>
bool contains(const Range (&ranges)[kCount], char32_t code) {
  const Range* at = std::upper_bound(std::begin(ranges), std::end(ranges), code,
                                     [](char32_t c, const Range& range) { return c < range.first; });
  return at != std::begin(ranges) && code <= std::prev(at)->last;
}

bool is_space(char32_t code) {
  // White_Space of PropList.txt, all 25.
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

uint8_t byte_at(std::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]);
}

// How a sequence goes on after its first byte (Unicode standard, table 3-7): its length, and the range of the second
// byte, which is where overlong forms, surrogates and too large codes are excluded. All further bytes are 80…BF.
struct Lead {
  uint32_t length;  // 0: no sequence starts with this byte
  uint8_t second_first, second_last;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

struct Sequence {
  uint32_t length;  // bytes that fit; at least 1
  bool valid;       // complete
  bool open;        // the text ended before it was complete
};

// The longest start of a valid sequence at `at`.
Sequence match_sequence(std::string_view text, size_t at) {
  const Lead lead = lead_of(byte_at(text, at));
  if (lead.length == 0) return {1, false, false};
  for (uint32_t i = 1; i < lead.length; ++i) {
    if (at + i == text.size()) return {i, false, true};
    const uint8_t byte = byte_at(text, at + i);
    const uint8_t first = i == 1 ? lead.second_first : 0x80;
    const uint8_t last = i == 1 ? lead.second_last : 0xBF;
    if (byte < first || byte > last) return {i, false, false};
  }
  return {lead.length, true, false};
}

constexpr char32_t kReplacement = 0xFFFD;

}  // namespace

CharClass look_up_class(char32_t code) {
  if (is_space(code)) return CharClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_CN:
      if (contains(kNewLetters, code)) return CharClass::letter;
      if (contains(kNewNumbers, code)) return CharClass::number;
      return CharClass::other;
    default:
      return CharClass::other;
  }
}

Utf8Char decode_long_utf8(std::string_view text, size_t at) {
  const uint8_t first = byte_at(text, at);
  const Sequence sequence = match_sequence(text, at);
  if (!sequence.valid) return {kReplacement, 1, false};
  char32_t code = first & (0x7Fu >> sequence.length);
  for (uint32_t i = 1; i < sequence.length; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3Fu);
  return {code, sequence.length, true};
}

void append_utf8(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;  // bytes after the first
  const char32_t lead = more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0;
  out += static_cast<char>(lead | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = match_sequence(text, at);
    if (!sequence.valid) return at;
    at += sequence.length;
  }
  return text.size();
}

Result<void> check_utf8(std::string_view text, const std::string& where) {
  const size_t at = find_invalid_utf8(text);
  if (at == text.size()) return {};
  char byte[8];
  std::snprintf(byte, sizeof byte, "0x%02X", byte_at(text, at));
  return Error{ErrorKind::usage, std::string("the text is not valid UTF-8: byte ") + byte + " does not fit",
               where + ", byte offset " + std::to_string(at), "UTF-8 text",
               "convert the text to UTF-8, for example with iconv"};
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Sequence sequence = match_sequence(text, at);
    if (sequence.valid) {
      out += text.substr(at, sequence.length);
    } else {
      append_utf8(kReplacement, out);
    }
    at += sequence.length;
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  // Only the last three bytes can belong to an unfinished sequence.
  const size_t start = text.size() < 3 ? 0 : text.size() - 3;
  for (size_t at = start; at < text.size(); ++at) {
    if (lead_of(byte_at(text, at)).length > 1 && match_sequence(text, at).open) return at;
  }
  return text.size();
}

}  // namespace glassbox
