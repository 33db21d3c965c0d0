#include "app/widgets/textures.h"

#include "imgui_internal.h"

namespace glassbox {

namespace {
constexpr int kKeptFrames = 240;  // a figure that is scrolled or switched away comes back within this without an upload
}

struct TextureCache::Entry {
  ImTextureData data;
  uint64_t version = 0;
  int used = 0;
  bool dying = false;
};

TextureCache::TextureCache() = default;

TextureCache::~TextureCache() {
  // The renderer's back end has destroyed its side by now, or does so in its own shutdown.
  for (auto& [key, entry] : entries_) ImGui::UnregisterUserTexture(&entry->data);
}

void TextureCache::destroy(Entry& entry) {
  entry.dying = true;
  entry.data.WantDestroyNextFrame = true;
}

ImTextureRef TextureCache::get(std::string_view key, uint64_t version, int width, int height, const Fill& fill) {
  width = width < 1 ? 1 : width > kMaxSide ? kMaxSide : width;
  height = height < 1 ? 1 : height > kMaxSide ? kMaxSide : height;
  auto it = entries_.find(key);
  if (it != entries_.end() && (it->second->data.Width != width || it->second->data.Height != height)) {
    // Another size is another texture; the old one stays until the frame that may use it has been drawn.
    std::unique_ptr<Entry> old = std::move(it->second);
    entries_.erase(it);
    destroy(*old);
    entries_.emplace(std::string(key) + "\n" + std::to_string(frame_) + " " + std::to_string(uploads_), std::move(old));
    it = entries_.end();
  }
  const bool fresh = it == entries_.end();
  if (fresh) {
    it = entries_.emplace(std::string(key), std::make_unique<Entry>()).first;
    ImTextureData& data = it->second->data;
    data.Create(ImTextureFormat_RGBA32, width, height);
    data.UseColors = true;
    data.SetStatus(ImTextureStatus_WantCreate);
    data.UsedRect = {0, 0, static_cast<unsigned short>(width), static_cast<unsigned short>(height)};
    ImGui::RegisterUserTexture(&data);
  }
  Entry& entry = *it->second;
  entry.used = frame_;
  if (fresh || entry.version != version) {
    entry.version = version;
    ++uploads_;
    fill({static_cast<ImU32*>(entry.data.GetPixels()), static_cast<size_t>(width) * static_cast<size_t>(height)});
    if (!fresh) ImTextureDataQueueUpload(&entry.data, 0, 0, width, height);
  }
  return entry.data.GetTexRef();
}

void TextureCache::draw_nearest(ImDrawList* draw, ImTextureRef texture, ImVec2 min, ImVec2 max, ImVec2 uv_min,
                                ImVec2 uv_max) {
  const ImGuiPlatformIO& platform = ImGui::GetPlatformIO();
  if (platform.DrawCallback_SetSamplerNearest) draw->AddCallback(platform.DrawCallback_SetSamplerNearest, nullptr);
  draw->AddImage(texture, min, max, uv_min, uv_max);
  if (platform.DrawCallback_SetSamplerLinear) draw->AddCallback(platform.DrawCallback_SetSamplerLinear, nullptr);
}

void TextureCache::begin_frame() {
  ++frame_;
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = *it->second;
    if (!entry.dying && frame_ - entry.used > kKeptFrames) destroy(entry);
    if (entry.dying && entry.data.Status == ImTextureStatus_Destroyed) {
      ImGui::UnregisterUserTexture(&entry.data);
      it = entries_.erase(it);
      continue;
    }
    // A texture that is asked for again while it dies is made anew under its key.
    if (entry.dying && it->first.find('\n') == std::string::npos) {
      std::unique_ptr<Entry> old = std::move(it->second);
      const std::string key = it->first + "\n" + std::to_string(frame_);
      it = entries_.erase(it);
      entries_.emplace(key, std::move(old));
      continue;
    }
    ++it;
  }
}

}  // namespace glassbox
