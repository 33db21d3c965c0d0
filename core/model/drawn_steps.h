// Steps of one sequence whose tokens are drawn where the logits are. The host need not know a token to send the step
// that runs it, so while one step runs the next one waits behind it, and the device never waits for the host.
#pragma once

#include <span>

#include "core/model/transformer.h"

namespace glassbox {

class DrawnSteps {
 public:
  // Throws std::bad_alloc, DeviceMemoryError or DeviceError. Precondition: ops.draws(); all must outlive it.
  DrawnSteps(const PlacedModel& model, Ops& ops, Precision precision, Workspace& workspace);
  ~DrawnSteps();  // waits for what was sent
  DrawnSteps(const DrawnSteps&) = delete;
  DrawnSteps& operator=(const DrawnSteps&) = delete;

  // Waits for what was sent and forgets it. `tokens` (at most the context): the line so far, whose last the next step
  // runs. Errors: device.
  Result<void> begin(std::span<const int32_t> tokens);
  // Runs the newest token at its position in the sequence, which need not be committed up to there, and draws the one
  // after it with u. Errors: failed, device. Preconditions: begin(); fewer than kMost steps on their way; the position
  // is less than the context.
  static constexpr int kMost = Ops::kMarks;
  Result<void> send(KvSequence& sequence, const DrawSettings& settings, double u);
  // Of the oldest step on its way; waits for it. Errors: device. Precondition: there is one.
  Result<Drawn> receive();

  int on_their_way() const { return static_cast<int>(sent_ - received_); }
  int length() const { return length_; }  // tokens that the steps sent so far run, with those before them

 private:
  const PlacedModel& model_;
  Ops& ops_;
  Precision precision_;
  Workspace& workspace_;
  uint64_t generation_;
  Buffer memory_, host_results_;
  DrawRow row_{};   // with the addresses
  Drawn* results_;  // [kMost] in memory_
  int length_ = 0;
  uint64_t sent_ = 0, received_ = 0;
};

}  // namespace glassbox
