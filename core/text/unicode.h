// UTF-8 and the few character classes that tokenizers ask for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace glassbox {

// What the regular expressions of pre-tokenizers call \p{L}, \p{N}, \s and none of these. \p{N} is all of Nd, Nl and No
// (so ², Ⅷ and ½ too); \s is Unicode's White_Space (so NBSP and U+0085, but not the zero-width U+200B). These are the
// classes of Oniguruma and of Rust's char::is_numeric, which Hugging Face's tokenizers library uses.
enum class CharClass : uint8_t { letter, number, space, other };

// Most text is ASCII, and the scanners ask for a character's class more than once: its table is at hand.
inline constexpr std::array<CharClass, 128> kAsciiClasses = [] {
  std::array<CharClass, 128> table{};
  for (char32_t c = 0; c < 128; ++c) {
    const char32_t lower = c | 0x20;
    table[c] = lower >= 'a' && lower <= 'z'             ? CharClass::letter
               : c >= '0' && c <= '9'                   ? CharClass::number
               : c == ' ' || (c >= '\t' && c <= '\r') ? CharClass::space
                                                        : CharClass::other;
  }
  return table;
}();
CharClass look_up_class(char32_t code);  // of any character, in Unicode's tables
inline CharClass char_class(char32_t code) {
  return code < kAsciiClasses.size() ? kAsciiClasses[code] : look_up_class(code);
}

// One step through text that may hold bytes that are no UTF-8: such a byte is a character of its own, of length 1.
struct Utf8Char {
  char32_t code;    // U+FFFD when not valid
  uint32_t length;  // 1 … 4 bytes
  bool valid;
};
// Precondition: at < text.size(). Overlong forms, surrogates and codes above U+10FFFF are not valid (RFC 3629).
Utf8Char decode_long_utf8(std::string_view text, size_t at);  // the byte at `at` is no ASCII
inline Utf8Char decode_utf8(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  return first < 0x80 ? Utf8Char{first, 1, true} : decode_long_utf8(text, at);
}
// Precondition: a Unicode scalar value.
void append_utf8(char32_t code, std::string& out);

// Where the first byte lies that is no UTF-8; text.size() when there is none.
size_t find_invalid_utf8(std::string_view text);
// Error (usage) names the byte offset and the byte. `where` says where the text came from, e.g. "--file notes.txt".
Result<void> check_utf8(std::string_view text, const std::string& where);

// The text with U+FFFD for what is no UTF-8: one for each longest start of a valid sequence, as the Unicode standard
// recommends (chapter 3.9, "maximal subpart") and browsers and Python do.
std::string replace_invalid_utf8(std::string_view text);

// For bytes that arrive in parts: how many bytes at the front form complete characters or can never become one. The
// rest (at most 3 bytes) is the start of a sequence that more bytes may complete.
size_t complete_utf8_prefix(std::string_view text);

}  // namespace glassbox
