#include "core/run/sampler_math.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace glassbox {

void exp_below_zero(double* values, size_t count) {
  constexpr double kLowest = -708.0;
  constexpr double kLog2e = 0x1.71547652b82fep0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // few bits, so that n·kLn2High is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kRounder = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  constexpr double kTaylor[] = {1.0 / 479001600.0,
                                1.0 / 39916800.0,
                                1.0 / 3628800.0,
                                1.0 / 362880.0,
                                1.0 / 40320.0,
                                1.0 / 5040.0,
                                1.0 / 720.0,
                                1.0 / 120.0,
                                1.0 / 24.0,
                                1.0 / 6.0,
                                0.5,
                                1.0,
                                1.0};
  for (size_t i = 0; i < count; i += kLanes) {
    Doubles x;
    std::memcpy(&x, values + i, sizeof x);
    const Words alive = x >= kLowest;
    x = alive ? x : Doubles{} + kLowest;
    const Doubles shifted = x * kLog2e + kRounder;
    const Doubles n = shifted - kRounder;
    const Doubles r = (x - n * kLn2High) - n * kLn2Low;
    Doubles series = Doubles{} + 1.0 / 6227020800.0;
    for (const double coefficient : kTaylor) series = series * r + coefficient;
    Words shifted_bits, bits;
    std::memcpy(&shifted_bits, &shifted, sizeof shifted);
    std::memcpy(&bits, &series, sizeof series);
    bits = (bits + (shifted_bits << 52)) & alive;  // the low bits of `shifted` are n, which goes into the exponent
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
