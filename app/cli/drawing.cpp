#include "app/cli/drawing.h"

namespace glassbox {

const Drawing* find_drawing() {
#ifdef GLASSBOX_HAS_WINDOW
  static constexpr Drawing kDrawing = {draw_shot, run_window};
  return &kDrawing;
#else
  return nullptr;
#endif
}

Error no_drawing_error() {
  return {ErrorKind::failed, "This program was built without the window, so it cannot draw.", "", "",
          "Build it with -DGLASSBOX_WINDOW=ON, or see the model in the terminal: glassbox look"};
}

}  // namespace glassbox
