// Colours as Dear ImGui packs them, and the arithmetic on them: mixing, contrast, OKLab, colour maps.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "imgui.h"

namespace glassbox {

constexpr ImU32 rgb(uint32_t hex, int alpha = 255) {
  return static_cast<ImU32>(((hex >> 16) & 255u) | (hex & 0xFF00u) | ((hex & 255u) << 16) |
                            (static_cast<uint32_t>(alpha) << 24));
}
// The same colour with its alpha multiplied; factor in [0, 1].
ImU32 with_alpha(ImU32 colour, float factor);
// a + t · (b − a) per channel, alpha too.
ImU32 mix(ImU32 a, ImU32 b, float t);

// Contrast of two opaque colours, 1 … 21 (WCAG 2.2, relative luminance).
float contrast(ImU32 a, ImU32 b);

// OKLab (Björn Ottosson 2020): L 0 … 1, a, b.
struct OkLab {
  float l, a, b;
};
OkLab to_oklab(ImU32 colour);
ImU32 from_oklab(OkLab lab);  // clipped to sRGB

// 256 colours over t in [0, 1].
struct ColourMap {
  std::array<ImU32, 256> entries{};
  // NaN is drawn as transparent: what is not computed is not painted.
  ImU32 at(float t) const {
    if (!(t == t)) return 0;
    const float clamped = t < 0 ? 0 : t > 1 ? 1 : t;
    return entries[static_cast<size_t>(clamped * 255.0f + 0.5f)];
  }
  // at((value − low) · per_unit) for each value, several at a time: textures have 100 000 pixels and more.
  void paint(std::span<const float> values, float low, float per_unit, ImU32* pixels) const;
};
// From `from` over the hue of `through` to `to`, with OKLab lightness rising or falling evenly along t.
ColourMap make_sequential_map(ImU32 from, ImU32 through, ImU32 to);
// `negative` at 0, `neutral` exactly at 0.5, `positive` at 1.
ColourMap make_diverging_map(ImU32 negative, ImU32 neutral, ImU32 positive);
ColourMap make_viridis_map();  // after Smith and van der Walt 2015
ColourMap make_cividis_map();  // after Nuñez, Anderton and Renslow 2018

}  // namespace glassbox
