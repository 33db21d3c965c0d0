// The parts of measure(): by what a quantity is read from.
#pragma once

#include "lessons/quantity.h"

namespace glassbox {

// Of the prompt and what the tokeniser makes of it; context.model is there.
std::optional<double> measure_text(const Quantity& quantity, const MeasureContext& context);
// Of the Document alone.
std::optional<double> measure_document(const Quantity& quantity, const MeasureContext& context);

// An edit that switches one head off.
inline bool is_head_off(const Edit& edit) {
  return edit.enabled && edit.kind == EditKind::zero && edit.tap == Tap::attn_z && edit.head && !edit.index &&
         !edit.position_begin;
}

}  // namespace glassbox
