// The card that explains a value under the pointer: name and value, formula with the numbers put in, shape, source.
#pragma once

#include <string_view>

#include "app/theme/theme.h"

namespace glassbox {

// Begin when the thing is hovered; the card stands beside the pointer, inside the window. Always call end.
void begin_hover_card(const Theme& theme);
void end_hover_card(const Theme& theme);

// "cosine = 0.5945"
void card_value(const Theme& theme, std::string_view name, std::string_view value, ImU32 colour);
// Two tokens and what joins them: "·Berlin × ·Paris". Empty strings are left out.
void card_tokens(const Theme& theme, std::string_view first, std::string_view join, std::string_view second,
                 ImU32 first_colour = 0, ImU32 second_colour = 0);
// lhs = numerator / denominator, as a fraction with a bar. Empty lhs: begins with the fraction; several in a row chain
// with "=" when `chain` is set.
struct Fraction {
  std::string_view numerator, denominator;
};
void card_equation(const Theme& theme, std::string_view lhs, Fraction fraction, std::string_view rhs = {});
void card_equation(const Theme& theme, Fraction formula, Fraction numbers, std::string_view result = {});
// One line of a formula or a number in the mono font.
void card_line(const Theme& theme, std::string_view text);
// "label   value", values aligned over the rows of one card.
void card_row(const Theme& theme, std::string_view label, std::string_view value);
// Dim and wrapped: shape and where it comes from.
void card_source(const Theme& theme, std::string_view text);

}  // namespace glassbox
