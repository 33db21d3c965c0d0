// The verbs that draw go through here, so that a program built without a window (GLASSBOX_WINDOW=OFF) is still whole.
#pragma once

#include "app/shell/shot.h"
#include "app/shell/window.h"

namespace glassbox {

struct Drawing {
  Result<void> (*shot)(const ShotOptions& options);
  Result<int> (*window)(const WindowOptions& options);
};

// Null when this program was built without a window.
const Drawing* find_drawing();
Error no_drawing_error();

}  // namespace glassbox
