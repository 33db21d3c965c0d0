#include "core/model/capture_slots.h"

#include <algorithm>

#include "kernels/hash.h"

namespace glassbox {

void CaptureSlots::lay_out(const TapPlan* plan, const ModelConfig& config, std::span<const RowPosition> rows,
                           std::span<const RowPosition> logit_rows, int64_t key_width) {
  slots_.clear();
  floats_ = 0;
  if (plan == nullptr || ops_.on_host()) return;
  rows_ = rows;
  logit_rows_ = logit_rows;
  key_width_ = key_width;
  int64_t keys = 0;
  for (const RowPosition& row : rows) keys += keys_of(row);
  slot_index_.assign(config.layers.size() * kTapCount, -1);
  for (size_t place = 0; place < slot_index_.size(); ++place) {
    const Tap tap = static_cast<Tap>(place % kTapCount);
    const int layer = static_cast<int>(place / kTapCount);
    const TapPlan::Site* site = plan->site(tap, layer);
    if (site == nullptr || !site->edits.empty() || (has_key_axis(tap) && plan->edits_attention(layer))) continue;
    const int heads = tap_heads(tap, config, layer);
    const int64_t width = has_key_axis(tap) ? 0 : tap_width(tap, config, layer, 0);
    const auto row_count = static_cast<int64_t>(tap == Tap::logits ? logit_rows.size() : rows.size());
    slot_index_[place] = static_cast<int>(slots_.size());
    slots_.push_back({site, tap, layer, heads, width, floats_, {}});
    const int64_t floats = std::max(heads, 1) * (has_key_axis(tap) ? keys : row_count * width);
    floats_ += static_cast<size_t>(floats + 3) / 4 * 4;
  }
  if (floats_ * sizeof(float) <= memory_.bytes()) return;
  generation_ = fresh_number();
  memory_ = {};
  host_ = {};
  memory_ = ops_.allocate(floats_ * sizeof(float));
  host_ = ops_.allocate_staging(floats_ * sizeof(float));
}

void CaptureSlots::describe_keys(const Slot& slot, float* memory, std::span<KeyRow> rows) const {
  float* next = memory + slot.first;
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r] = {next, keys_of(rows_[r])};
    next += slot.heads * keys_of(rows_[r]);
  }
}

size_t CaptureSlots::inputs_room() const {
  const auto with_keys = std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.width == 0; });
  return static_cast<size_t>(with_keys) * StepInputs::room<KeyRow>(rows_.size());
}

void CaptureSlots::describe_keys(StepInputs& inputs) {
  for (Slot& slot : slots_) {
    if (slot.width != 0) continue;
    const std::span<KeyRow> rows = inputs.add<KeyRow>(rows_.size());
    describe_keys(slot, memory_.f32(), rows);
    slot.placed = inputs.placed(rows);
  }
}

const CaptureSlots::Slot* CaptureSlots::find(Tap tap, int layer) const {
  if (slots_.empty()) return nullptr;
  const int index = slot_index_[static_cast<size_t>(layer) * kTapCount + static_cast<size_t>(tap)];
  return index < 0 ? nullptr : &slots_[static_cast<size_t>(index)];
}

float* CaptureSlots::slot(Tap tap, int layer) const {
  const Slot* found = find(tap, layer);
  return found == nullptr ? nullptr : memory_.f32() + found->first;
}

std::span<const KeyRow> CaptureSlots::key_rows(Tap tap, int layer) const {
  const Slot* found = find(tap, layer);
  return found == nullptr ? std::span<const KeyRow>{} : found->placed;
}

void CaptureSlots::start_download() {
  if (floats_ > 0) ops_.download(memory_.data(), floats_ * sizeof(float), host_.data());
}

void CaptureSlots::deliver() {
  key_rows_.resize(rows_.size());
  for (const Slot& slot : slots_) {
    if (slot.width == 0) {
      describe_keys(slot, host_.f32(), key_rows_);
      run_key_site(*slot.site, slot.tap, rows_, slot.heads, key_rows_);
    } else {
      run_site(*slot.site, slot.tap == Tap::logits ? logit_rows_ : rows_, slot.heads, slot.width,
               host_.f32() + slot.first);
    }
  }
}

uint64_t CaptureSlots::layout_hash() const {
  uint64_t hash = kHashStart;
  const auto add = [&](uint64_t value) { hash = join_hashes(hash, value); };
  for (const Slot& slot : slots_) {
    add(static_cast<uint64_t>(slot.layer) * kTapCount + static_cast<uint64_t>(slot.tap));
    add(slot.first);
  }
  add(static_cast<uint64_t>(key_width_));
  return hash;
}

}  // namespace glassbox
