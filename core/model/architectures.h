// The table of architectures: how to read a model's config and how its tensors are named. A new one is one row.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/io/gguf.h"
#include "core/model/config.h"

namespace glassbox {

// Names of a GGUF's tensors; "{}" stands for the layer. An empty name: the architecture has no such tensor. Every
// weight "X.weight" may have a bias "X.bias".
struct TensorNames {
  std::string_view embedding, positions, final_norm, head;
  std::string_view attn_norm, q, k, v, qkv, o;  // qkv: rows of q, k and v below each other, instead of three tensors
  std::string_view mlp_norm, gate, up, down;
};

struct Architecture {
  std::string_view name;  // general.architecture
  TensorNames names;
  // llama.cpp stores the rows of q and k of these with the two halves of a head interleaved; they are put back into
  // Hugging Face's order when a model is loaded.
  bool permuted_qk;
  // Fills everything but the vocabulary. Errors name the key.
  Result<ModelConfig> (*read_config)(const Gguf& file);
};

std::span<const Architecture> all_architectures();
// Null when unknown.
const Architecture* find_architecture(std::string_view name);

}  // namespace glassbox
