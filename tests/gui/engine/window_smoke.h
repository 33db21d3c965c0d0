// The real window, by GLFW on a display.
#pragma once

#include <string>

namespace glassbox::test {

// Opens it, waits for the model's first picture, types by no hand, and closes it. Empty, or what was wrong.
std::string run_window_smoke();

}  // namespace glassbox::test
