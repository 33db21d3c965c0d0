// The forward pass. One text of the model for every backend, written in Ops calls.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/model/capture_slots.h"
#include "core/model/kv_cache.h"
#include "core/model/placed_model.h"
#include "core/model/step_inputs.h"
#include "core/probe/plan.h"
#include "kernels/draw.h"

namespace glassbox {

// One row of a ragged batch. Rows of one sequence stand in order of position and continue it without a gap.
struct ForwardRow {
  int32_t token;
  int32_t sequence;  // index into ForwardCall::sequences
  int32_t position;
  bool logits;  // the head is applied to this row
};

// A step whose one row runs a token that was drawn beside the logits of the step before, and which draws the next one.
struct DrawCall {
  const int32_t* token;  // in the backend's memory; it takes the place of ForwardRow::token
  DrawRow row;           // copied to the backend's memory; all its pointers lead there
  uint64_t generation;   // another one where `token` is
};

struct ForwardCall {
  std::span<const ForwardRow> rows;  // [R], at most Workspace::max_rows()
  std::span<KvSequence* const> sequences;
  const TapPlan* plan = nullptr;                  // null: nothing is seen or changed
  std::span<float> logits;                        // [rows with logits, V], in the order of the rows
  std::function<bool(int layer)> between_layers;  // may be empty; false cancels the call
  const DrawCall* draw = nullptr;                 // for send_forward(), of one row and without a plan
};

// Rows of one call of a prefill. On the host: enough for the matrix products to reuse each weight, few enough to stay
// in the cache. A GPU is idle in part with so few, and takes most of its time to begin.
inline constexpr int kHostRowsPerCall = 256, kDeviceRowsPerCall = 512;
inline int rows_per_call(const Ops& ops) {
  return ops.on_host() ? kHostRowsPerCall : kDeviceRowsPerCall;
}

// The activations of one call in the backend's memory, allocated once and reused. Names are those of the taps.
class Workspace {
 public:
  Workspace(const ModelConfig& config, int max_rows, Ops& ops);  // throws std::bad_alloc
  int max_rows() const { return max_rows_; }
  size_t bytes() const { return memory_.bytes(); }

  float* resid;   // [R, C] the residual stream
  float* normed;  // [R, C] attn_norm, mlp_norm, final_norm
  float* q;       // [R, H, D]
  float* k;       // [R, G, D]
  float* v;       // [R, G, D]
  float* z;       // [R, H, D]
  float* branch;  // [R, C] attn_out, mlp_out
  float* gate;    // [R, F]
  float* up;      // [R, F]
  // Filled by forward(): what it needs to know of the rows.
  std::vector<RowPosition> rows, logit_rows;  // [R], and those of them that want logits
  std::vector<KeyRow> scores, pattern;        // [R] where the operations store straight into pages
  StepInputs inputs;
  CaptureSlots captures;
  Buffer keys_memory;     // scores and pattern of an attention that runs in steps
  Buffer summary_memory;  // of patterns, where it is the host's
  Buffer alone_memory;    // each head alone, and what it gives
  Buffer logits_memory;   // where the caller's logits are not in the backend's memory, with their way to the host
  Buffer logits_host;
  Buffer host_memory;  // what edits see of the backend's memory, if that is not the host's
  // Makes a buffer at least as large. Throws std::bad_alloc.
  void reserve(Buffer& buffer, size_t floats, Ops& ops);
  // Changes when memory does that operations may have been recorded with; no other workspace has had it.
  uint64_t generation() const { return generation_; }

 private:
  int max_rows_;
  uint64_t generation_;
  Buffer memory_;
};

// Runs the rows through the model: reserves cache, computes, fills pages and logits, and only then commits the new
// lengths of the sequences. Errors: cancelled; failed when memory runs out; device when it fails. After an error the
// lengths are as before. Preconditions: 0 ≤ token < V, position < context, plan made for this model; model, workspace
// and caches made for `ops`.
Result<void> forward(const PlacedModel& model, Ops& ops, Precision precision, Workspace& workspace,
                     const ForwardCall& call);
// Begins such a run on a backend that draws, and leaves it running: nothing is committed, and the logits stay in the
// backend's memory. A second may be sent before the first is done. Throws what report_failures() makes errors of.
// Preconditions as above; call.draw set, call.plan and call.between_layers empty, ops.draws().
void send_forward(const PlacedModel& model, Ops& ops, Precision precision, Workspace& workspace,
                  const ForwardCall& call);

}  // namespace glassbox
