// Measures of drawn text beside its width.
#pragma once

#include "app/theme/theme.h"
#include "imgui_internal.h"

namespace glassbox {

// Height of a line as it is drawn, ascent to descent, in pixels: text centred on y begins at y − text_height(style) / 2.
inline float text_height(const TextStyle& style) {
  const ImFontBaked* baked = style.font->GetFontBaked(style.size);
  return baked->Ascent - baked->Descent;
}

}  // namespace glassbox
