// Where captured values wait when the backend's memory is not the host's: each site has a slot on the device, which the
// operations fill in their order. So seeing does not stop the device. Small slots travel at once at the end of the
// forward, and the host puts their rows into the pages. Of a slot of which some rows are wanted only these do: they are
// put among the small ones when the layer is done, and the next layer's slots take the place of the others. Large ones
// have the layout of their pages: each is copied straight into them when its layer is done, beside the layers that
// follow. These slots are those of two layers at a time, which take turns: all layers' would be as large as all the
// pages.
//
// A pattern that is seen in summary alone is stored for that all the same, where the next layer's takes its place.
#pragma once

#include <algorithm>
#include <vector>

#include "core/model/config.h"
#include "core/model/step_inputs.h"
#include "core/probe/plan.h"
#include "kernels/ops.h"

namespace glassbox {

class CaptureSlots {
 public:
  explicit CaptureSlots(Ops& ops) : ops_(ops) {}

  // A slot for every site of the plan of which some row is captured, and that is not edited (those are seen on the host
  // in the middle of the forward). `key_width`: of rows with a key axis; 0: as many as the row has keys. Throws
  // std::bad_alloc. The spans must live until deliver().
  void lay_out(const TapPlan* plan, const ModelConfig& config, std::span<const RowPosition> rows,
               std::span<const RowPosition> logit_rows, int64_t key_width);
  // Room that describe_keys() needs in the inputs: now, and whatever is wanted of so many rows.
  size_t inputs_room() const;
  static size_t most_inputs_room(int layers, size_t rows);
  // Tells the inputs where the rows of slots with a key axis lie.
  void describe_keys(StepInputs& inputs);

  bool has(Tap tap, int layer) const { return find(tap, layer) != nullptr; }
  // Null: nothing waits here.
  float* slot(Tap tap, int layer) const;
  // [R] in the backend's memory, or empty. Those of attn_pattern are there for its summary too.
  std::span<const KeyRow> key_rows(Tap tap, int layer) const;
  PatternSummary summary(int layer) const { return {slot(Tap::attn_pooled, layer), slot(Tap::attn_focus, layer)}; }

  // Before and after a layer's operations, where these are not recorded: fills pages from large slots.
  void begin_layer(int layer);
  void end_layer(int layer);
  void start_download();   // after the operations; then the backend is waited for
  void deliver();          // into the pages what is not there yet, and marks their rows
  bool of_layers() const;  // whether any slot is a layer's
  // Joins to the hash which of a layer's slots are filled by operations that have their addresses, and where these lie;
  // layer 0 has the model's too. `fused`: the layer reads its outputs' addresses in the backend's memory, so that only
  // those are left that it does not store. Where any is joined, the operations depend on generation() as well.
  uint64_t join_filled_apart(uint64_t hash, int layer, bool fused) const;
  uint64_t generation() const { return generation_; }

 private:
  struct Range {
    size_t begin, end;
  };
  enum class Way : uint8_t {
    whole,     // in memory_
    in_part,   // in passing_, until the wanted rows are copied to memory_
    straight,  // in large_, copied from there into its pages
  };
  struct Slot {
    const TapPlan::Site* site;
    Tap tap;
    int layer, heads;
    int64_t width;  // of a head's part of a row; 0: the row's keys
    Way way;
    Range wanted;                      // the rows that travel, of one that is not straight
    size_t parts_begin, parts_end;     // of a straight one, in parts_
    size_t first = 0;                  // its first float where it lies
    size_t kept = 0;                   // in memory_, where first come those filled apart: its wanted rows'
    std::span<const KeyRow> placed{};  // rows with a key axis, where the operations find them
    size_t row_size() const { return static_cast<size_t>(std::max(heads, 1) * width); }
  };
  // Rows that lie one after the other in a straight slot and in their page.
  struct Part {
    Page* page;
    size_t row, count;  // of the call, or of its logits
    size_t first;       // its first float in large_
  };
  const Slot* find(Tap tap, int layer) const;  // for taps of model scope layer 0
  bool is_filled_apart(const Slot& slot) const;
  size_t floats_of(const Slot& slot, Range rows) const;
  int64_t keys_of(const RowPosition& row) const { return key_width_ > 0 ? key_width_ : row.position + 1; }
  std::span<const RowPosition> rows_of(Tap tap) const { return tap == Tap::logits ? logit_rows_ : rows_; }
  std::span<const Part> parts_of(const Slot& slot) const {
    return std::span(parts_).subspan(slot.parts_begin, slot.parts_end - slot.parts_begin);
  }
  Range wanted_rows(const TapPlan::Site& site, Tap tap) const;
  void place_small();
  bool find_parts(const TapPlan::Site& site, Tap tap);
  size_t place_parts(const Slot& slot);
  void place_large();
  void place_passing(const TapPlan& plan, const ModelConfig& config);
  void describe_keys(const Slot& slot, float* first, std::span<KeyRow> rows) const;
  void describe_large_keys(const Slot& slot, std::span<KeyRow> rows) const;
  bool passes(int layer) const { return !passes_.empty() && passes_[static_cast<size_t>(layer)] != 0; }
  bool some_pass_whole() const;
  void describe_passing_keys(std::span<KeyRow> rows) const;
  void keep_wanted(const Slot& slot);
  void send(const Slot& slot);

  Ops& ops_;
  std::vector<Slot> slots_;      // in order of layer and tap
  std::vector<int> slot_index_;  // [layer][tap], −1: none
  std::span<const RowPosition> rows_, logit_rows_;
  int64_t key_width_ = 0;
  size_t floats_ = 0;        // in memory_
  std::vector<Part> parts_;  // of all straight slots
  std::vector<int> turns_;   // [layer] whose turn's part of large_ a layer's slots take, −1: it has none there
  // What one layer after the other uses: slots of which some rows are wanted, and behind them the patterns that no page
  // takes but that are summarised, [R][passing_heads_, keys]. passes_: [layer] whether it has such a pattern.
  Buffer passing_;
  std::vector<uint8_t> passes_;
  int passing_heads_ = 0;
  size_t passing_patterns_ = 0;             // their first float
  std::span<const KeyRow> placed_passing_;  // of the layers that have no slot for it
  Buffer memory_, host_, large_;
  std::vector<KeyRow> key_rows_;  // as the host finds them
  uint64_t generation_ = 0;
};

}  // namespace glassbox
