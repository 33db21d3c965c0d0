#include "app/theme/colour.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/lanes.h"

namespace glassbox {

namespace {

float channel(ImU32 colour, int shift) { return static_cast<float>((colour >> shift) & 255u) / 255.0f; }

uint32_t to_byte(float value) {
  return static_cast<uint32_t>(std::lround(std::clamp(value, 0.0f, 1.0f) * 255.0f));
}

ImU32 pack(float red, float green, float blue, float alpha = 1.0f) {
  return to_byte(red) << IM_COL32_R_SHIFT | to_byte(green) << IM_COL32_G_SHIFT | to_byte(blue) << IM_COL32_B_SHIFT |
         to_byte(alpha) << IM_COL32_A_SHIFT;
}

// The sRGB transfer function (IEC 61966-2-1) and its inverse.
float to_linear(float value) { return value <= 0.04045f ? value / 12.92f : std::pow((value + 0.055f) / 1.055f, 2.4f); }
float to_srgb(float value) {
  return value <= 0.0031308f ? 12.92f * value : 1.055f * std::pow(std::max(value, 0.0f), 1.0f / 2.4f) - 0.055f;
}

float luminance(ImU32 colour) {
  return 0.2126f * to_linear(channel(colour, IM_COL32_R_SHIFT)) + 0.7152f * to_linear(channel(colour, IM_COL32_G_SHIFT)) +
         0.0722f * to_linear(channel(colour, IM_COL32_B_SHIFT));
}

OkLab lerp(OkLab a, OkLab b, float t) { return {a.l + t * (b.l - a.l), a.a + t * (b.a - a.a), a.b + t * (b.b - a.b)}; }

// Straight lines in OKLab between evenly spaced colours.
ColourMap interpolate(std::span<const ImU32> knots) {
  ColourMap map;
  const float last = static_cast<float>(knots.size() - 1);
  for (size_t i = 0; i < map.entries.size(); ++i) {
    const float place = static_cast<float>(i) / 255.0f * last;
    const size_t left = std::min(static_cast<size_t>(place), knots.size() - 2);
    map.entries[i] =
        from_oklab(lerp(to_oklab(knots[left]), to_oklab(knots[left + 1]), place - static_cast<float>(left)));
  }
  return map;
}

}  // namespace

ImU32 with_alpha(ImU32 colour, float factor) {
  const float alpha = channel(colour, IM_COL32_A_SHIFT) * std::clamp(factor, 0.0f, 1.0f);
  return (colour & ~IM_COL32_A_MASK) | to_byte(alpha) << IM_COL32_A_SHIFT;
}

ImU32 mix(ImU32 a, ImU32 b, float t) {
  const auto between = [&](int shift) { return channel(a, shift) + t * (channel(b, shift) - channel(a, shift)); };
  return pack(between(IM_COL32_R_SHIFT), between(IM_COL32_G_SHIFT), between(IM_COL32_B_SHIFT),
              between(IM_COL32_A_SHIFT));
}

float contrast(ImU32 a, ImU32 b) {
  const float first = luminance(a), second = luminance(b);
  return (std::max(first, second) + 0.05f) / (std::min(first, second) + 0.05f);
}

OkLab to_oklab(ImU32 colour) {
  const float r = to_linear(channel(colour, IM_COL32_R_SHIFT));
  const float g = to_linear(channel(colour, IM_COL32_G_SHIFT));
  const float b = to_linear(channel(colour, IM_COL32_B_SHIFT));
  const float l = std::cbrt(0.4122214708f * r + 0.5363325363f * g + 0.0514459929f * b);
  const float m = std::cbrt(0.2119034982f * r + 0.6806995451f * g + 0.1073969566f * b);
  const float s = std::cbrt(0.0883024619f * r + 0.2817188376f * g + 0.6299787005f * b);
  return {0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s,
          1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s,
          0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s};
}

ImU32 from_oklab(OkLab lab) {
  const float l_root = lab.l + 0.3963377774f * lab.a + 0.2158037573f * lab.b;
  const float m_root = lab.l - 0.1055613458f * lab.a - 0.0638541728f * lab.b;
  const float s_root = lab.l - 0.0894841775f * lab.a - 1.2914855480f * lab.b;
  const float l = l_root * l_root * l_root, m = m_root * m_root * m_root, s = s_root * s_root * s_root;
  return pack(to_srgb(4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s),
              to_srgb(-1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s),
              to_srgb(-0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s));
}

ColourMap make_sequential_map(ImU32 from, ImU32 through, ImU32 to) {
  const OkLab begin = to_oklab(from), middle = to_oklab(through), end = to_oklab(to);
  ColourMap map;
  for (size_t i = 0; i < map.entries.size(); ++i) {
    const float t = static_cast<float>(i) / 255.0f;
    // Lightness on a straight line; hue and chroma on the parabola that passes `through` half way.
    const float wb = (1 - t) * (1 - 2 * t), wm = 4 * t * (1 - t), we = t * (2 * t - 1);
    map.entries[i] = from_oklab({begin.l + t * (end.l - begin.l), wb * begin.a + wm * middle.a + we * end.a,
                                 wb * begin.b + wm * middle.b + we * end.b});
  }
  map.entries.front() = from;
  map.entries.back() = to;
  return map;
}

ColourMap make_diverging_map(ImU32 negative, ImU32 neutral, ImU32 positive) {
  // 256 entries have no middle one, so 127 and 128 both are the neutral colour: zero falls on 127.5.
  ColourMap map;
  const OkLab zero = to_oklab(neutral);
  for (size_t i = 0; i < 128; ++i) {
    const float t = static_cast<float>(127 - i) / 127.0f;
    map.entries[i] = from_oklab(lerp(zero, to_oklab(negative), t));
    map.entries[255 - i] = from_oklab(lerp(zero, to_oklab(positive), t));
  }
  map.entries[127] = map.entries[128] = neutral;
  return map;
}

void ColourMap::paint(std::span<const float> values, float low, float per_unit, ImU32* pixels) const {
  using Indices = int32_t __attribute__((vector_size(sizeof(Lanes))));
  size_t i = 0;
  for (; i + kFloatLanes <= values.size(); i += kFloatLanes) {
    const Lanes t = (load_lanes(values.data() + i) - low) * per_unit;
    const Indices painted = t == t;
    const Lanes above = t > 0.0f ? t : Lanes{}, clamped = above < 1.0f ? above : Lanes{} + 1.0f;
    const Indices index = __builtin_convertvector(clamped * 255.0f + 0.5f, Indices);
    for (int64_t lane = 0; lane < kFloatLanes; ++lane)
      pixels[i + static_cast<size_t>(lane)] = entries[static_cast<size_t>(index[lane])] & static_cast<ImU32>(painted[lane]);
  }
  for (; i < values.size(); ++i) pixels[i] = at((values[i] - low) * per_unit);
}

// The published maps at evenly spaced places.
ColourMap make_viridis_map() {
  static constexpr ImU32 kKnots[] = {rgb(0x440154), rgb(0x472D7B), rgb(0x3B528B), rgb(0x2C728E), rgb(0x21918C),
                                     rgb(0x28AE80), rgb(0x5EC962), rgb(0xADDC30), rgb(0xFDE725)};
  return interpolate(kKnots);
}

ColourMap make_cividis_map() {
  static constexpr ImU32 kKnots[] = {rgb(0x00224E), rgb(0x123570), rgb(0x3B496C), rgb(0x575D6D), rgb(0x707173),
                                     rgb(0x8A8678), rgb(0xA59C74), rgb(0xC3B369), rgb(0xE1CC55), rgb(0xFEE838)};
  return interpolate(kKnots);
}

}  // namespace glassbox
