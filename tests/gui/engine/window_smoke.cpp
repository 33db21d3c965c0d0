#include "tests/gui/engine/window_smoke.h"

#include <chrono>
#include <set>

#include "app/shell/app.h"
#include "app/shell/window.h"
#include "tests/support/model_path.h"

namespace glassbox::test {

std::string run_window_smoke() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begun).count(); };
  std::string wrong = "the window was closed before anything was seen";
  double still_since = -1;
  int frames_then = 0;
  WindowOptions options;
  options.model_path = model_path();
  options.restore = options.autosave = false;
  options.tick = [&](App& app, Host& host, int frames) {
    if (seconds() > 90) {
      wrong = "no settled picture after 90 s";
      return false;
    }
    if (!app.settled() || !app.bench().view().step) {
      still_since = -1;
      return true;
    }
    if (still_since < 0) {
      still_since = seconds();
      return true;
    }
    // A second for tooltips, the saying and the saved session; then a second in which nothing may be drawn.
    if (seconds() < still_since + 2.5) {
      frames_then = frames;
      return true;
    }
    if (seconds() < still_since + 3.5) return true;
    wrong.clear();
    if (frames > frames_then + 1) wrong = std::to_string(frames - frames_then) + " frames were drawn in a second in which nothing moved";
    const std::vector<uint8_t> pixels = host.read_pixels(0, 0, 640, 400);
    std::set<uint32_t> colours;
    for (size_t i = 0; i + 3 < pixels.size(); i += 4)
      colours.insert(pixels[i] | uint32_t{pixels[i + 1]} << 8 | uint32_t{pixels[i + 2]} << 16);
    if (colours.size() < 50) wrong = "the picture has only " + std::to_string(colours.size()) + " colours";
    return false;
  };
  const Result<int> code = run_window(options);
  if (!code) return code.error().message();
  return wrong;
}

}  // namespace glassbox::test
