#include "app/shell/offscreen.h"

#include <chrono>
#include <thread>

#include "implot.h"

namespace glassbox {

namespace {

constexpr float kFrame = 1.0f / 60.0f;

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void make_imgui_context() {
  ImGui::CreateContext();
  ImPlot::CreateContext();
  ImGuiIO& io = ImGui::GetIO();
  io.IniFilename = nullptr;  // layouts are part of the Document
  io.LogFilename = nullptr;
  io.ConfigFlags |= ImGuiConfigFlags_DockingEnable | ImGuiConfigFlags_NavEnableKeyboard;
  io.ConfigInputTextCursorBlink = false;  // nothing moves when nothing changes
  io.ConfigWindowsMoveFromTitleBarOnly = true;
  io.ConfigDockingWithShift = false;
  io.ConfigErrorRecoveryEnableAssert = false;
}

void destroy_imgui_context() {
  ImPlot::DestroyContext();
  ImGui::DestroyContext();
}

Result<std::unique_ptr<Offscreen>> Offscreen::make(AppOptions options, int width, int height) {
  Result<std::unique_ptr<OffscreenContext>> gl = OffscreenContext::make(width, height);
  if (!gl) return gl.error();
  std::unique_ptr<Offscreen> self(new Offscreen);
  self->gl_ = gl.take();
  make_imgui_context();
  self->renderer_ = start_renderer();
  options.typed_paths = true;
  Result<std::unique_ptr<App>> app = App::make(std::move(options), *self);
  if (!app) return app.error();
  self->app_ = app.take();
  return self;
}

Offscreen::~Offscreen() {
  if (!gl_) return;
  if (app_) app_->finish();
  if (renderer_) stop_renderer();
  app_.reset();
  destroy_imgui_context();
}

void Offscreen::frame() {
  ImGuiIO& io = ImGui::GetIO();
  io.DisplaySize = {static_cast<float>(gl_->width()), static_cast<float>(gl_->height())};
  const double before = now_;
  now_ = real_time_ ? wall_seconds() : now_ + static_cast<double>(kFrame);
  io.DeltaTime = real_time_ && before > 1 ? std::max(1e-4f, static_cast<float>(now_ - before)) : kFrame;
  app_->prepare(now_);
  begin_renderer_frame();
  ImGui::NewFrame();
  app_->draw();
  ImGui::Render();
  if (before_render) before_render();
  gl_->bind();
  if (++undrawn_ < draw_one_in_ && !app_->wants_pixels()) {
    ImDrawData textures_only = *ImGui::GetDrawData();  // new letters and figures reach the renderer all the same
    textures_only.CmdLists.clear();
    textures_only.TotalIdxCount = textures_only.TotalVtxCount = 0;
    render(&textures_only);
  } else {
    undrawn_ = 0;
    if (picture_.differs(ImGui::GetDrawData())) {
      clear_framebuffer(gl_->width(), gl_->height(), app_->theme().background);
      render(ImGui::GetDrawData());
    }
  }
  if (before_swap) before_swap();
  app_->after_render();
  if (after_swap) after_swap();
}

bool Offscreen::settle(double seconds) {
  const double end = wall_seconds() + seconds;
  // Panels lay themselves out from what they measured in the frame before, so a settled picture is drawn a few times.
  constexpr int kStillFrames = 4;
  for (int still = 0; still < kStillFrames;) {
    frame();
    if (app_->settled()) {
      ++still;
      continue;
    }
    still = 0;
    if (wall_seconds() >= end) return false;
    if (app_->bench().busy()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::vector<uint8_t> Offscreen::read_pixels(int x, int y, int width, int height) {
  gl_->bind();
  return read_framebuffer(gl_->height(), x, y, width, height);
}

}  // namespace glassbox
