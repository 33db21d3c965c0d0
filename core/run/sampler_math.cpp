#include "core/run/sampler_math.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "kernels/exp_below_zero.h"

namespace glassbox {
void exp_below_zero(double* values, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) {
    Doubles x;
    std::memcpy(&x, values + i, sizeof x);
    const Words alive = x >= kExpLowest;
    x = alive ? x : Doubles{} + kExpLowest;
    const ExpParts<Doubles> parts = exp_parts(x);
    Words shifted_bits, bits;
    std::memcpy(&shifted_bits, &parts.shifted, sizeof parts.shifted);
    std::memcpy(&bits, &parts.series, sizeof parts.series);
    bits = (bits + (shifted_bits << 52)) & alive;
    std::memcpy(values + i, &bits, sizeof bits);
  }
}

bool has_penalties(const SamplerSettings& settings) {
  return settings.penalty_window != 0 && (settings.repetition_penalty != 1.0f || settings.presence_penalty != 0.0f ||
                                          settings.frequency_penalty != 0.0f);
}

std::vector<float> penalise(std::span<const float> logits, const SamplerSettings& settings,
                            std::span<const int32_t> context) {
  std::vector<float> penalised(logits.begin(), logits.end());
  if (!has_penalties(settings)) return penalised;
  const size_t window = settings.penalty_window < 0
                            ? context.size()
                            : std::min(context.size(), static_cast<size_t>(settings.penalty_window));
  std::unordered_map<int32_t, int> counts;
  for (const int32_t token : context.last(window)) {
    if (token >= 0 && static_cast<size_t>(token) < logits.size()) ++counts[token];
  }
  for (const auto& [token, count] : counts) {
    float& logit = penalised[static_cast<size_t>(token)];
    logit = logit <= 0.0f ? logit * settings.repetition_penalty : logit / settings.repetition_penalty;
    logit -= static_cast<float>(count) * settings.frequency_penalty + settings.presence_penalty;
  }
  return penalised;
}

}  // namespace glassbox
