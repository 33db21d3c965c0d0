// Text and colours for a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace glassbox {

// Bytes as a reader can see them: space "·", new line "↵", tab "⇥", carriage return "␍"; other control characters,
// bytes that are no UTF-8 and characters that no terminal draws as "‹E8›".
std::string visible_bytes(std::string_view bytes);
// Columns that text takes in a terminal: 2 for wide East Asian characters and emoji, 0 for combining marks.
int display_width(std::string_view text);
// Cut to `columns` with "…" at the end, or filled up with spaces.
std::string fit_columns(std::string_view text, int columns);
// Lines of at most `columns`, broken between words where that is possible.
std::vector<std::string> wrap_words(std::string_view text, int columns);
// Filled up with spaces on the left.
std::string right_align(std::string_view text, int columns);

// 0xRRGGBB
using Rgb = uint32_t;

// Writes colours as 24-bit ANSI sequences, or nothing at all.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  bool on() const { return on_; }
  std::string text(Rgb colour) const;
  std::string ground(Rgb colour) const;
  std::string reset() const;

 private:
  bool on_;
};

// Half-way colours: t in [0, 1] from `a` by `b` (at one half) to `c`.
Rgb blend(Rgb a, Rgb b, Rgb c, double t);

}  // namespace glassbox
