// Motion: values that move to their target in 120–180 ms with ease-out, so that the eye follows cause to effect.
#pragma once

#include <unordered_map>

#include "imgui.h"

namespace glassbox {

class Motion {
 public:
  static constexpr float kSeconds = 0.15f;

  // Once a frame. With `on` false everything is at its target at once.
  void begin_frame(double now, bool on);
  // The value of `id` on its way to `target`. The first call of an id starts at the target (or at `from`).
  float value(ImGuiID id, float target, float seconds = kSeconds);
  float value_from(ImGuiID id, float from, float target, float seconds = kSeconds);
  // 0 … 1 since the first call with this id: for things that arrive.
  float arrival(ImGuiID id, float seconds = kSeconds) { return value_from(id, 0.0f, 1.0f, seconds); }
  // True when something has not arrived yet: the next frame is needed.
  bool moving() const { return moving_; }

 private:
  struct Track {
    float from, to;
    double begin;
    double seen;
  };
  std::unordered_map<ImGuiID, Track> tracks_;
  double now_ = 0;
  bool on_ = true, moving_ = false;
};

}  // namespace glassbox
