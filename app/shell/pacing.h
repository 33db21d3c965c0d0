// When the window draws a frame. What somebody did and what has been computed is shown at once. Frames in which something
// may only have moved on by itself (tooltips that wait for the pointer to rest, motion, a key that repeats) come at the
// pace of a screen, and more slowly while the engine computes: where frames are drawn in software, pictures that nobody
// has asked for would take the processor from what they wait for.
#pragma once

#include <algorithm>
#include <limits>

namespace glassbox {

class FramePacer {
 public:
  static constexpr double kAfterInput = 0.45;    // seconds: so long tooltips wait for the pointer to rest
  static constexpr int kAfterNews = 3;           // frames: panels lay themselves out from what they measured before
  static constexpr double kPace = 1.0 / 60, kBusyPace = 1.0 / 20;  // seconds
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  // All times are seconds of one steady clock.
  void input(double now) { due_ = true, until_ = now + kAfterInput; }  // an event of keyboard or mouse has come
  void news() { due_ = true, more_ = kAfterNews; }                     // something else is to be shown
  void step() { due_ = true; }                                         // one frame is enough
  void drawn(double begun) { due_ = false, more_ = std::max(0, more_ - 1), last_ = begun; }

  // Seconds until the next frame: 0 or less now, kNever when something must come first. `moving`: the picture changes by
  // itself.
  double wait(double now, bool moving, bool busy) const {
    if (due_) return 0;
    if (more_ == 0 && !moving && now >= until_) return kNever;
    return last_ + (busy ? kBusyPace : kPace) - now;
  }

 private:
  bool due_ = true;
  int more_ = kAfterNews;
  double until_ = 0, last_ = 0;
};

}  // namespace glassbox
