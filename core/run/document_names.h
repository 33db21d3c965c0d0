// The names of the Document's enumerations in JSON, in the order of their values.
#pragma once

#include <string_view>

namespace glassbox {

inline constexpr std::string_view kThemeNames[] = {"dark", "light"};                 // ThemeKind
inline constexpr std::string_view kMapNames[] = {"glassbox", "viridis", "cividis"};  // ProbabilityMap

}  // namespace glassbox
