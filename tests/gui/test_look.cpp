// Colours, numbers, layouts and texts of the window, without drawing.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "app/shell/layout.h"
#include "app/shell/palette.h"
#include "app/theme/theme.h"
#include "app/widgets/numbers.h"
#include "app/widgets/panel_frame.h"
#include "app/widgets/token_text.h"

namespace glassbox {
namespace {

Theme theme_of(ThemeKind kind, ProbabilityMap map = ProbabilityMap::glassbox) { return make_theme(kind, 1.0f, map, false, Fonts{}); }

std::array<ImU32, 7> meanings(const Theme& t) { return {t.query, t.key, t.value, t.attention, t.mlp, t.residual, t.logits}; }

using Matrix = std::array<float, 9>;
// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
constexpr Matrix kProtan = {0.152286f, 1.052583f, -0.204868f, 0.114503f, 0.786281f, 0.099216f, -0.003882f, -0.048116f, 1.051998f};
constexpr Matrix kDeutan = {0.367322f, 0.860646f, -0.227968f, 0.280085f, 0.672501f, 0.047413f, -0.011820f, 0.042940f, 0.968881f};
constexpr Matrix kTritan = {1.255528f, -0.076749f, -0.178779f, -0.078411f, 0.930809f, 0.147602f, 0.004733f, 0.691367f, 0.303900f};

float to_linear(float v) { return v <= 0.04045f ? v / 12.92f : std::pow((v + 0.055f) / 1.055f, 2.4f); }
float to_srgb(float v) { return v <= 0.0031308f ? 12.92f * v : 1.055f * std::pow(v, 1 / 2.4f) - 0.055f; }

ImU32 seen_with(const Matrix& m, ImU32 colour) {
  std::array<float, 3> in{}, out{};
  for (size_t i = 0; i < 3; ++i) in[i] = to_linear(static_cast<float>((colour >> (8 * i)) & 255u) / 255.0f);
  ImU32 packed = 0xFF000000u;
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) out[r] += m[r * 3 + c] * in[c];
    const float byte = to_srgb(std::min(std::max(out[r], 0.0f), 1.0f)) * 255.0f;
    packed |= static_cast<ImU32>(std::lround(byte)) << (8 * r);
  }
  return packed;
}

float distance(ImU32 a, ImU32 b) {
  const OkLab x = to_oklab(a), y = to_oklab(b);
  return 100 * std::sqrt((x.l - y.l) * (x.l - y.l) + (x.a - y.a) * (x.a - y.a) + (x.b - y.b) * (x.b - y.b));
}

TEST_CASE("a row is painted in the colours that the map has for its values, one by one") {
  const ColourMap map = make_viridis_map();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::array<float, 11> values = {0, 0.5f, 1, -0.25f, 1.75f, std::nanf(""), 1e-9f, infinity, -infinity, 0.499f, 0.25f};
  for (size_t count = 0; count <= values.size(); ++count) {
    std::array<ImU32, values.size() + 1> pixels{};
    map.paint(std::span(values).first(count), 0.25f, 2, pixels.data());
    for (size_t i = 0; i < count; ++i) CHECK(pixels[i] == map.at((values[i] - 0.25f) * 2));
    CHECK(pixels[count] == 0);
  }
}

TEST_CASE("colours of meaning can be read on their surfaces and told apart by everyone") {
  for (const ThemeKind kind : {ThemeKind::dark, ThemeKind::light}) {
    const Theme theme = theme_of(kind);
    const float apart = kind == ThemeKind::dark ? 11.0f : 9.0f;
    const auto colours = meanings(theme);
    for (size_t i = 0; i < colours.size(); ++i) {
      CAPTURE(static_cast<int>(kind), i);
      CHECK(contrast(colours[i], theme.surface) >= 4.6f);
      for (size_t j = 0; j < i; ++j) {
        CAPTURE(j);
        CHECK(distance(colours[i], colours[j]) >= apart);
        for (const Matrix* eye : {&kProtan, &kDeutan, &kTritan})
          CHECK(distance(seen_with(*eye, colours[i]), seen_with(*eye, colours[j])) >= apart - 0.1f);
      }
    }
  }
}

TEST_CASE("text can be read on everything that it stands on") {
  for (const ThemeKind kind : {ThemeKind::dark, ThemeKind::light}) {
    const Theme theme = theme_of(kind);
    for (const ImU32 under : {theme.background, theme.surface, theme.raised, theme.well, theme.hover, theme.selected})
      CHECK(contrast(theme.text, under) >= 7.0f);
    for (const ImU32 under : {theme.background, theme.surface, theme.raised}) CHECK(contrast(theme.dim, under) >= 4.5f);
    for (const ImU32 chip : theme.chip) CHECK(contrast(theme.text, chip) >= 4.5f);
    for (const ImU32 colour : {theme.accent, theme.ok, theme.warn, theme.error}) CHECK(contrast(colour, theme.surface) >= 4.5f);
    CHECK(contrast(theme.on_accent, theme.accent) >= 4.5f);
    for (int i = 0; i < 6; ++i) CHECK(distance(theme.chip_colour(i), theme.chip_colour(i + 1)) >= 4.0f);
  }
}

TEST_CASE("sequential maps rise or fall evenly in lightness; the signed one has zero at the surface") {
  for (const ThemeKind kind : {ThemeKind::dark, ThemeKind::light}) {
    for (const ProbabilityMap choice : {ProbabilityMap::glassbox, ProbabilityMap::viridis, ProbabilityMap::cividis}) {
      const Theme theme = theme_of(kind, choice);
      for (const ColourMap* map : {&theme.attention_map, &theme.probability_map}) {
        const bool rising = to_oklab(map->at(1)).l > to_oklab(map->at(0)).l;
        for (int i = 1; i < 256; ++i) {
          const float step = to_oklab(map->entries[static_cast<size_t>(i)]).l - to_oklab(map->entries[static_cast<size_t>(i) - 1]).l;
          CHECK((rising ? step : -step) > -0.004f);  // a channel has 256 steps
        }
      }
      if (choice == ProbabilityMap::glassbox) CHECK(contrast(theme.attention_map.at(1), theme.surface) > 10);
    }
    const Theme theme = theme_of(kind);
    CHECK(theme.signed_map.at(0.5f) == theme.surface);
    CHECK(theme.attention_map.at(0) == theme.surface);
    CHECK(theme.signed_map.at(NAN) == 0);
  }
}

TEST_CASE("numbers are short, and never rounded to nothing") {
  CHECK(format_value(26.4512) == "26.45");
  CHECK(format_value(3.3064) == "3.306");
  CHECK(format_value(-0.49219) == "-0.4922");
  CHECK(format_value(0) == "0");
  CHECK(format_value(0.0362) == "0.0362");
  CHECK(format_value(0.001234) == "0.00123");  // leading zeros are no digits
  CHECK(format_value(-0.0049, 2) == "-0.0049");
  CHECK(format_value(NAN) == "—");
  CHECK(format_value(1234567) == "1.23e6");
  CHECK(format_probability(0.9184) == "0.918");
  CHECK(format_probability(0.01537) == "0.0154");
  CHECK(format_probability(0.00068) == "6.8e-4");
  CHECK(format_probability(3.13e-7) == "3.1e-7");
  CHECK(format_probability(1) == "1");
  CHECK(format_probability(0.99999) == "0.99999");
  CHECK(format_count(49152) == "49 152");
  CHECK(format_count(7) == "7");
  CHECK(format_bytes(98362432) == "94 MiB");
  CHECK(format_bytes(1677722) == "1.6 MiB");
  CHECK(format_bytes(12) == "12 B");
  CHECK(format_seconds(0.0123) == "12.3 ms");
  CHECK(format_seconds(2e-8) == "20 ns");
  CHECK(format_rate(0) == "— tok/s");
  CHECK(std::stof(format_exact(0.1f)) == 0.1f);
}

TEST_CASE("white space and bytes are made visible") {
  const Theme theme = theme_of(ThemeKind::dark);
  CHECK(visible_text(theme, " the") == "·the");
  CHECK(visible_text(theme, "a\n\tb\r") == "a↵⇥b␍");
  CHECK(visible_text(theme, std::string("\x00\x7f", 2)) == "‹00›‹7F›");
  CHECK(visible_text(theme, "\xE8") == "‹E8›");
  CHECK(visible_text(theme, "\xE8\x8D") == "‹E8›‹8D›");
  CHECK(visible_text(theme, "\xC0\x80") == "‹C0›‹80›");          // overlong
  CHECK(visible_text(theme, "\xED\xA0\x80") == "‹ED›‹A0›‹80›");  // a surrogate
  // Without fonts nothing beyond ASCII can be drawn, and nothing may vanish or become a box.
  CHECK(visible_text(theme, "\xE8\x8D\x89") == "‹E8›‹8D›‹89›");
}

TEST_CASE("layouts survive being written and read") {
  for (int stage = 1; stage <= 8; ++stage) {
    for (const bool narrow : {false, true}) {
      const Layout layout = stage_layout(stage, narrow);
      const Result<Layout> read = layout_from_json(to_json(layout).dump());
      REQUIRE(read.ok());
      CHECK(same_layout(layout, *read));
    }
  }
  CHECK_FALSE(same_layout(stage_layout(1), stage_layout(2)));
  CHECK_FALSE(same_layout(stage_layout(3), stage_layout(3, true)));
  for (const char* bad : {"", "{", "[]", "{}", "{\"root\":3}", "{\"root\":{\"split\":\"beside\",\"ratio\":0.5}}",
                          "{\"root\":{\"panels\":[1]}}", "{\"root\":{\"panels\":[]},\"floating\":[7]}"})
    CHECK_FALSE(layout_from_json(bad).ok());
  std::string deep = "{\"panels\":[]}";
  for (int i = 0; i < 40; ++i) deep = "{\"split\":\"above\",\"ratio\":0.5,\"first\":" + deep + ",\"second\":{\"panels\":[]}}";
  CHECK_FALSE(layout_from_json("{\"root\":" + deep + "}").ok());
}

TEST_CASE("the palette finds commands by a few letters") {
  CHECK(match_score("thl", "Theme: light") > 0);
  CHECK(match_score("zzz", "Theme: light") == 0);
  CHECK(match_score("step", "Step: draw the next token") > match_score("step", "Reset this to its presets"));
}

TEST_CASE("figures become tables") {
  using nlohmann::json;
  CHECK(to_csv(json::parse(R"([{"a":1,"b":"x,y"},{"a":2,"c":null}])")) == "a,b,c\n1,\"x,y\",\n2,,\n");
  CHECK(to_csv(json::parse("[[1,2],[3,4]]")) == "1,2\n3,4\n");
  CHECK(to_csv(json::parse(R"({"layer":3,"data":[[1,2]]})")) == "layer,3\n\ndata\n1,2\n");
  CHECK(to_csv(json::parse(R"(["say \"hi\""])")) == "\"say \"\"hi\"\"\"\n");
}

}  // namespace
}  // namespace glassbox
