// The program drawn off screen, a frame at a time: for pictures and for GUI tests.
#pragma once

#include <functional>
#include <memory>

#include "app/platform_gl.h"
#include "app/shell/app.h"

namespace glassbox {

class Offscreen final : public Host {
 public:
  // Makes the OpenGL and Dear ImGui contexts and the App in them. Errors: as OffscreenContext::make() and App::make().
  static Result<std::unique_ptr<Offscreen>> make(AppOptions options, int width, int height);
  ~Offscreen() override;

  App& app() { return *app_; }
  // One frame of 1/60 s of the program's clock. `real_time`: of the wall's clock instead.
  void frame();
  void use_real_time() { real_time_ = true; }
  void forget_picture() { picture_.forget(); }  // the next frame is drawn even if it is the same
  // Draws the pixels of every n-th frame only, and of those that are read; the others have all but the rasteriser's work.
  void draw_one_in(int frames) { draw_one_in_ = frames; }
  // Frames until the workbench and the picture have settled. False after the time limit.
  bool settle(double seconds);
  // Called between building a frame and handing it to OpenGL, for benchmarks; and before and after showing it, for the
  // test engine.
  std::function<void()> before_render, before_swap, after_swap;
  bool closed() const { return closed_; }
  OffscreenContext& gl() { return *gl_; }

  std::vector<uint8_t> read_pixels(int x, int y, int width, int height) override;
  void set_title(const std::string&) override {}
  void close() override { closed_ = true; }

 private:
  Offscreen() = default;
  std::unique_ptr<OffscreenContext> gl_;
  std::unique_ptr<App> app_;
  Picture picture_;
  double now_ = 1;  // seconds; not 0, which stands for never
  int draw_one_in_ = 1, undrawn_ = 0;
  bool real_time_ = false, closed_ = false, renderer_ = false;
};

// The context of Dear ImGui with what the program needs of it; also ImPlot's. For all hosts.
void make_imgui_context();
void destroy_imgui_context();

}  // namespace glassbox
