// A Llama of random weights with as many layers and positions as a test wants.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <fstream>
#include <memory>

#include "core/model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {

inline std::shared_ptr<const Model> make_small_model(uint32_t layers, uint32_t context) {
  constexpr uint32_t kWidth = 32, kHeads = 2, kKvHeads = 1, kHeadDim = 16, kFeed = 48;
  constexpr uint64_t kVocab = 3 + 256 + 13;  // of add_tiny_tokenizer
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_string("general.name", "small random Llama");
  writer.add_u32("llama.context_length", context);
  writer.add_u32("llama.embedding_length", kWidth);
  writer.add_u32("llama.feed_forward_length", kFeed);
  writer.add_u32("llama.block_count", layers);
  writer.add_u32("llama.attention.head_count", kHeads);
  writer.add_u32("llama.attention.head_count_kv", kKvHeads);
  writer.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.add_u32("llama.rope.dimension_count", kHeadDim);
  writer.add_f32("llama.rope.freq_base", 10000.0f);
  add_tiny_tokenizer(writer);

  uint32_t state = 1;
  // Uniform about `middle`.
  const auto add = [&](const std::string& name, std::vector<uint64_t> dimensions, float middle, float spread) {
    uint64_t count = 1;
    for (const uint64_t n : dimensions) count *= n;
    std::string data;
    for (uint64_t i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      data += GgufWriter::raw(middle + spread * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f));
    }
    writer.add_tensor(name, 0, dimensions, data);
  };
  add("token_embd.weight", {kWidth, kVocab}, 0.0f, 1.0f);
  for (uint32_t l = 0; l < layers; ++l) {
    const std::string layer = "blk." + std::to_string(l) + ".";
    add(layer + "attn_norm.weight", {kWidth}, 1.0f, 0.3f);
    add(layer + "attn_q.weight", {kWidth, kHeads * kHeadDim}, 0.0f, 0.4f);
    add(layer + "attn_k.weight", {kWidth, kKvHeads * kHeadDim}, 0.0f, 0.4f);
    add(layer + "attn_v.weight", {kWidth, kKvHeads * kHeadDim}, 0.0f, 0.4f);
    add(layer + "attn_output.weight", {kHeads * kHeadDim, kWidth}, 0.0f, 0.2f);
    add(layer + "ffn_norm.weight", {kWidth}, 1.0f, 0.3f);
    add(layer + "ffn_gate.weight", {kWidth, kFeed}, 0.0f, 0.3f);
    add(layer + "ffn_up.weight", {kWidth, kFeed}, 0.0f, 0.3f);
    add(layer + "ffn_down.weight", {kFeed, kWidth}, 0.0f, 0.2f);
  }
  add("output_norm.weight", {kWidth}, 1.0f, 0.3f);

  const TemporaryFolder folder;  // the loaded file stays mapped
  const std::string path = folder.file("small.gguf");
  std::ofstream(path, std::ios::binary) << writer.finish();
  const auto model = Model::load(path);
  if (!model) FAIL(model.error().message());
  return *model;
}

}  // namespace glassbox::test
