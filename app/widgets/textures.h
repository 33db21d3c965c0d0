// Figures as textures: a heatmap is uploaded when its data changes and drawn as one quad.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "imgui.h"

struct ImTextureData;

namespace glassbox {

// Textures live in Dear ImGui's list of user textures, so the renderer's back end uploads them and nothing here knows
// of OpenGL. Belongs to one Dear ImGui context, and dies before it.
class TextureCache {
 public:
  TextureCache();
  ~TextureCache();
  TextureCache(const TextureCache&) = delete;
  TextureCache& operator=(const TextureCache&) = delete;

  // Row-major pixels [height · width], packed as ImU32.
  using Fill = std::function<void(std::span<ImU32> pixels)>;
  // The texture of `key`. `fill` is called, and the texture uploaded, only when the version or the size differs from the
  // last call's. Sides are at most kMaxSide: pool the data before (and say so in the figure).
  ImTextureRef get(std::string_view key, uint64_t version, int width, int height, const Fill& fill);
  // Draws it without smoothing between pixels.
  static void draw_nearest(ImDrawList* draw, ImTextureRef texture, ImVec2 min, ImVec2 max, ImVec2 uv_min = {0, 0},
                           ImVec2 uv_max = {1, 1});

  // Call once a frame: lets go of what was not used for a while.
  void begin_frame();
  int uploads() const { return uploads_; }  // so far; a still figure does not raise it

  static constexpr int kMaxSide = 8192;  // every OpenGL 3.3 driver in use takes this

 private:
  struct Entry;
  void destroy(Entry& entry);
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;
  int frame_ = 0, uploads_ = 0;
};

}  // namespace glassbox
