#include "core/model/capture_slots.h"

#include <algorithm>

#include "kernels/hash.h"

namespace glassbox {
namespace {

// Layers whose large slots there are at a time: while one is copied, the next is computed.
constexpr int kTurns = Ops::kDownloadMarks;

// What is filled behind the last layer.
bool is_of_head(Tap tap) {
  return tap == Tap::final_norm || tap == Tap::logits;
}

bool takes(const PlannedCapture& capture, const RowPosition& row) {
  return row.sequence == capture.sequence && row.position >= capture.page->begin() &&
         row.position < capture.page->end();
}

}  // namespace

void CaptureSlots::lay_out(const TapPlan* plan, const ModelConfig& config, std::span<const RowPosition> rows,
                           std::span<const RowPosition> logit_rows, int64_t key_width) {
  slots_.clear();
  parts_.clear();
  turns_.clear();
  passes_.clear();
  copies_.clear();
  floats_ = host_floats_ = 0;
  if (plan == nullptr || ops_.on_host()) return;
  rows_ = rows;
  logit_rows_ = logit_rows;
  key_width_ = key_width;
  slot_index_.assign(config.layers.size() * kTapCount, -1);
  turns_.assign(config.layers.size(), -1);
  for (size_t place = 0; place < slot_index_.size(); ++place) {
    const Tap tap = static_cast<Tap>(place % kTapCount);
    const int layer = static_cast<int>(place / kTapCount);
    const TapPlan::Site* site = plan->site(tap, layer);
    if (site == nullptr || !site->edits.empty() || (has_key_axis(tap) && plan->edits_attention(layer))) continue;
    const Range wanted = wanted_rows(*site, tap);
    if (wanted.begin == wanted.end) continue;
    const int heads = tap_heads(tap, config, layer);
    const int64_t width = has_key_axis(tap) ? 0 : tap_width(tap, config, layer, 0);
    slot_index_[place] = static_cast<int>(slots_.size());
    const size_t parts = parts_.size();
    const bool straight = key_width == 0 && find_parts(*site, tap);
    slots_.push_back({site, tap, layer, heads, width, straight, 0, {}, parts, parts_.size(), wanted});
  }
  // First those whose addresses recordings hold: they stay where they are whatever else is wanted.
  for (const bool apart : {true, false}) {
    for (Slot& slot : slots_) {
      if (!slot.straight && is_filled_apart(slot) == apart) place_small(slot);
    }
  }
  place_large();
  place_passing(*plan, config);
  if (floats_ * sizeof(float) > memory_.bytes()) {
    generation_ = fresh_number();
    memory_ = {};
    memory_ = ops_.allocate(floats_ * sizeof(float));
  }
  if (host_floats_ * sizeof(float) > host_.bytes()) {
    host_ = {};
    host_ = ops_.allocate_staging(host_floats_ * sizeof(float));
  }
}

// From the first to the last row that some page takes; with a key axis all of them, if any.
CaptureSlots::Range CaptureSlots::wanted_rows(const TapPlan::Site& site, Tap tap) const {
  const std::span<const RowPosition> rows = rows_of(tap);
  Range wanted{rows.size(), 0};
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto of_row = [&](const PlannedCapture& capture) { return takes(capture, rows[r]); };
    if (std::none_of(site.captures.begin(), site.captures.end(), of_row)) continue;
    wanted.begin = std::min(wanted.begin, r);
    wanted.end = r + 1;
  }
  if (wanted.end == 0) return {0, 0};
  return has_key_axis(tap) ? Range{0, rows.size()} : wanted;
}

// Gives the slot the next place in memory_; what is wanted of it travels with what stands before it, if that ends
// there.
void CaptureSlots::place_small(Slot& slot) {
  slot.first = floats_;
  slot.host_first = host_floats_;
  Copy copy{slot.first, slot.host_first, floats_of(slot)};
  floats_ += copy.count;
  if (slot.wanted.end - slot.wanted.begin < rows_of(slot.tap).size()) {
    const auto row_size = static_cast<size_t>(std::max(slot.heads, 1) * slot.width);
    copy.from += slot.wanted.begin * row_size;
    copy.count = (slot.wanted.end - slot.wanted.begin) * row_size;
  }
  host_floats_ += copy.count;
  if (!copies_.empty() && copies_.back().from + copies_.back().count == copy.from) {
    copies_.back().count += copy.count;
  } else {
    copies_.push_back(copy);
  }
}

// Room for the patterns of which only the summary is wanted.
void CaptureSlots::place_passing(const TapPlan& plan, const ModelConfig& config) {
  passes_.assign(config.layers.size(), 0);
  passing_heads_ = 0;
  for (size_t layer = 0; layer < passes_.size(); ++layer) {
    const int l = static_cast<int>(layer);
    const bool summarised = find(Tap::attn_pooled, l) != nullptr || find(Tap::attn_focus, l) != nullptr;
    if (!summarised || plan.edits_attention(l)) continue;
    passes_[layer] = 1;
    passing_heads_ = std::max(passing_heads_, config.layers[layer].heads);
  }
  int64_t keys = 0;
  for (const RowPosition& row : rows_) keys += keys_of(row);
  const size_t passing = static_cast<size_t>(passing_heads_ * keys) * sizeof(float);
  if (passing <= passing_.bytes()) return;
  passing_ = {};
  passing_ = ops_.allocate(passing);
}

// Whether other operations than a fused layer's have the slot's address: of what it does not store, and of what such a
// thing is made of.
bool CaptureSlots::is_filled_apart(const Slot& slot) const {
  return tap_info(slot.tap).scope == TapScope::model || slot.tap == Tap::head_out ||
         (slot.tap == Tap::attn_z && find(Tap::head_out, slot.layer) != nullptr);
}

// In memory_.
size_t CaptureSlots::floats_of(const Slot& slot) const {
  int64_t values = static_cast<int64_t>(rows_of(slot.tap).size()) * slot.width;
  if (slot.width == 0) {
    for (const RowPosition& row : rows_) values += keys_of(row);
  }
  return static_cast<size_t>(std::max(slot.heads, 1) * values + 3) / 4 * 4;
}

// The parts of a site that is copied straight into its pages; false, and none: it is not. It is, where each capture's
// rows stand together and are worth a copy, and no row has to be laid out for two pages.
bool CaptureSlots::find_parts(const TapPlan::Site& site, Tap tap) {
  const std::span<const RowPosition> rows = rows_of(tap);
  const size_t before = parts_.size();
  bool good = true;
  for (const PlannedCapture& capture : site.captures) {
    Page& page = *capture.page;
    const auto wanted = [&](const RowPosition& row) { return takes(capture, row); };
    const auto begin = std::find_if(rows.begin(), rows.end(), wanted);
    if (begin == rows.end()) continue;
    const auto end = std::find_if_not(begin, rows.end(), wanted);
    const Part part{&page, static_cast<size_t>(begin - rows.begin()), static_cast<size_t>(end - begin), 0};
    good = good && page.takes_copies(part.count) && std::none_of(end, rows.end(), wanted) &&
           (end - 1)->position - begin->position == end - 1 - begin;
    for (size_t p = before; good && has_key_axis(tap) && p < parts_.size(); ++p) {
      good = part.row >= parts_[p].row + parts_[p].count || parts_[p].row >= part.row + part.count;
    }
    parts_.push_back(part);
  }
  if (!good) parts_.resize(before);
  return parts_.size() > before;
}

// Numbers a straight slot's parts from its beginning; how many floats it takes.
size_t CaptureSlots::place_parts(const Slot& slot) {
  const auto row_size = static_cast<size_t>(std::max(slot.heads, 1) * slot.width);
  size_t floats = 0;
  for (size_t p = slot.parts_begin; p < slot.parts_end; ++p) {
    Part& part = parts_[p];
    part.first = slot.width == 0 ? floats : part.row * row_size;
    floats += part.count * static_cast<size_t>(part.page->row_size());
  }
  // Without a key axis the operations write all rows, wanted or not.
  if (slot.width != 0) floats = rows_of(slot.tap).size() * row_size;
  return (floats + 3) / 4 * 4;
}

// large_: as much as the largest layer needs, for each turn; then what belongs to no layer.
void CaptureSlots::place_large() {
  if (parts_.empty()) return;
  const auto in_turn = [](const Slot& slot) { return tap_info(slot.tap).scope == TapScope::layer; };
  std::vector<size_t> used(turns_.size(), 0);  // by the layer's slots
  size_t apart = 0;                            // by the others
  int layers = 0;
  for (Slot& slot : slots_) {
    if (!slot.straight) continue;
    size_t& floats = in_turn(slot) ? used[static_cast<size_t>(slot.layer)] : apart;
    slot.first = floats;
    floats += place_parts(slot);
    int& turn = turns_[static_cast<size_t>(slot.layer)];
    if (in_turn(slot) && turn < 0) turn = layers++ % kTurns;
  }
  const size_t each = *std::max_element(used.begin(), used.end());
  const size_t turns = static_cast<size_t>(std::min(layers, kTurns));
  for (Slot& slot : slots_) {
    if (!slot.straight) continue;
    slot.first += each * (in_turn(slot) ? static_cast<size_t>(turns_[static_cast<size_t>(slot.layer)]) : turns);
    for (size_t p = slot.parts_begin; p < slot.parts_end; ++p) parts_[p].first += slot.first;
  }
  const size_t bytes = (each * turns + apart) * sizeof(float);
  if (bytes <= large_.bytes()) return;
  large_ = {};
  large_ = ops_.allocate(bytes);
}

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
  float* next = passing_.f32();
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
    if (slot.straight) {
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
  return found == nullptr ? nullptr : (found->straight ? large_ : memory_).f32() + found->first;
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
    if (!is_of_head(slot.tap)) send(slot);
  }
  const int turn = turns_[static_cast<size_t>(layer)];
  if (turn >= 0) ops_.mark_downloads(turn);
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
  for (const Copy& copy : copies_) {
    ops_.download(memory_.f32() + copy.from, copy.count * sizeof(float), host_.f32() + copy.to);
  }
}

void CaptureSlots::deliver() {
  key_rows_.resize(rows_.size());
  for (const Slot& slot : slots_) {
    if (slot.straight) {
      for (const Part& part : parts_of(slot)) {
        for (const RowPosition& row : rows_of(slot.tap).subspan(part.row, part.count)) {
          part.page->mark_written(row.position);
        }
      }
    } else if (slot.width == 0) {
      describe_keys(slot, host_.f32() + slot.host_first, key_rows_);
      run_key_site(*slot.site, slot.tap, rows_, slot.heads, key_rows_);
    } else {
      const std::span<const RowPosition> rows =
          rows_of(slot.tap).subspan(slot.wanted.begin, slot.wanted.end - slot.wanted.begin);
      run_site(*slot.site, rows, slot.heads, slot.width, host_.f32() + slot.host_first);
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
