#include "app/widgets/motion.h"

#include <cmath>

namespace glassbox {

namespace {
float ease_out(float t) { return t >= 1 ? 1 : 1 - (1 - t) * (1 - t) * (1 - t); }
constexpr double kForgetSeconds = 5;  // a value that was not drawn for so long starts at its target again
}  // namespace

void Motion::begin_frame(double now, bool on) {
  now_ = now, on_ = on, moving_ = false;
  if (tracks_.size() > 512) std::erase_if(tracks_, [&](const auto& item) { return now - item.second.seen > kForgetSeconds; });
}

float Motion::value(ImGuiID id, float target, float seconds) { return value_from(id, target, target, seconds); }

float Motion::value_from(ImGuiID id, float from, float target, float seconds) {
  const auto [it, fresh] = tracks_.try_emplace(id, Track{from, target, now_, now_});
  Track& track = it->second;
  const auto current = [&] {
    const float t = static_cast<float>((now_ - track.begin) / seconds);
    return track.from + (track.to - track.from) * ease_out(t);
  };
  if (!fresh && now_ - track.seen > kForgetSeconds) track = {from, target, now_, now_};
  if (track.to != target) {
    track.from = current(), track.to = target, track.begin = now_;
  }
  track.seen = now_;
  if (!on_) {
    track.from = track.to;
    return target;
  }
  if (now_ - track.begin >= seconds || track.from == track.to) return track.to;
  moving_ = true;
  return current();
}

}  // namespace glassbox
