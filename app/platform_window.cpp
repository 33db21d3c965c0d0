// The window on the screen, by GLFW and OpenGL. Nothing is drawn while nothing moves.
#include <GLFW/glfw3.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "app/platform_gl.h"
#include "app/shell/app.h"
#include "app/shell/offscreen.h"
#include "app/shell/pacing.h"
#include "app/shell/window.h"
#include "imgui_impl_glfw.h"
#include "imgui_impl_opengl3.h"
#include "imgui_internal.h"

namespace glassbox {

namespace {

constexpr int kWidth = 1600, kHeight = 1000, kLeastWidth = 640, kLeastHeight = 400;
constexpr double kTick = 0.1;

double soonest(double a, double b) { return a <= 0 ? b : b <= 0 ? a : std::min(a, b); }

std::string last_glfw_error() {
  const char* text = nullptr;
  glfwGetError(&text);
  return text ? text : "";
}

class GlfwWindow final : public Host {
 public:
  ~GlfwWindow() override {
    if (app) app->finish();
    if (renderer) ImGui_ImplOpenGL3_Shutdown();
    if (platform) ImGui_ImplGlfw_Shutdown();
    app.reset();
    if (context) destroy_imgui_context();
    if (window) glfwDestroyWindow(window);
    if (initialised) glfwTerminate();
  }

  std::vector<uint8_t> read_pixels(int x, int y, int width, int height) override {
    int framebuffer_width = 0, framebuffer_height = 0;
    glfwGetFramebufferSize(window, &framebuffer_width, &framebuffer_height);
    return read_framebuffer(framebuffer_height, x, y, width, height);
  }
  void set_title(const std::string& title) override { glfwSetWindowTitle(window, title.c_str()); }
  void close() override { glfwSetWindowShouldClose(window, GLFW_TRUE); }

  Result<void> open() {
    initialised = glfwInit() == GLFW_TRUE;
    if (!initialised) {
      return Error{ErrorKind::failed, "The window cannot open: there is no display to talk to.", last_glfw_error(), "",
                   "Start it in a desktop session. In the terminal: glassbox look; a picture of the window: glassbox shot."};
    }
    glfwWindowHint(GLFW_CONTEXT_VERSION_MAJOR, 3);
    glfwWindowHint(GLFW_CONTEXT_VERSION_MINOR, 3);
    glfwWindowHint(GLFW_OPENGL_PROFILE, GLFW_OPENGL_CORE_PROFILE);
    glfwWindowHint(GLFW_VISIBLE, GLFW_FALSE);  // shown with its first picture
    int width = kWidth, height = kHeight;
    if (GLFWmonitor* monitor = glfwGetPrimaryMonitor()) {
      int x = 0, y = 0, room_width = 0, room_height = 0;
      glfwGetMonitorWorkarea(monitor, &x, &y, &room_width, &room_height);
      if (room_width > 0) width = std::min(width, room_width), height = std::min(height, room_height);
    }
    window = glfwCreateWindow(width, height, "Glassbox", nullptr, nullptr);
    if (!window) {
      return Error{ErrorKind::failed, "The window cannot open: OpenGL 3.3 is not to be had.", last_glfw_error(), "a driver with OpenGL 3.3 or newer",
                   "Install Mesa's drivers (apt-get install libgl1-mesa-dri), which also draw without a graphics card."};
    }
    glfwSetWindowSizeLimits(window, kLeastWidth, kLeastHeight, GLFW_DONT_CARE, GLFW_DONT_CARE);
    glfwSetWindowUserPointer(window, this);
    glfwMakeContextCurrent(window);
    glfwSwapInterval(1);
    make_imgui_context();
    context = true;
    platform = ImGui_ImplGlfw_InitForOpenGL(window, true);
    renderer = ImGui_ImplOpenGL3_Init("#version 330 core");
    glfwSetDropCallback(window, [](GLFWwindow* at, int count, const char** paths) {
      auto* self = static_cast<GlfwWindow*>(glfwGetWindowUserPointer(at));
      for (int i = 0; i < count; ++i) self->app->open_path(paths[i]);
      self->refresh = true;
    });
    glfwSetWindowRefreshCallback(window, [](GLFWwindow* at) { static_cast<GlfwWindow*>(glfwGetWindowUserPointer(at))->refresh = true; });
    glfwSetFramebufferSizeCallback(window, [](GLFWwindow* at, int, int) { static_cast<GlfwWindow*>(glfwGetWindowUserPointer(at))->refresh = true; });
    return {};
  }

  void frame() {
    float scale_x = 1, scale_y = 1;
    glfwGetWindowContentScale(window, &scale_x, &scale_y);
    int window_width = 0, framebuffer_width = 0, framebuffer_height = 0;
    glfwGetWindowSize(window, &window_width, nullptr);
    glfwGetFramebufferSize(window, &framebuffer_width, &framebuffer_height);
    if (framebuffer_width == 0 || framebuffer_height == 0) return;  // minimised
    // Where coordinates are pixels (X11) the density is ours to apply; where they are points the framebuffer has it.
    const float density = window_width > 0 ? static_cast<float>(framebuffer_width) / static_cast<float>(window_width) : 1.0f;
    app->prepare(glfwGetTime() + 1, std::max(1.0f, scale_x / density));
    ImGui_ImplOpenGL3_NewFrame();
    ImGui_ImplGlfw_NewFrame();
    ImGui::NewFrame();
    app->draw();
    ImGui::Render();
    if (!picture.differs(ImGui::GetDrawData()) && !app->reads_pixels()) return;  // the screen shows it already
    clear_framebuffer(framebuffer_width, framebuffer_height, app->theme().background);
    ImGui_ImplOpenGL3_RenderDrawData(ImGui::GetDrawData());
    app->after_render();
    glfwSwapBuffers(window);
  }

  void run(const WindowOptions& options) {
    int drawn = 0;
    double ticked = 0;
    const auto draw = [&](double begun) {
      frame();
      pacer.drawn(begun);
      ++drawn;
    };
    draw(glfwGetTime());
    glfwShowWindow(window);
    const auto wait = [&](double now) { return pacer.wait(now, app->wants_frame(), app->bench().status().busy); };
    while (!glfwWindowShouldClose(window)) {
      const double now = glfwGetTime();
      if (options.tick && now - ticked > kTick) {
        ticked = now;
        if (!options.tick(*app, *this, drawn)) close();
      }
      const double change = options.tick ? soonest(app->next_change(), now + 1 + kTick) : app->next_change();
      const double seconds = std::min(wait(now), change > 0 ? change - 1 - now : FramePacer::kNever);
      if (seconds <= 0) glfwPollEvents();
      else if (seconds < FramePacer::kNever) glfwWaitEventsTimeout(std::clamp(seconds, 0.001, 3600.0));
      else glfwWaitEvents();
      const double woke = glfwGetTime();
      if (ImGui::GetCurrentContext()->InputEventsQueue.Size > 0) pacer.input(woke);
      if (const double due = app->next_change(); due > 0 && woke + 1 >= due) pacer.step();
      if (refresh) refresh = false, picture.forget(), pacer.news();
      if (woken.exchange(false) && app->take_news()) pacer.news();
      if (wait(woke) <= 0) draw(woke);
    }
  }

  GLFWwindow* window = nullptr;
  std::unique_ptr<App> app;
  std::atomic<bool> woken{false};
  FramePacer pacer;
  Picture picture;
  bool initialised = false, context = false, platform = false, renderer = false, refresh = false;
};

}  // namespace

Result<int> run_window(const WindowOptions& options) {
  GlfwWindow host;
  if (Result<void> opened = host.open(); !opened) return opened.error();

  AppOptions app_options;
  app_options.bench.threads = options.threads;
  app_options.bench.device = options.device;
  app_options.bench.precision = options.precision;
  // Called from the engine's threads; the window waits in glfwWaitEvents. GLFW outlives the App and with it the threads.
  app_options.bench.wake = [&host] {
    host.woken = true;
    glfwPostEmptyEvent();
  };
  app_options.model_path = options.model_path;
  app_options.model_error = options.model_error;
  app_options.autosave = options.autosave;
  std::optional<Error> restore_error;
  if (options.restore) {
    Result<std::optional<Document>> last = SessionFile::restore();
    if (!last) restore_error = last.error();
    else if (*last) app_options.document = std::move(**last);
  }
  if (options.stage) app_options.document.stage = *options.stage;
  if (options.theme) app_options.document.theme = *options.theme;
  if (options.scale) app_options.document.scale = *options.scale;
  Result<std::unique_ptr<App>> app = App::make(std::move(app_options), host);
  if (!app) return app.error();
  host.app = app.take();
  if (restore_error) host.app->report(*restore_error);
  if (options.text) host.app->run(cmd::SetText{*options.text});
  if (options.open) host.app->open_path(*options.open);
  host.run(options);
  return 0;
}

}  // namespace glassbox
