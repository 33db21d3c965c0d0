#include "tests/gui/engine/window_smoke.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

#include <GLFW/glfw3.h>

#include "app/shell/app.h"
#include "app/shell/session_file.h"
#include "app/shell/window.h"
#include "core/model/model.h"
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

std::string run_window_restore() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point begun = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begun).count(); };
  const std::string text = "A sentence to come back to.";
  const Result<std::string> place = SessionFile::place();
  if (!place) return place.error().message();
  std::error_code ignored;
  std::filesystem::remove(*place, ignored);
  std::string wrong;
  bool changed = false, saved = false;
  WindowOptions options;
  options.model_path = model_path();
  options.tick = [&](App& app, Host&, int) {
    if (seconds() > 60) return false;
    if (!app.settled() || !app.bench().model()) return true;
    if (!changed) changed = true, app.run(cmd::SetText{text});
    // Saved while the program runs, not only when it ends: a crash must lose nothing.
    saved = std::filesystem::exists(*place);
    return !saved;
  };
  if (const Result<int> code = run_window(options); !code) return code.error().message();
  if (!saved) return "nothing was saved within a minute";
  begun = Clock::now();
  std::string found;
  options.tick = [&](App& app, Host&, int) {
    found = app.document().text;
    return false;
  };
  if (const Result<int> code = run_window(options); !code) return code.error().message();
  if (found != text) wrong = "the text after the restart is \"" + found + "\"";
  // A file that cannot be read is put aside, and the window opens all the same.
  std::ofstream(*place) << "{ broken";
  size_t notices = 0;
  options.tick = [&](App& app, Host&, int) {
    notices = app.notices().error_count();
    return false;
  };
  if (const Result<int> code = run_window(options); !code) return code.error().message();
  if (notices == 0) wrong = "a broken session file was not spoken of";
  if (!std::filesystem::exists(*place + ".unreadable")) wrong = "a broken session file was not kept";
  return wrong;
}

namespace {

// What GLFW calls when a file is dropped; no program can drop one on another's window without a window manager's help.
void drop(const std::string& path) {
  GLFWwindow* window = glfwGetCurrentContext();
  const GLFWdropfun callback = glfwSetDropCallback(window, nullptr);
  glfwSetDropCallback(window, callback);
  const char* paths[] = {path.c_str()};
  if (callback) callback(window, 1, paths);
}

}  // namespace

std::string run_window_drop() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  const std::string broken = (std::filesystem::temp_directory_path() / "glassbox-test-broken.gguf").string();
  std::ofstream(broken, std::ios::binary) << "GGUF" << std::string(20, '\x03');
  std::string wrong = "the model did not load within a minute";
  int stage = 0;
  std::shared_ptr<const Model> first;
  WindowOptions options;
  options.model_path = model_path();
  options.restore = options.autosave = false;
  options.tick = [&](App& app, Host&, int) {
    if (Clock::now() - begun > std::chrono::seconds(60)) return false;
    if (app.bench().loading() || !app.bench().model() || !app.settled()) return true;
    if (stage == 0) {
      first = app.bench().model(), stage = 1;
      wrong = "a broken file was not refused";
      drop(broken);
    } else if (stage == 1) {
      if (!app.bench().load_error() || app.notices().error_count() != 1) return true;
      if (app.bench().model() != first) {
        wrong = "the model was lost to a broken file";
        return false;
      }
      stage = 2;
      wrong = "another model was not taken";
      drop(std::string(GLASSBOX_SOURCE_DIR) + "/tests/golden/tiny_llama/f32.gguf");
    } else if (app.bench().model() != first) {
      wrong = app.bench().model()->config().layer_count() == 2 ? "" : "the model that was taken is another one";
      return false;
    }
    return true;
  };
  const Result<int> code = run_window(options);
  std::error_code ignored;
  std::filesystem::remove(broken, ignored);
  if (!code) return code.error().message();
  return wrong;
}

}  // namespace glassbox::test
