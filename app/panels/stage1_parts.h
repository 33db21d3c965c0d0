// Small parts that the panels of stages 1 and 2 share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/panels/panel.h"

namespace glassbox {

// Things of different widths in lines, as words in a paragraph.
class FlowLayout {
 public:
  FlowLayout(float width, float gap) : width_(width), gap_(gap) {}

  struct Place {
    float x = 0;
    int line = 0;
  };
  // Places `widths` one after the other. They stay in one line together when a line can hold them.
  void add_together(const std::vector<float>& widths, std::vector<Place>& places);
  void add(float width, std::vector<Place>& places) { add_together({width}, places); }

 private:
  float width_, gap_, x_ = 0;
  int line_ = 0;
};

// What a panel says while there is no model, or no text. True when it said something and there is nothing else to draw.
bool draw_without_model(const FrameContext& context, std::string_view subject);

// An invisible item over [min, max] that can be reached by the keyboard. In a list, Tab leads to the one that is the way
// in, and the arrows from there to the others.
struct SpotAnswer {
  bool hovered = false, clicked = false;
};
SpotAnswer spot(const FrameContext& context, const char* id, ImVec2 min, ImVec2 max, bool way_in = true);
// The menu of a right click on the last item; costs nothing while it is neither hovered nor open.
void value_menu(FrameContext& context, const char* id, std::string_view value);

// The box of a byte or of what was merged from bytes: seen on the panel's ground in both themes.
ImU32 symbol_fill(const Theme& theme);

// The y at which text of this style stands in the middle of [top, bottom].
float middle_of(const TextStyle& style, float top, float bottom);

// Parts of a header's right side, each in its own style, as one item: hovering it explains them.
struct NotePart {
  std::string text;
  const TextStyle* style = nullptr;
  ImU32 colour = 0;
};
float note_width(const std::vector<NotePart>& parts);
// Draws them at the cursor, in a line of the controls' height. True while hovered.
bool note_item(const FrameContext& context, const char* id, const std::vector<NotePart>& parts);

}  // namespace glassbox
