// OpenGL for the window's hosts: what Dear ImGui's renderer does not do itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"

struct ImDrawData;

namespace glassbox {

// Dear ImGui's renderer for OpenGL 3.3, in the current context.
bool start_renderer();
void begin_renderer_frame();
void render(ImDrawData* data);
void stop_renderer();

// Tells frames apart, so that one that the screen shows already need not be drawn again.
class Picture {
 public:
  // True when the frame may differ from the one that was asked about before: other vertices, or textures to be uploaded.
  bool differs(const ImDrawData* data);
  void forget() { shown_ = 0; }  // the next one differs

 private:
  uint64_t shown_ = 0;
};

// Pixels of the framebuffer that is bound, RGBA, rows from top to bottom. (x, y) counts from its upper left corner.
std::vector<uint8_t> read_framebuffer(int framebuffer_height, int x, int y, int width, int height);
void clear_framebuffer(int width, int height, uint32_t colour);  // ImU32

// OpenGL off screen, by EGL's surfaceless platform: neither a display server nor a window is needed.
class OffscreenContext {
 public:
  // Error (failed): the machine has no EGL with OpenGL 3.3; says what to install.
  static Result<std::unique_ptr<OffscreenContext>> make(int width, int height);
  ~OffscreenContext();
  OffscreenContext(const OffscreenContext&) = delete;
  OffscreenContext& operator=(const OffscreenContext&) = delete;

  int width() const { return width_; }
  int height() const { return height_; }
  void bind();    // its framebuffer, and its viewport
  void finish();  // waits until everything has been drawn
  std::string renderer() const;

 private:
  OffscreenContext() = default;
  struct Handles;
  std::unique_ptr<Handles> handles_;
  int width_ = 0, height_ = 0;
};

}  // namespace glassbox
