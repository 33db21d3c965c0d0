// The look of the window in one place: colours by name, fonts and sizes, already scaled (VISUAL.md).
#pragma once

#include "app/theme/colour.h"
#include "core/run/document.h"
#include "imgui.h"

namespace glassbox {

// A font at a size in pixels, already scaled: ImGui::PushFont(style.font, style.size). The size is the height of a line,
// ascent to descent, as Dear ImGui counts it; text is centred on y when it begins at y − size / 2.
struct TextStyle {
  ImFont* font = nullptr;
  float size = 0;
};

struct Theme {
  ThemeKind kind = ThemeKind::dark;
  float scale = 1.0f;
  bool motion = true;

  // surfaces and text
  ImU32 background, surface, raised;
  ImU32 line, text, dim;
  ImU32 faint;                      // disabled, not built: still readable, but behind
  ImU32 accent, ok, warn, error;
  ImU32 on_accent;                  // text on a surface of accent
  ImU32 hover, pressed;             // fills of controls under the pointer
  ImU32 selected;                   // fill of a selected row: surface tinted with accent
  ImU32 well;                       // sunken: formula boxes, the empty part of a figure
  ImU32 shadow;
  ImU32 ring;                       // outline of what is selected: the greatest contrast
  ImU32 bar;                        // quiet bars (logits, cosines): the logits' colour, muted
  ImU32 chip[6];                    // token chips in turn; text on them is `text`

  // one meaning, one colour; always with its letter or name beside it
  ImU32 query, key, value, attention, mlp, residual, logits;
  ImU32 positive, negative;         // ends of the signed map, for bars of signed values

  // colour maps. Attention weights and probabilities honour the user's choice of map; signed does not.
  ColourMap attention_map;          // weights of a pattern, 0 … 1
  ColourMap probability_map;        // probabilities and similarities in the logits' colour, 0 … 1
  ColourMap signed_map;             // −limit … 0 … +limit over t in [0, 1]; zero exactly at the surface's colour

  // type
  TextStyle body, bold, italic;     // Inter 15
  TextStyle small, small_bold;      // Inter 13, the smallest
  TextStyle title, heading;         // Inter semi-bold 20 and 17
  TextStyle mono, mono_bold, mono_small;  // JetBrains Mono 14, 14, 12
  TextStyle mono_large;             // 17: the chips of stage 1
  TextStyle icon;                   // Font Awesome 15

  // Pixels for a length given at 100 %, rounded so that edges stay sharp.
  float px(float at_100) const;
  // A hairline: 1 px at 100 %, never less than one.
  float hairline() const;
  ImU32 chip_colour(int index) const { return chip[((index % 6) + 6) % 6]; }
  // True when some font of the theme has the character; what none has is shown as its bytes.
  bool has_glyph(uint32_t codepoint) const;

  // sizes of VISUAL.md, at 100 %
  static constexpr float kPadding = 12, kGap = 8, kControl = 28, kRounding = 6, kChipRounding = 4;
  static constexpr float kLine = 1.21f;  // height of a line of Inter in em
  static constexpr float kRail = 72, kLessonPane = 380, kStatusBar = 26, kPanelHeader = 36;
};

// The fonts of the window, loaded once a Dear ImGui context; sizes come with the theme.
struct Fonts {
  ImFont *text = nullptr, *text_bold = nullptr, *text_italic = nullptr, *mono = nullptr, *mono_bold = nullptr,
         *icons = nullptr;
};
// Loads Inter and JetBrains Mono with fallbacks for Chinese, Japanese, Korean and symbols into the atlas of the current
// context. Errors: failed, naming the file that no folder has and the package that brings it.
Result<Fonts> load_fonts();

// `factor`: the document's scale times the monitor's, 0.8 … 5.
Theme make_theme(ThemeKind kind, float factor, ProbabilityMap map, bool motion, const Fonts& fonts);
// Hands the theme to the styles of Dear ImGui and ImPlot (current contexts).
void apply_style(const Theme& theme);

}  // namespace glassbox
