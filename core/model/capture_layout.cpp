// Where captured values wait: who gets a slot, and which memory it lies in.
#include <algorithm>
#include <utility>

#include "core/model/capture_slots.h"

namespace glassbox {
namespace {

// Layers whose large slots there are at a time: while one is copied, the next is computed.
constexpr int kTurns = Ops::kDownloadMarks;

}  // namespace

void CaptureSlots::lay_out(const TapPlan* plan, const ModelConfig& config, std::span<const RowPosition> rows,
                           std::span<const RowPosition> logit_rows, int64_t key_width) {
  slots_.clear();
  parts_.clear();
  turns_.clear();
  passes_.clear();
  floats_ = 0;
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
    const Range all{0, rows_of(tap).size()};
    const size_t parts = parts_.size();
    const bool recorded = key_width > 0;  // then nothing is done between the layers
    const bool straight = !recorded && find_parts(*site, tap);
    const bool in_part = !recorded && !straight && !has_key_axis(tap) && tap_info(tap).scope == TapScope::layer &&
                         wanted.end - wanted.begin < all.end;
    slots_.push_back({site, tap, layer, heads, width,
                      straight  ? Way::straight
                      : in_part ? Way::in_part
                                : Way::whole,
                      in_part ? wanted : all, parts, parts_.size()});
  }
  place_small();
  place_large();
  place_passing(*plan, config);
  if (floats_ * sizeof(float) <= host_.bytes()) return;
  generation_ = fresh_number();
  memory_ = {};
  host_ = {};
  memory_ = ops_.allocate(floats_ * sizeof(float));
  host_ = ops_.allocate_staging(floats_ * sizeof(float));  // last: where one fails, it is as if there were neither
}

// From the first to the last row that some page takes.
CaptureSlots::Range CaptureSlots::wanted_rows(const TapPlan::Site& site, Tap tap) const {
  const std::span<const RowPosition> rows = rows_of(tap);
  Range wanted{0, 0};
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto of_row = [&](const PlannedCapture& capture) { return capture.takes(rows[r]); };
    if (std::none_of(site.captures.begin(), site.captures.end(), of_row)) continue;
    if (wanted.end == 0) wanted.begin = r;
    wanted.end = r + 1;
  }
  return wanted;
}

// memory_: first those whose addresses recordings hold, which stay where they are whatever else is wanted.
void CaptureSlots::place_small() {
  for (const bool apart : {true, false}) {
    for (Slot& slot : slots_) {
      if (slot.way == Way::straight || is_filled_apart(slot) != apart) continue;
      slot.kept = floats_;
      if (slot.way == Way::whole) slot.first = floats_;
      floats_ += floats_of(slot, slot.wanted);
    }
  }
}

// passing_: as much as the layer needs that needs most of it.
void CaptureSlots::place_passing(const TapPlan& plan, const ModelConfig& config) {
  passes_.assign(config.layers.size(), 0);
  passing_heads_ = 0;
  passing_patterns_ = 0;
  size_t used = 0;
  int of_layer = 0;
  for (Slot& slot : slots_) {
    if (slot.way != Way::in_part) continue;
    if (slot.layer != std::exchange(of_layer, slot.layer)) used = 0;
    slot.first = used;
    used += floats_of(slot, {0, rows_of(slot.tap).size()});
    passing_patterns_ = std::max(passing_patterns_, used);
  }
  for (size_t layer = 0; layer < passes_.size(); ++layer) {
    const int l = static_cast<int>(layer);
    if ((!has(Tap::attn_pooled, l) && !has(Tap::attn_focus, l)) || plan.edits_attention(l)) continue;
    passes_[layer] = 1;
    passing_heads_ = std::max(passing_heads_, config.layers[layer].heads);
  }
  int64_t keys = 0;
  for (const RowPosition& row : rows_) keys += keys_of(row);
  const size_t bytes = (passing_patterns_ + static_cast<size_t>(passing_heads_ * keys)) * sizeof(float);
  if (bytes <= passing_.bytes()) return;
  passing_ = {};
  passing_ = ops_.allocate(bytes);
}

// Whether other operations than a fused layer's have the slot's address: of what it does not store, and of what such a
// thing is made of.
bool CaptureSlots::is_filled_apart(const Slot& slot) const {
  return tap_info(slot.tap).scope == TapScope::model || slot.tap == Tap::head_out ||
         (slot.tap == Tap::attn_z && find(Tap::head_out, slot.layer) != nullptr);
}

size_t CaptureSlots::floats_of(const Slot& slot, Range rows) const {
  int64_t values = static_cast<int64_t>(rows.end - rows.begin) * slot.width;
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
    const auto wanted = [&](const RowPosition& row) { return capture.takes(row); };
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
  size_t floats = 0;
  for (size_t p = slot.parts_begin; p < slot.parts_end; ++p) {
    Part& part = parts_[p];
    part.first = slot.width == 0 ? floats : part.row * slot.row_size();
    floats += part.count * static_cast<size_t>(part.page->row_size());
  }
  // Without a key axis the operations write all rows, wanted or not.
  if (slot.width != 0) floats = rows_of(slot.tap).size() * slot.row_size();
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
    if (slot.way != Way::straight) continue;
    size_t& floats = in_turn(slot) ? used[static_cast<size_t>(slot.layer)] : apart;
    slot.first = floats;
    floats += place_parts(slot);
    int& turn = turns_[static_cast<size_t>(slot.layer)];
    if (in_turn(slot) && turn < 0) turn = layers++ % kTurns;
  }
  const size_t each = *std::max_element(used.begin(), used.end());
  const size_t turns = static_cast<size_t>(std::min(layers, kTurns));
  for (Slot& slot : slots_) {
    if (slot.way != Way::straight) continue;
    slot.first += each * (in_turn(slot) ? static_cast<size_t>(turns_[static_cast<size_t>(slot.layer)]) : turns);
    for (size_t p = slot.parts_begin; p < slot.parts_end; ++p) parts_[p].first += slot.first;
  }
  const size_t bytes = (each * turns + apart) * sizeof(float);
  if (bytes <= large_.bytes()) return;
  large_ = {};
  large_ = ops_.allocate(bytes);
}

}  // namespace glassbox
