#include "app/shell/png.h"

#include "core/base/files.h"
#include "stb_image_write.h"

namespace glassbox {

Result<void> save_png_file(const std::string& path, const std::vector<uint8_t>& rgba, int width, int height) {
  // A framebuffer's alpha says nothing; three channels say that the picture is opaque.
  std::vector<uint8_t> rgb(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (size_t i = 0; i < rgb.size() / 3; ++i)
    for (size_t c = 0; c < 3; ++c) rgb[i * 3 + c] = rgba[i * 4 + c];
  std::string bytes;
  const auto append = [](void* out, void* data, int size) {
    static_cast<std::string*>(out)->append(static_cast<const char*>(data), static_cast<size_t>(size));
  };
  if (!stbi_write_png_to_func(append, &bytes, width, height, 3, rgb.data(), width * 3))
    return Error{ErrorKind::failed, "The picture could not be encoded as PNG.", path, "", "Is there enough memory?"};
  return save_file(path, bytes);
}

}  // namespace glassbox
