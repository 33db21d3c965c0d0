// The frame of a panel: its header row with the title on the left and controls on the right, and its body.
//
//   void draw_tokens(FrameContext& context) {
//     PanelHeader header(context, "Tokens");
//     if (header.toggle("ids", context.document().show_ids)) context.run(cmd::SetShowIds{…});   // right-most first
//     header.note("36 tokens");
//     header.end();
//     PanelBody body(context);
//     …
//   }
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "app/panels/panel.h"
#include "app/widgets/controls.h"

namespace glassbox {

class PanelHeader {
 public:
  // Draws the title; hovering it shows the panel's help, dragging it moves the panel. When the panel has a figure the
  // right-most control is its "copy ▾" menu (CSV, JSON, PNG, close the panel); otherwise the menu stands behind "…".
  PanelHeader(FrameContext& context, std::string_view title);
  ~PanelHeader() { end(); }
  PanelHeader(const PanelHeader&) = delete;
  PanelHeader& operator=(const PanelHeader&) = delete;

  // After the title, left to right.
  void label(std::string_view text, const TextStyle& style, ImU32 colour);
  void dim(std::string_view text);  // left out where it does not fit
  void mono(std::string_view text, ImU32 colour) { label(text, context_.theme.mono, colour); }

  // From the right edge inwards: the first call is the right-most. What no longer fits beside the title is left out.
  bool button(const char* label, const ButtonLook& look = {});
  bool toggle(const char* label, bool on, const ButtonLook& look = {});
  int dropdown(const char* id, std::string_view prefix, int current, std::span<const std::string> items,
               std::string_view hint = {});
  void note(std::string_view text);                 // dim
  void note(std::string_view text, const TextStyle& style, ImU32 colour);
  // A free place of `width` pixels and the control's height: sets the cursor there; false when it does not fit.
  bool place(float width);
  bool place_note(float width);  // for text, which keeps more distance from the control on its right

  void end();  // hairline; the cursor stands at the body's corner

 private:
  FrameContext& context_;
  float left_, right_, top_, middle_;
  bool ended_ = false;
};

// The rest of the panel as a scrolling child with the panel's padding. `min` and `size` are the padded area in screen
// pixels. Pass fixed = true for a figure that fills the area and never scrolls.
class PanelBody {
 public:
  explicit PanelBody(FrameContext& context, bool fixed = false, float padding = Theme::kPadding);
  ~PanelBody();
  PanelBody(const PanelBody&) = delete;
  PanelBody& operator=(const PanelBody&) = delete;

  ImVec2 min, size;
  ImDrawList* draw;

 private:
  const Theme& theme_;
};

// The menu of a right click on the last item: "copy value" (when `value` is not empty; Ctrl+C takes it while the keyboard
// stands on the item), the figure as CSV or JSON, PNG.
// While it is open returns true: add items of your own, then call end_value_menu().
bool begin_value_menu(FrameContext& context, const char* id, std::string_view value);
void end_value_menu();

// A figure's JSON as comma separated values: an array of objects becomes a table, nested number arrays rows of a matrix.
std::string to_csv(const nlohmann::json& figure);

}  // namespace glassbox
