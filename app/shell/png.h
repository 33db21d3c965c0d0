// Pictures as PNG files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"

namespace glassbox {

// `rgba` holds height rows of width pixels, top to bottom; the alpha is taken as opaque. Error (failed): the file cannot
// be written; an older file of that name is whole then.
Result<void> save_png_file(const std::string& path, const std::vector<uint8_t>& rgba, int width, int height);

}  // namespace glassbox
