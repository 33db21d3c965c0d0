// A picture of the window, drawn off screen: no display server is needed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/run/command.h"
#include "core/run/device.h"

namespace glassbox {

struct ShotOptions {
  std::string model_path;
  std::string out;                     // the PNG
  int stage = 3;
  std::optional<std::string> text;
  ThemeKind theme = ThemeKind::dark;
  float scale = 1.0f;                  // 0.8 … 2.5
  int width = 1600, height = 1000;     // pixels, 320 … 8192
  std::optional<std::string> lesson;   // its id: begun before all else; absent: the stage's first is shown
  bool lesson_pane = true;
  std::vector<Command> commands;       // applied in order after the text
  int tokens = 0;                      // generated before the picture is taken
  std::optional<std::pair<float, float>> pointer;  // where the mouse stands, in shares of the picture: hover cards
  bool palette = false, about = false; // what else is open
  int threads = 0;
  DeviceChoice device = {};
  Precision precision = Precision::fast;
  double seconds = 120;                // how long to wait for the engine
};

// Draws until everything that the panels asked for is there, and writes the picture. Errors: usage (a size or scale out
// of range), bad_file (the model), failed (no OpenGL off screen, a font is missing, the file cannot be written).
Result<void> draw_shot(const ShotOptions& options);

}  // namespace glassbox
