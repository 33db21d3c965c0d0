#include "core/model/capture_slots.h"

#include <algorithm>

#include "kernels/hash.h"

namespace glassbox {
namespace {

// What is filled behind the last layer.
bool is_of_head(Tap tap) {
  return tap == Tap::final_norm || tap == Tap::logits;
}

}  // namespace

void CaptureSlots::describe_keys(const Slot& slot, float* first, std::span<KeyRow> rows) const {
  float* next = first;
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r] = {next, keys_of(rows_[r])};
    next += slot.heads * keys_of(rows_[r]);
  }
}

// As the pages have them; nowhere what no page wants.
void CaptureSlots::describe_large_keys(const Slot& slot, std::span<KeyRow> rows) const {
  std::fill(rows.begin(), rows.end(), KeyRow{});
  for (const Part& part : parts_of(slot)) {
    float* next = large_.f32() + part.first;
    for (KeyRow& row : rows.subspan(part.row, part.count)) {
      row = {next, part.page->width(), part.page->width()};
      next += part.page->row_size();
    }
  }
}

// Where patterns are stored for their summary alone: all rows, or those that are nowhere yet.
void CaptureSlots::describe_passing_keys(std::span<KeyRow> rows) const {
  float* next = passing_.f32() + passing_patterns_;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r].data == nullptr) rows[r] = {next, keys_of(rows_[r])};
    next += passing_heads_ * keys_of(rows_[r]);
  }
}

// Whether some layer's pattern has no slot, but is stored for its summary.
bool CaptureSlots::some_pass_whole() const {
  for (size_t layer = 0; layer < passes_.size(); ++layer) {
    if (passes_[layer] != 0 && find(Tap::attn_pattern, static_cast<int>(layer)) == nullptr) return true;
  }
  return false;
}

size_t CaptureSlots::most_inputs_room(int layers, size_t rows) {
  const auto with_keys =
      std::count_if(all_taps().begin(), all_taps().end(), [](const TapInfo& info) { return has_key_axis(info.tap); });
  return static_cast<size_t>(layers * with_keys) * StepInputs::room<KeyRow>(rows);
}

size_t CaptureSlots::inputs_room() const {
  const auto with_keys = std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.width == 0; });
  return static_cast<size_t>(with_keys + (some_pass_whole() ? 1 : 0)) * StepInputs::room<KeyRow>(rows_.size());
}

void CaptureSlots::describe_keys(StepInputs& inputs) {
  for (Slot& slot : slots_) {
    if (slot.width != 0) continue;
    const std::span<KeyRow> rows = inputs.add<KeyRow>(rows_.size());
    if (slot.way == Way::straight) {
      describe_large_keys(slot, rows);
      if (slot.tap == Tap::attn_pattern && passes(slot.layer)) describe_passing_keys(rows);
    } else {
      describe_keys(slot, memory_.f32() + slot.first, rows);
    }
    slot.placed = inputs.placed(rows);
  }
  if (!some_pass_whole()) return;
  const std::span<KeyRow> rows = inputs.add<KeyRow>(rows_.size());
  std::fill(rows.begin(), rows.end(), KeyRow{});
  describe_passing_keys(rows);
  placed_passing_ = inputs.placed(rows);
}

const CaptureSlots::Slot* CaptureSlots::find(Tap tap, int layer) const {
  if (slots_.empty()) return nullptr;
  const int index = slot_index_[static_cast<size_t>(layer) * kTapCount + static_cast<size_t>(tap)];
  return index < 0 ? nullptr : &slots_[static_cast<size_t>(index)];
}

float* CaptureSlots::slot(Tap tap, int layer) const {
  const Slot* found = find(tap, layer);
  if (found == nullptr) return nullptr;
  const Buffer& memory = found->way == Way::whole ? memory_ : found->way == Way::in_part ? passing_ : large_;
  return memory.f32() + found->first;
}

std::span<const KeyRow> CaptureSlots::key_rows(Tap tap, int layer) const {
  if (const Slot* found = find(tap, layer)) return found->placed;
  return tap == Tap::attn_pattern && passes(layer) ? placed_passing_ : std::span<const KeyRow>{};
}

void CaptureSlots::begin_layer(int layer) {
  if (turns_.empty()) return;
  const int turn = turns_[static_cast<size_t>(layer)];
  if (turn >= 0) ops_.await_downloads(turn);
}

void CaptureSlots::end_layer(int layer) {
  if (turns_.empty()) return;
  const size_t first = static_cast<size_t>(layer) * kTapCount;
  for (size_t place = first; place < first + kTapCount; ++place) {
    if (slot_index_[place] < 0) continue;
    const Slot& slot = slots_[static_cast<size_t>(slot_index_[place])];
    if (slot.way == Way::in_part) keep_wanted(slot);
    if (!is_of_head(slot.tap)) send(slot);
  }
  const int turn = turns_[static_cast<size_t>(layer)];
  if (turn >= 0) ops_.mark_downloads(turn);
}

// Of a slot that the next layer's will write over.
void CaptureSlots::keep_wanted(const Slot& slot) {
  const size_t rows = slot.wanted.end - slot.wanted.begin;
  ops_.copy(passing_.f32() + slot.first + slot.wanted.begin * slot.row_size(), rows * slot.row_size() * sizeof(float),
            memory_.f32() + slot.kept);
}

void CaptureSlots::send(const Slot& slot) {
  for (const Part& part : parts_of(slot)) {
    ops_.download_beside(large_.f32() + part.first,
                         part.count * static_cast<size_t>(part.page->row_size()) * sizeof(float),
                         part.page->row_data(rows_of(slot.tap)[part.row].position));
  }
}

void CaptureSlots::start_download() {
  for (const Tap tap : {Tap::final_norm, Tap::logits}) {
    if (const Slot* slot = find(tap, 0)) send(*slot);
  }
  if (floats_ > 0) ops_.download(memory_.data(), floats_ * sizeof(float), host_.data());
}

void CaptureSlots::deliver() {
  key_rows_.resize(rows_.size());
  for (const Slot& slot : slots_) {
    if (slot.way == Way::straight) {
      for (const Part& part : parts_of(slot)) {
        for (const RowPosition& row : rows_of(slot.tap).subspan(part.row, part.count)) {
          part.page->mark_written(row.position);
        }
      }
    } else if (slot.width == 0) {
      describe_keys(slot, host_.f32() + slot.kept, key_rows_);
      run_key_site(*slot.site, slot.tap, rows_, slot.heads, key_rows_);
    } else {
      const std::span<const RowPosition> rows =
          rows_of(slot.tap).subspan(slot.wanted.begin, slot.wanted.end - slot.wanted.begin);
      run_site(*slot.site, rows, slot.heads, slot.width, host_.f32() + slot.kept);
    }
  }
}

bool CaptureSlots::of_layers() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return tap_info(slot.tap).scope == TapScope::layer; });
}

uint64_t CaptureSlots::join_filled_apart(uint64_t hash, int layer, bool fused) const {
  for (int tap = 0; tap < kTapCount; ++tap) {
    const Slot* slot = find(static_cast<Tap>(tap), layer);
    if (slot == nullptr || (fused && !is_filled_apart(*slot))) continue;
    for (const uint64_t value : {static_cast<uint64_t>(layer * kTapCount + tap), uint64_t{slot->first},
                                 static_cast<uint64_t>(reinterpret_cast<uintptr_t>(slot->placed.data()))}) {
      hash = join_hashes(hash, value);
    }
  }
  if (!fused && passes(layer)) {
    hash = join_hashes(hash,
                       static_cast<uint64_t>(reinterpret_cast<uintptr_t>(key_rows(Tap::attn_pattern, layer).data())));
  }
  return hash;
}

}  // namespace glassbox
