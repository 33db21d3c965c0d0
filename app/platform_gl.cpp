#include "app/platform_gl.h"

#include <EGL/egl.h>
#include <EGL/eglext.h>
#define GL_GLEXT_PROTOTYPES
#include <GL/gl.h>
#include <GL/glext.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "imgui_impl_opengl3.h"

namespace glassbox {

std::vector<uint8_t> read_framebuffer(int framebuffer_height, int x, int y, int width, int height) {
  const auto row = static_cast<size_t>(width) * 4;
  std::vector<uint8_t> pixels(row * static_cast<size_t>(height));
  glPixelStorei(GL_PACK_ALIGNMENT, 1);
  glReadPixels(x, framebuffer_height - y - height, width, height, GL_RGBA, GL_UNSIGNED_BYTE, pixels.data());
  // OpenGL counts rows from below.
  for (int top = 0, bottom = height - 1; top < bottom; ++top, --bottom)
    std::swap_ranges(pixels.begin() + static_cast<ptrdiff_t>(row) * top, pixels.begin() + static_cast<ptrdiff_t>(row) * (top + 1),
                     pixels.begin() + static_cast<ptrdiff_t>(row) * bottom);
  return pixels;
}

void clear_framebuffer(int width, int height, uint32_t colour) {
  const auto channel = [&](int shift) { return static_cast<float>((colour >> shift) & 255u) / 255.0f; };
  glViewport(0, 0, width, height);
  glDisable(GL_SCISSOR_TEST);
  glClearColor(channel(0), channel(8), channel(16), 1.0f);
  glClear(GL_COLOR_BUFFER_BIT);
}

namespace {

// A hash of eight bytes at a time (multiply and shift, as splitmix64 ends): a few hundred kilobytes each frame. Long
// lists go into four hashes in turn, since each step has to wait for the one before it.
class Fingerprint {
 public:
  void add(uint64_t word) { hash_ = step(hash_, word); }
  template <class T>
  void add(const ImVector<T>& values) {
    const auto* bytes = reinterpret_cast<const char*>(values.Data);
    const auto count = static_cast<size_t>(values.Size) * sizeof(T);
    add(count);
    std::array<uint64_t, 4> lanes{1, 2, 3, 4}, words;
    size_t i = 0;
    for (; i + sizeof words <= count; i += sizeof words) {
      std::memcpy(words.data(), bytes + i, sizeof words);
      for (size_t lane = 0; lane < lanes.size(); ++lane) lanes[lane] = step(lanes[lane], words[lane]);
    }
    for (const uint64_t lane : lanes) add(lane);
    for (; i < count; i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes + i, std::min(sizeof word, count - i));
      add(word);
    }
  }
  uint64_t value() const { return hash_; }

 private:
  static uint64_t step(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0xBF58476D1CE4E5B9u;
    return hash ^ hash >> 29;
  }
  uint64_t hash_ = 0x9E3779B97F4A7C15u;
};

}  // namespace

bool Picture::differs(const ImDrawData* data) {
  const uint64_t before = shown_;
  shown_ = 0;
  if (data->Textures)
    for (const ImTextureData* texture : *data->Textures)
      if (texture->Status != ImTextureStatus_OK) return true;
  Fingerprint print;
  const auto add = [&](float a, float b) { print.add(uint64_t{std::bit_cast<uint32_t>(a)} << 32 | std::bit_cast<uint32_t>(b)); };
  add(data->DisplaySize.x, data->DisplaySize.y);
  add(data->FramebufferScale.x, data->FramebufferScale.y);
  for (const ImDrawList* list : data->CmdLists) {
    print.add(list->VtxBuffer);
    print.add(list->IdxBuffer);
    for (const ImDrawCmd& command : list->CmdBuffer) {
      add(command.ClipRect.x, command.ClipRect.y), add(command.ClipRect.z, command.ClipRect.w);
      print.add(uint64_t{command.ElemCount} << 32 | command.IdxOffset);
      print.add(uint64_t{command.VtxOffset} << 32 | (command.UserCallback != nullptr));
      print.add(reinterpret_cast<uintptr_t>(command.UserCallback));
      print.add(static_cast<uint64_t>(command.UserCallback ? 0 : command.GetTexID()));
    }
  }
  shown_ = print.value();
  return shown_ != before;
}

struct OffscreenContext::Handles {
  EGLDisplay display = EGL_NO_DISPLAY;
  EGLContext context = EGL_NO_CONTEXT;
  GLuint framebuffer = 0, colour = 0;
};

Result<std::unique_ptr<OffscreenContext>> OffscreenContext::make(int width, int height) {
  const auto fail = [](const std::string& step) {
    return Error{ErrorKind::failed, "No OpenGL could be had off screen.", step, "EGL's surfaceless platform with OpenGL 3.3 or newer",
                 "Install Mesa's drivers (apt-get install libegl1 libgl1-mesa-dri)."};
  };
  std::unique_ptr<OffscreenContext> self(new OffscreenContext);
  self->handles_ = std::make_unique<Handles>();
  Handles& h = *self->handles_;
  self->width_ = width, self->height_ = height;
  h.display = eglGetPlatformDisplay(EGL_PLATFORM_SURFACELESS_MESA, nullptr, nullptr);
  if (h.display == EGL_NO_DISPLAY || !eglInitialize(h.display, nullptr, nullptr)) return fail("eglInitialize");
  if (!eglBindAPI(EGL_OPENGL_API)) return fail("eglBindAPI");
  const EGLint wish[] = {EGL_CONTEXT_MAJOR_VERSION, 3, EGL_CONTEXT_MINOR_VERSION, 3, EGL_CONTEXT_OPENGL_PROFILE_MASK,
                         EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT, EGL_NONE};
  h.context = eglCreateContext(h.display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, wish);
  if (h.context == EGL_NO_CONTEXT) return fail("eglCreateContext");
  if (!eglMakeCurrent(h.display, EGL_NO_SURFACE, EGL_NO_SURFACE, h.context)) return fail("eglMakeCurrent");
  glGenFramebuffers(1, &h.framebuffer);
  glBindFramebuffer(GL_FRAMEBUFFER, h.framebuffer);
  glGenRenderbuffers(1, &h.colour);
  glBindRenderbuffer(GL_RENDERBUFFER, h.colour);
  glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, width, height);
  glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, h.colour);
  if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE) return fail("glCheckFramebufferStatus");
  return self;
}

OffscreenContext::~OffscreenContext() {
  if (!handles_ || handles_->display == EGL_NO_DISPLAY) return;
  if (handles_->context != EGL_NO_CONTEXT) {
    glDeleteFramebuffers(1, &handles_->framebuffer);
    glDeleteRenderbuffers(1, &handles_->colour);
    eglMakeCurrent(handles_->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
    eglDestroyContext(handles_->display, handles_->context);
  }
  eglTerminate(handles_->display);
}

void OffscreenContext::bind() {
  glBindFramebuffer(GL_FRAMEBUFFER, handles_->framebuffer);
  glViewport(0, 0, width_, height_);
}

void OffscreenContext::finish() { glFinish(); }

std::string OffscreenContext::renderer() const {
  const GLubyte* name = glGetString(GL_RENDERER);
  return name ? reinterpret_cast<const char*>(name) : "";
}

bool start_renderer() { return ImGui_ImplOpenGL3_Init("#version 330 core"); }
void begin_renderer_frame() { ImGui_ImplOpenGL3_NewFrame(); }
void render(ImDrawData* data) { ImGui_ImplOpenGL3_RenderDrawData(data); }
void stop_renderer() { ImGui_ImplOpenGL3_Shutdown(); }

}  // namespace glassbox
