// What drawing a token beside its logits needs to know (Ops::draw). core/run/sampler.h says what the settings mean.
#pragma once

#include <array>
#include <cstdint>

namespace glassbox {

// The stages that can be reordered, after the penalties (which always come first) and before the draw.
enum class SamplerStage : uint8_t { temperature, top_k, top_p, min_p };
inline constexpr int kSamplerStages = 4;

struct DrawSettings {
  float repetition_penalty = 1.0f, presence_penalty = 0.0f, frequency_penalty = 0.0f;
  int32_t penalty_window = 64;
  float temperature = 1.0f;
  int32_t top_k = 0;
  float top_p = 1.0f, min_p = 0.0f;
  std::array<SamplerStage, kSamplerStages> order = {};
};

// The result of a draw. Not decided: the few greatest logits do not decide it, or rounding could; then the token is one
// of the vocabulary, but not the one drawn.
struct Drawn {
  int32_t token;
  int32_t decided;
  uint64_t logits_hash;  // hash_logits()
};

// One row's draw. Everything lies in the backend's memory.
struct DrawRow {
  DrawSettings settings;
  double u;          // in [0, 1)
  int32_t length;    // tokens before: history[0 … length)
  int32_t* history;  // the token drawn comes to history[length]
  int32_t* counts;   // [V] zeros, before and after; for the penalties
  float* penalised;  // [V], whatever they were; for the penalties
  int32_t* next;     // the token once more, where the next step reads it
  Drawn* result;
};

}  // namespace glassbox
