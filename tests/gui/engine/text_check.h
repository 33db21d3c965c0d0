// Reads the text that Dear ImGui is about to draw out of its triangles, letter by letter: what a person can read in the
// window, and whether some of it is cut off or lies over other text.
#pragma once

#include <string>
#include <vector>

#include "imgui.h"

namespace glassbox::test {

// A stretch of letters drawn one after the other on one line. Spaces are put in where the letters leave room for one.
struct DrawnText {
  std::string window;  // the name of the window that it is drawn in
  std::string text;    // UTF-8
  ImVec2 min, max;     // of the letters' ink, on the screen
  bool visible = true; // some of it is inside the clip rectangle
};

struct TextReport {
  std::vector<DrawnText> texts;     // in the order in which they are drawn
  std::vector<std::string> faults;  // one line each: the window, the text, the place, what is wrong
};

// Text that is scrolled out of sight is no fault.
TextReport read_text(const ImDrawData& drawn);

}  // namespace glassbox::test
