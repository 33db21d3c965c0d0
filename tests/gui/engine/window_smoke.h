// The real window, by GLFW on a display.
#pragma once

#include <string>

namespace glassbox::test {

// Opens it, waits for the model's first picture, types by no hand, and closes it. Empty, or what was wrong.
std::string run_window_smoke();

// Changes the text, closes the window, and opens it again: the last session is back. Uses the state folder, so
// $XDG_STATE_HOME must name one of the tests' own.
std::string run_window_restore();

// Drops a broken file on the window, which is refused with a reason while the model goes on, and then another model.
std::string run_window_drop();

}  // namespace glassbox::test
