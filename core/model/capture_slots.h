// Where captured values wait when the backend's memory is not the host's: each site has a slot on the device, which the
// operations fill in their order; at the end of the forward all slots travel at once and go into their pages. So seeing
// does not stop the device.
#pragma once

#include <vector>

#include "core/model/config.h"
#include "core/model/step_inputs.h"
#include "core/probe/plan.h"
#include "kernels/ops.h"

namespace glassbox {

class CaptureSlots {
 public:
  explicit CaptureSlots(Ops& ops) : ops_(ops) {}

  // A slot for every site of the plan that is captured and not edited (those are seen on the host in the middle of the
  // forward). `key_width`: of rows with a key axis; 0: as many as the row has keys. Throws std::bad_alloc. The spans
  // must live until deliver().
  void lay_out(const TapPlan* plan, const ModelConfig& config, std::span<const RowPosition> rows,
               std::span<const RowPosition> logit_rows, int64_t key_width);
  // Room that describe_keys() needs in the inputs.
  size_t inputs_room() const;
  // Tells the inputs where the rows of slots with a key axis lie.
  void describe_keys(StepInputs& inputs);

  // Null: nothing waits here.
  float* slot(Tap tap, int layer) const;
  std::span<const KeyRow> key_rows(Tap tap, int layer) const;  // [R] in the backend's memory, or empty

  void start_download();  // after the operations; then the backend is waited for
  void deliver();         // into the pages
  // What the addresses depend on.
  uint64_t generation() const { return generation_; }
  uint64_t layout_hash() const;

 private:
  struct Slot {
    const TapPlan::Site* site;
    Tap tap;
    int layer, heads;
    int64_t width;                   // of a head's part of a row; 0: the row's keys
    size_t first;                    // its first float
    std::span<const KeyRow> placed;  // rows with a key axis, where the operations find them
  };
  const Slot* find(Tap tap, int layer) const;
  int64_t keys_of(const RowPosition& row) const { return key_width_ > 0 ? key_width_ : row.position + 1; }
  void describe_keys(const Slot& slot, float* memory, std::span<KeyRow> rows) const;

  Ops& ops_;
  std::vector<Slot> slots_;      // in order of layer and tap
  std::vector<int> slot_index_;  // [layer][tap], −1: none
  std::span<const RowPosition> rows_, logit_rows_;
  int64_t key_width_ = 0;
  size_t floats_ = 0;
  Buffer memory_, host_;
  std::vector<KeyRow> key_rows_;  // as the host finds them
  uint64_t generation_ = 0;
};

}  // namespace glassbox
