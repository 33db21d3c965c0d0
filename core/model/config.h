// What varies between models, as data. One block_forward runs them all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/decoder_layer.h"

namespace glassbox {

// A layer's variations sit in the layer: windowed and full layers of one model differ here.
struct LayerConfig {
  int heads = 0;     // H
  int kv_heads = 0;  // G
  int head_dim = 0;  // D
  int ff = 0;        // F
  NormKind norm = NormKind::rms;
  float norm_eps = 1e-5f;
  Activation activation = Activation::silu;
  bool gated = true;          // act(gate) ⊙ up, otherwise act(up)
  bool rope = true;           // rotate q and k
  float attention_scale = 0;  // usually 1/√D
  float soft_cap = 0;         // of the scores; 0: none
  int window = 0;             // keys a row sees; 0: all
};

struct ModelConfig {
  std::string architecture;  // its row in architectures.cpp
  int width = 0;             // C
  int vocab = 0;             // V
  int context = 0;           // greatest number of positions
  std::vector<LayerConfig> layers;
  bool learned_positions = false;      // a position table is added to the embedding
  std::vector<float> rope_frequency;   // [D/2] radians a position; empty without rotation
  float rope_attention_factor = 1.0f;  // scales cos and sin (YaRN); 1 otherwise
  float embed_scale = 1.0f;            // multiplies embedding rows
  float logit_soft_cap = 0;            // 0: none
  bool tied_head = true;               // the head is the embedding table

  int layer_count() const { return static_cast<int>(layers.size()); }
};

}  // namespace glassbox
