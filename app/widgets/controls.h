// Buttons, switches, drop-downs, sliders and bars, in the theme's manner. Labels follow Dear ImGui: "copy##pattern".
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "app/theme/theme.h"

namespace glassbox {

// Pushes a style for the lifetime of the object.
class FontScope {
 public:
  explicit FontScope(const TextStyle& style) { ImGui::PushFont(style.font, style.size); }
  ~FontScope() { ImGui::PopFont(); }
  FontScope(const FontScope&) = delete;
  FontScope& operator=(const FontScope&) = delete;
};

void text_line(const TextStyle& style, ImU32 colour, std::string_view text);  // an item at the cursor
void text_wrapped(const TextStyle& style, ImU32 colour, std::string_view text);
// A plain tooltip, wrapped, for the last item (also when it is disabled).
void tooltip(const Theme& theme, std::string_view text);

// An area of `size` pixels at the cursor that is clicked, or pressed with Enter or Space when the keyboard stands on it.
// It draws nothing, so that its looks are the caller's; see draw_focus.
bool press_area(const char* id, ImVec2 size);
// The next items are reached by the arrows but not by Tab, as in a list of which one item is the way in. Until end_list_items().
void begin_list_items();
void end_list_items();
// Brings the keyboard to the last item.
void focus_item();
// The keyboard stands on the last item, and is seen to.
bool item_focused();
// A ring around the last item while the keyboard stands on it.
void draw_focus(const Theme& theme, ImVec2 min, ImVec2 max);
// Called in each frame in which the last item wants them: these keys belong to it, and neither the walk of the keyboard from
// item to item nor the transport gets them.
void keep_keys(std::initializer_list<ImGuiKey> keys);
// Esc was pressed while the keyboard is in this window or a child of it. Called while there is something to leave: until it
// is left, Esc does not also lead the keyboard out of the window.
bool takes_escape();

struct ButtonLook {
  bool enabled = true;
  bool primary = false;        // filled with accent
  bool quiet = false;          // no frame until hovered
  bool active = false;         // chosen
  float width = 0;             // pixels; 0: as wide as the text
  float height = 0;            // pixels; 0: 24 at 100 %
  std::string_view hint = {};  // tooltip
};
float button_width(const Theme& theme, std::string_view label);
bool small_button(const Theme& theme, const char* label, const ButtonLook& look = {});
// "ids ●" / "ids ○". Returns true when it was clicked; the caller applies the change.
bool toggle(const Theme& theme, const char* label, bool on, const ButtonLook& look = {});
float toggle_width(const Theme& theme, std::string_view label);
// A button with ▾ that opens a menu. While it is open returns true: add ImGui::MenuItem and so on, then end_dropdown().
bool begin_dropdown(const Theme& theme, const char* label, const ButtonLook& look = {});
void end_dropdown();
float dropdown_width(const Theme& theme, std::string_view label);
// A drop-down over `items`: the index that was chosen in this frame, or −1.
int dropdown(const Theme& theme, const char* id, std::string_view prefix, int current,
             std::span<const std::string> items, const ButtonLook& look = {});

struct SliderRange {
  float min = 0, max = 1;
  float step = 0.01f;          // of the arrow keys; values snap to it
  int decimals = 2;
  bool logarithmic = false;    // needs min > 0, or 0 as its own first stop
  float label_width = 160;     // at 100 %
  std::string_view off = {};   // the word in the value box when *value equals off_value
  float off_value = 0;
  std::string_view hint = {};
};
// Label, track with a round knob, box with the value that can be typed. Takes the width that is left in the window. A
// typed value is handed on as it is, also beyond the track: the caller knows what is allowed, and refuses with a reason.
// True while it changes.
bool slider(const Theme& theme, const char* label, float* value, const SliderRange& range);

// A horizontal bar of `fraction` (0 … 1) of the size; never thinner than one pixel when the fraction is above 0.
void draw_bar(ImDrawList* draw, const Theme& theme, ImVec2 min, ImVec2 size, float fraction, ImU32 colour,
              bool outline = false);
// A vertical bar of colours, the greatest value on top, with the labels right of it (bottom to top, evenly spaced).
void draw_colour_bar(ImDrawList* draw, const Theme& theme, const ColourMap& map, ImVec2 min, ImVec2 size,
                     std::span<const std::string> labels);
// The same lying, least value left, one text right of it ("−0.50 … 0 … +0.50").
void draw_colour_strip(ImDrawList* draw, const Theme& theme, const ColourMap& map, ImVec2 min, ImVec2 size,
                       std::string_view limits);
// A key as it stands on a keyboard, for hints.
void draw_key(ImDrawList* draw, const Theme& theme, ImVec2 min, std::string_view key);
// Where the current window can be scrolled on, its contents fade into the `ground` that they stand on: nothing looks cut
// off, and one sees that there is more. Called after the contents.
void fade_scrolled_edges(const Theme& theme, ImU32 ground);
// One line in the middle of what is left of the window: what is being computed or missing, and how far (0 … 1, < 0: unknown).
void draw_waiting(const Theme& theme, std::string_view text, float progress = -1);

}  // namespace glassbox
