// One layer of a decoder as a backend may run it in fewer kernels: what stays the same from step to step, and
// what an observer may ask for. The definition of every value is the composed layer of core/model/transformer.cpp.
//
// Pointers lead into the backend's memory. Letters of shapes: kernels/dims.h.
#pragma once

#include <cstdint>

#include "kernels/ops.h"

namespace glassbox {

enum class NormKind : uint8_t { rms, layer };
enum class Activation : uint8_t { silu, gelu_tanh };

struct Norm {
  NormKind kind = NormKind::rms;
  float eps = 1e-5f;
  const float* weight = nullptr;  // [C]
  const float* bias = nullptr;    // [C] or null; a layer norm's
};

struct DecoderLayer {
  Norm attn_norm;
  Linear q, k, v, o;
  Norm mlp_norm;
  Linear gate, up, down;  // no gate: act(up), else act(gate) ⊙ up
  Activation activation = Activation::silu;
  const float* rope_frequency = nullptr;  // [D/2] radians a position; null: no rotation
  float rope_attention_factor = 1.0f;     // scales cos and sin
};

// Memory that a layer may use as it likes while it runs, of the backend's and at multiples of 64 bytes.
struct LayerScratch {
  float* normed;   // [R, C]
  float* qkv;      // [R, (H + 2G)·D]
  float* q;        // [R, H, D]
  float* branch;   // [R, C]
  float* gate_up;  // [R, 2F]
};

// Stored where a pointer is set; storing changes no bit of anything else. k, v and k_rot are seen as the cache holds
// them; k is rounded so only where nothing rotates it. Without initialisers, so that one may lie in shared memory.
struct LayerOutputs {
  float* resid_pre;       // [R, C]
  float* attn_norm;       // [R, C]
  float *q, *k, *v;       // [R, H, D], [R, G, D], [R, G, D]
  float *q_rot, *k_rot;   // only with rotation
  float* attn_z;          // [R, H, D]
  float* attn_out;        // [R, C]
  float* resid_mid;       // [R, C]
  float* mlp_norm;        // [R, C]
  float* mlp_gate;        // [R, F]; only with a gate
  float* mlp_up;          // [R, F]
  float* mlp_act;         // [R, F]
  float* mlp_out;         // [R, C]
  float* resid_post;      // [R, C]
  const KeyRow* scores;   // [R]: before the window's mask, −∞ beyond the causal end up to the row's width
  const KeyRow* pattern;  // [R]
  float *pooled, *focus;  // [R, H, P], [R, H, M]: PatternSummary, of the rows whose pattern is stored
};

}  // namespace glassbox
