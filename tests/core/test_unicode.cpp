#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/detokenizer.h"
#include "core/text/unicode.h"

using namespace glassbox;

namespace {

constexpr std::string_view kReplacement = "\uFFFD";

std::string bytes(std::initializer_list<int> list) {
  std::string out;
  for (const int b : list) out += static_cast<char>(b);
  return out;
}

std::string replacements(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += kReplacement;
  return out;
}

}  // namespace

TEST_CASE("every character survives encoding and decoding") {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    append_utf8(code, text);
    const Utf8Char c = decode_utf8(text, 0);
    const size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    const bool right = c.valid && c.code == code && c.length == length && text.size() == length &&
                       find_invalid_utf8(text) == length && complete_utf8_prefix(text) == length;
    if (!right) FAIL("U+" << std::hex << static_cast<uint32_t>(code));
    for (size_t cut = 1; cut < length; ++cut) {  // cut short it is invalid, and waits for more
      const std::string part = text.substr(0, cut);
      if (find_invalid_utf8(part) != 0 || complete_utf8_prefix(part) != 0 || decode_utf8(part, 0).length != 1) {
        FAIL("U+" << std::hex << static_cast<uint32_t>(code) << " cut at " << cut);
      }
    }
  }
}

TEST_CASE("the table of ASCII says what Unicode's tables say") {
  for (char32_t code = 0; code < 128; ++code) {
    INFO(static_cast<uint32_t>(code));
    CHECK(char_class(code) == look_up_class(code));
  }
}

TEST_CASE("what is no UTF-8 is one character a byte") {
  const std::vector<std::string> wrong = {
      bytes({0x80}),                    // continuation without a start
      bytes({0xC0, 0x80}),              // overlong NUL
      bytes({0xC1, 0xBF}),              // overlong
      bytes({0xE0, 0x9F, 0xBF}),        // overlong
      bytes({0xED, 0xA0, 0x80}),        // surrogate
      bytes({0xF0, 0x8F, 0xBF, 0xBF}),  // overlong
      bytes({0xF4, 0x90, 0x80, 0x80}),  // above U+10FFFF
      bytes({0xF5, 0x80, 0x80, 0x80}),  // no such start
      bytes({0xFF}),
  };
  for (const std::string& text : wrong) {
    const Utf8Char c = decode_utf8(text, 0);
    CHECK_FALSE(c.valid);
    CHECK(c.length == 1);
    CHECK(find_invalid_utf8(text) == 0);
    CHECK(find_invalid_utf8("é" + text) == 2);
  }
}

TEST_CASE("an error names the byte and where it lies") {
  CHECK(check_utf8("plain é 中 😀", "-p"));
  auto wrong = check_utf8("ab\xE9z", "--file notes.txt");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == ErrorKind::usage);
  CHECK(wrong.error().what.find("0xE9") != std::string::npos);
  CHECK(wrong.error().where == "--file notes.txt, byte offset 2");
}

TEST_CASE("one replacement for each longest start of a character") {
  // The examples of the Unicode standard, tables 3-8 to 3-11.
  CHECK(replace_invalid_utf8(bytes({0xC0, 0xAF, 0xE0, 0x80, 0xBF, 0xF0, 0x81, 0x82, 0x41})) == replacements(8) + "A");
  CHECK(replace_invalid_utf8(bytes({0xED, 0xA0, 0x80, 0xED, 0xBF, 0xBF, 0xED, 0xAF, 0x41})) == replacements(8) + "A");
  CHECK(replace_invalid_utf8(bytes({0xF4, 0x91, 0x92, 0x93, 0xFF, 0x41, 0x80, 0xBF, 0x42})) ==
        replacements(5) + "A" + replacements(2) + "B");
  CHECK(replace_invalid_utf8(bytes({0xE1, 0x80, 0xE2, 0xF0, 0x91, 0x92, 0xF1, 0xBF, 0x41})) == replacements(4) + "A");
  CHECK(replace_invalid_utf8("é中😀") == "é中😀");
}

TEST_CASE("classes of characters") {
  const auto all = [](CharClass kind, std::initializer_list<char32_t> codes) {
    for (const char32_t code : codes) {
      CAPTURE(static_cast<uint32_t>(code));
      CHECK(char_class(code) == kind);
    }
  };
  all(CharClass::letter, {U'a', U'Z', U'é', U'ß', U'中', U'ا', U'ʰ', U'ª', 0x1D54F, 0x2EBF0, 0x1C89});
  all(CharClass::number, {U'0', U'²', U'½', U'Ⅷ', U'٣', U'①', 0x1D7D8, 0x10D40, 0x11DE0, U'〇'});
  all(CharClass::space, {U' ', U'\t', U'\n', 0x0B, 0x0C, U'\r', 0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029,
                         0x202F, 0x205F, 0x3000});
  // Combining marks, zero-width characters, the former space U+180E, controls, private use, unassigned.
  all(CharClass::other,
      {U'!', U'_', U'$', 0x301, 0x94D, 0x200B, 0x200D, 0xFEFF, 0x180E, 0x1C, 0x7F, 0xE000, 0x378, 0x1F600, 0x10FFFF});
}

TEST_CASE("a stream gives the same text however the bytes are cut") {
  const std::string text =
      "a\u00e9\u4e2d\U0001F600" + bytes({0xF0, 0x9F, 0x41, 0x80, 0xE4, 0xB8}) + "z" + bytes({0xF0, 0x9F, 0x98});
  const std::string expected = replace_invalid_utf8(text);
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      Utf8Stream stream;
      std::string out;
      for (const auto& part : {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) {
        const std::string now = stream.push(part);
        REQUIRE(find_invalid_utf8(now) == now.size());
        out += now;
      }
      out += stream.flush();
      REQUIRE(out == expected);
    }
  }
  Utf8Stream stream;
  CHECK(stream.push(bytes({0xF0, 0x9F})).empty());
  CHECK(stream.push(bytes({0x98})).empty());
  CHECK(stream.push(bytes({0x80})) == "😀");
  CHECK(stream.flush().empty());
  CHECK(stream.push(bytes({0xE4, 0xB8})).empty());
  CHECK(stream.flush() == kReplacement);
}
