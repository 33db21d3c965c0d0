// What the whole chain (sampler.cpp) and the fast draw (sampler_draw.cpp) compute alike, to the last bit.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/run/sampler.h"

namespace glassbox {

constexpr size_t kLanes = 2;  // of a vector register that every machine of this kind has
using Doubles = double __attribute__((vector_size(kLanes * sizeof(double))));
using Words = int64_t __attribute__((vector_size(kLanes * sizeof(int64_t))));

// Replaces each x ≤ 0 by eˣ as kernels/exp_below_zero.h has it. Two at a time, which changes no bit. Precondition:
// `count` is a multiple of kLanes.
void exp_below_zero(double* values, size_t count);

bool has_penalties(const SamplerSettings& settings);
std::vector<float> penalise(std::span<const float> logits, const SamplerSettings& settings,
                            std::span<const int32_t> context);

// draw_token() without its way out: empty where the few greatest logits do not decide, or where rounding might.
std::optional<int32_t> draw_from_head(std::span<const float> logits, const SamplerSettings& settings,
                                      std::span<const int32_t> context, double u);

}  // namespace glassbox
