// Where the fonts of the system and of the user lie.
#pragma once

#include <vector>
#include <string>

namespace glassbox {

// The path of the first of the names that a font folder holds; empty when none does. The folders are read once.
std::string find_font_file(const std::vector<const char*>& names);

}  // namespace glassbox
