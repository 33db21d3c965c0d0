// The run under the prompt bar: a mark for each token that was generated, forks where it branches, and the older runs.
#pragma once

#include "app/panels/panel.h"

namespace glassbox {

// There is more to go to than the prompt.
bool has_timeline(const Document& document);
float timeline_height(const Theme& theme);  // pixels
// Into the current window. Dragging, a click or the arrows go along the run; the menu at a fork takes another way.
void draw_timeline(FrameContext& context, ImVec2 min, float width);

}  // namespace glassbox
