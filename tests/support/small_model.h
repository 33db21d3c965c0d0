// Models of random weights, made in memory: of the shapes, types and variations that a test wants and no file has.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <fstream>
#include <functional>
#include <memory>

#include "core/model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/ops_testing.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {

struct SmallModel {
  std::string architecture = "llama";  // its row in architectures.cpp
  uint32_t layers = 2, context = 128;
  uint32_t width = 32, heads = 2, kv_heads = 1, head_dim = 16, ff = 48;
  uint32_t more_tokens = 0;                     // beside the kTinyTokens of add_tiny_tokenizer
  std::vector<DType> types{DType::f32};         // of a layer's matrices, over and over
  DType embedding = DType::f32;                 // and of the head
  bool own_head = false, biases = false;        // GPT-2 has biases in any case
  float head_gain = 5.6f;                       // the logits' spread, in about √3 of it
  std::function<void(ModelConfig&)> vary = {};  // sets what no architecture's row reads
};

class SmallModelFile {
 public:
  explicit SmallModelFile(const SmallModel& shape) : s_(shape), gpt2_(shape.architecture == "gpt2") {
    write_config();
    add_tiny_tokenizer(writer_, "smollm", static_cast<int>(s_.more_tokens));
    const uint64_t vocab = kTinyTokens + s_.more_tokens;
    add_matrix("token_embd.weight", s_.width, vocab, s_.head_gain, s_.embedding);
    if (gpt2_) add_matrix("position_embd.weight", s_.width, s_.context, 2.0f, DType::f32);
    for (uint32_t l = 0; l < s_.layers; ++l) write_layer("blk." + std::to_string(l) + ".");
    add_norm("output_norm");
    if (s_.own_head) add_matrix("output.weight", s_.width, vocab, s_.head_gain, s_.embedding);
  }
  std::string finish() const { return writer_.finish(); }

 private:
  void write_config() {
    const std::string prefix = s_.architecture + ".";
    writer_.add_string("general.architecture", s_.architecture);
    writer_.add_string("general.name", "small random model");
    writer_.add_u32(prefix + "context_length", s_.context);
    writer_.add_u32(prefix + "embedding_length", s_.width);
    writer_.add_u32(prefix + "feed_forward_length", s_.ff);
    writer_.add_u32(prefix + "block_count", s_.layers);
    writer_.add_u32(prefix + "attention.head_count", s_.heads);
    writer_.add_u32(prefix + "attention.head_count_kv", s_.kv_heads);
    writer_.add_u32(prefix + "attention.key_length", s_.head_dim);
    if (gpt2_) {
      writer_.add_f32(prefix + "attention.layer_norm_epsilon", 1e-5f);
    } else {
      writer_.add_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
      writer_.add_u32(prefix + "rope.dimension_count", s_.head_dim);
      writer_.add_f32(prefix + "rope.freq_base", 10000.0f);
    }
  }

  void write_layer(const std::string& layer) {
    const uint64_t q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
    add_norm(layer + "attn_norm");
    if (gpt2_) {
      add_linear(layer + "attn_qkv", s_.width, q + 2 * kv, 2.2f);
    } else {
      add_linear(layer + "attn_q", s_.width, q, 2.2f);
      add_linear(layer + "attn_k", s_.width, kv, 2.2f);
      add_linear(layer + "attn_v", s_.width, kv, 2.2f);
    }
    add_linear(layer + "attn_output", q, s_.width, 1.1f);
    add_norm(layer + "ffn_norm");
    if (!gpt2_) add_linear(layer + "ffn_gate", s_.width, s_.ff, 1.7f);
    add_linear(layer + "ffn_up", s_.width, s_.ff, 1.7f);
    add_linear(layer + "ffn_down", s_.ff, s_.width, 1.4f);
  }

  // Uniform about `middle`.
  void add_floats(const std::string& name, std::vector<uint64_t> dimensions, float middle, float spread) {
    uint64_t count = 1;
    for (const uint64_t n : dimensions) count *= n;
    std::string data;
    for (uint64_t i = 0; i < count; ++i) {
      state_ = state_ * 1664525u + 1013904223u;
      data += GgufWriter::raw(middle + spread * (static_cast<float>(state_ >> 8) / 8388608.0f - 1.0f));
    }
    writer_.add_tensor(name, 0, dimensions, data);
  }
  void add_norm(const std::string& name) {
    add_floats(name + ".weight", {s_.width}, 1.0f, 0.3f);
    if (gpt2_) add_floats(name + ".bias", {s_.width}, 0.0f, 0.2f);
  }
  // f32: of inputs of size 1 the outputs are about gain/√3 in size. The scales of quantised ones are RandomWeights'.
  void add_matrix(const std::string& name, uint64_t columns, uint64_t rows, float gain, DType type) {
    if (type == DType::f32) {
      return add_floats(name, {columns, rows}, 0.0f, gain / std::sqrt(static_cast<float>(columns)));
    }
    const glassbox::testing::RandomWeights weights(type, static_cast<int64_t>(rows), static_cast<int64_t>(columns),
                                                   ++seed_);
    writer_.add_tensor(name, ggml_type(type), {columns, rows},
                       {reinterpret_cast<const char*>(weights.buffer.data()), weights.buffer.bytes()});
  }
  void add_linear(const std::string& name, uint64_t columns, uint64_t rows, float gain) {
    add_matrix(name + ".weight", columns, rows, gain, s_.types[linears_++ % s_.types.size()]);
    if (gpt2_ || s_.biases) add_floats(name + ".bias", {rows}, 0.0f, 0.3f);
  }
  static uint32_t ggml_type(DType type) {
    constexpr uint32_t kNumbers[kDTypeCount] = {0, 1, 30, 8, 2, 3, 6, 7, 12, 13, 14};  // in the order of DType
    return kNumbers[static_cast<size_t>(type)];
  }

  const SmallModel& s_;
  bool gpt2_;
  GgufWriter writer_;
  uint32_t state_ = 1, seed_ = 0;
  size_t linears_ = 0;
};

inline std::shared_ptr<const Model> make_model(const SmallModel& shape) {
  const TemporaryFolder folder;  // the loaded file stays mapped
  const std::string path = folder.file("small.gguf");
  std::ofstream(path, std::ios::binary) << SmallModelFile(shape).finish();
  const auto model = Model::load(path);
  if (!model) FAIL(model.error().message());
  // Nobody else has seen it yet.
  if (shape.vary) shape.vary(const_cast<ModelConfig&>((*model)->config()));
  return *model;
}

inline std::shared_ptr<const Model> make_small_model(uint32_t layers, uint32_t context, uint32_t head_dim = 16) {
  return make_model({.layers = layers, .context = context, .head_dim = head_dim});
}

}  // namespace glassbox::test
