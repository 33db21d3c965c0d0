// The window on the screen.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/run/document.h"
#include "core/run/device.h"

namespace glassbox {

class App;
struct Host;

struct WindowOptions {
  std::string model_path;             // empty: none is loaded, and the window says so
  std::optional<Error> model_error;   // why there is no model path; shown in the window
  std::optional<std::string> open;    // a .glassbox.json document to open
  std::optional<std::string> text;    // replaces the prompt
  std::optional<int> stage;
  std::optional<ThemeKind> theme;
  std::optional<float> scale;
  int threads = 0;
  DeviceChoice device = {};
  Precision precision = Precision::fast;
  bool restore = true;                // begin with the document of the last session
  bool autosave = true;               // keep the document for the next session
  // For tests: called about ten times a second, also when nothing is drawn, with the frames drawn so far; false closes
  // the window.
  std::function<bool(App& app, Host& host, int frames)> tick = {};
};

// Opens the window and runs it until it is closed; returns the exit code. Errors (failed): there is no display, no
// OpenGL 3.3, or a font is missing; each says what to do.
Result<int> run_window(const WindowOptions& options);

}  // namespace glassbox
