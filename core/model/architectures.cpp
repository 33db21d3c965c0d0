#include "core/model/architectures.h"

#include <array>
#include <cmath>

namespace glassbox {
namespace {

// Sizes that no real model reaches; they keep products of file values inside 64 bits and allocations sane.
constexpr uint32_t kMaxLayers = 1024, kMaxWidth = 1 << 17, kMaxHeads = 1 << 12, kMaxContext = 1 << 26;

Error bad_value(const Gguf& file, const std::string& key, uint32_t value, const std::string& expected) {
  return {ErrorKind::bad_file, "A value of the model's description cannot be right.",
          file.path() + ", " + key + " = " + std::to_string(value), expected, "Get the file again, or another one."};
}

Result<int> read_size(const Gguf& file, const std::string& key, uint32_t greatest) {
  const Result<uint32_t> value = file.u32(key);
  if (!value) return value.error();
  if (*value == 0 || *value > greatest) return bad_value(file, key, *value, "1 to " + std::to_string(greatest));
  return static_cast<int>(*value);
}

struct CommonSizes {
  int layers, width, context, heads, kv_heads, head_dim, ff;
};

// The keys that all transformers share, under the architecture's prefix.
Result<CommonSizes> read_sizes(const Gguf& file, const std::string& prefix) {
  CommonSizes sizes{};
  const struct {
    const char* key;
    int* value;
    uint32_t greatest;
  } fields[] = {{"block_count", &sizes.layers, kMaxLayers},
                {"embedding_length", &sizes.width, kMaxWidth},
                {"context_length", &sizes.context, kMaxContext},
                {"attention.head_count", &sizes.heads, kMaxHeads},
                {"feed_forward_length", &sizes.ff, kMaxWidth * 4}};
  for (const auto& field : fields) {
    const Result<int> value = read_size(file, prefix + field.key, field.greatest);
    if (!value) return value.error();
    *field.value = *value;
  }
  sizes.kv_heads = sizes.heads;
  const std::string kv_key = prefix + "attention.head_count_kv";
  if (file.has(kv_key)) {
    const Result<int> value = read_size(file, kv_key, kMaxHeads);
    if (!value) return value.error();
    sizes.kv_heads = *value;
    if (sizes.heads % sizes.kv_heads != 0) {
      return bad_value(file, kv_key, static_cast<uint32_t>(sizes.kv_heads),
                       "a divisor of the " + std::to_string(sizes.heads) + " heads");
    }
  }
  const std::string dim_key = prefix + "attention.key_length";
  if (file.has(dim_key)) {
    const Result<int> value = read_size(file, dim_key, kMaxWidth);
    if (!value) return value.error();
    sizes.head_dim = *value;
  } else {
    if (sizes.width % sizes.heads != 0) {
      return bad_value(file, prefix + "attention.head_count", static_cast<uint32_t>(sizes.heads),
                       "a divisor of the width " + std::to_string(sizes.width));
    }
    sizes.head_dim = sizes.width / sizes.heads;
  }
  const std::string value_key = prefix + "attention.value_length";
  if (file.has(value_key)) {
    const Result<int> value = read_size(file, value_key, kMaxWidth);
    if (!value) return value.error();
    if (*value != sizes.head_dim) {
      return bad_value(file, value_key, static_cast<uint32_t>(*value),
                       "the key length, " + std::to_string(sizes.head_dim));
    }
  }
  return sizes;
}

Result<float> read_positive(const Gguf& file, const std::string& key) {
  const Result<float> value = file.f32(key);
  if (!value) return value.error();
  if (!(*value > 0) || !std::isfinite(*value)) {
    return Error{ErrorKind::bad_file, "A value of the model's description cannot be right.",
                 file.path() + ", " + key + " = " + std::to_string(*value), "a positive number",
                 "Get the file again, or another one."};
  }
  return *value;
}

ModelConfig make_config(std::string_view architecture, const CommonSizes& sizes, const LayerConfig& common) {
  ModelConfig config;
  config.architecture = architecture;
  config.width = sizes.width;
  config.context = sizes.context;
  LayerConfig layer = common;
  layer.heads = sizes.heads;
  layer.kv_heads = sizes.kv_heads;
  layer.head_dim = sizes.head_dim;
  layer.ff = sizes.ff;
  layer.attention_scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  config.layers.assign(static_cast<size_t>(sizes.layers), layer);
  return config;
}

// Radians a position for each pair: base^(−2i/D), divided by the file's factors if it has a table of them (Llama 3.1).
Result<std::vector<float>> read_rope(const Gguf& file, const std::string& prefix, int head_dim) {
  const std::string dim_key = prefix + "rope.dimension_count";
  if (file.has(dim_key)) {
    const Result<uint32_t> rotated = file.u32(dim_key);
    if (!rotated) return rotated.error();
    if (static_cast<int>(*rotated) != head_dim) {
      return bad_value(file, dim_key, *rotated,
                       "the head dimension, " + std::to_string(head_dim) + ": partial rotation is not built");
    }
  }
  if (head_dim % 2 != 0) return bad_value(file, dim_key, static_cast<uint32_t>(head_dim), "an even head dimension");
  float base = 10000.0f;
  if (file.has(prefix + "rope.freq_base")) {
    const Result<float> value = read_positive(file, prefix + "rope.freq_base");
    if (!value) return value.error();
    base = *value;
  }
  float divisor = 1.0f;
  const std::string scaling_key = prefix + "rope.scaling.type";
  if (file.has(scaling_key)) {
    const Result<std::string_view> kind = file.string(scaling_key);
    if (!kind) return kind.error();
    if (*kind == "linear") {
      const Result<float> factor = read_positive(file, prefix + "rope.scaling.factor");
      if (!factor) return factor.error();
      divisor = *factor;
    } else if (*kind != "none") {
      return Error{ErrorKind::bad_file, "The model scales its rotations in a way that is not built.",
                   file.path() + ", " + scaling_key + " = " + std::string(*kind), "none or linear",
                   "Use another model."};
    }
  }
  std::vector<float> frequency(static_cast<size_t>(head_dim / 2));
  const GgufTensor* factors = file.find_tensor("rope_freqs.weight");
  if (factors != nullptr && (factors->view.dtype != DType::f32 || factors->view.size() != head_dim / 2)) {
    return Error{ErrorKind::bad_file, "The table of rotation factors has the wrong shape or type.",
                 file.path() + ", rope_freqs.weight", std::to_string(head_dim / 2) + " values of f32",
                 "Get the file again."};
  }
  for (size_t i = 0; i < frequency.size(); ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / head_dim;
    const double factor = factors == nullptr ? 1.0 : static_cast<double>(factors->view.f32()[i]);
    frequency[i] = static_cast<float>(std::pow(static_cast<double>(base), exponent) / factor / divisor);
  }
  return frequency;
}

Result<ModelConfig> read_llama(const Gguf& file) {
  const std::string prefix = "llama.";
  const Result<CommonSizes> sizes = read_sizes(file, prefix);
  if (!sizes) return sizes.error();
  const Result<float> eps = read_positive(file, prefix + "attention.layer_norm_rms_epsilon");
  if (!eps) return eps.error();
  if (file.has(prefix + "expert_count")) {
    const Result<uint32_t> experts = file.u32(prefix + "expert_count");
    if (!experts) return experts.error();
    if (*experts > 0) return bad_value(file, prefix + "expert_count", *experts, "0: mixtures of experts are not built");
  }
  LayerConfig layer;
  layer.norm_eps = *eps;
  ModelConfig config = make_config("llama", *sizes, layer);
  Result<std::vector<float>> frequency = read_rope(file, prefix, sizes->head_dim);
  if (!frequency) return frequency.error();
  config.rope_frequency = frequency.take();
  return config;
}

Result<ModelConfig> read_gpt2(const Gguf& file) {
  const std::string prefix = "gpt2.";
  const Result<CommonSizes> sizes = read_sizes(file, prefix);
  if (!sizes) return sizes.error();
  const Result<float> eps = read_positive(file, prefix + "attention.layer_norm_epsilon");
  if (!eps) return eps.error();
  LayerConfig layer;
  layer.norm = NormKind::layer;
  layer.norm_eps = *eps;
  layer.activation = Activation::gelu_tanh;
  layer.gated = false;
  layer.rope = false;
  ModelConfig config = make_config("gpt2", *sizes, layer);
  config.learned_positions = true;
  return config;
}

constexpr std::array<Architecture, 2> kArchitectures = {{
    {"llama",
     {.embedding = "token_embd",
      .positions = "",
      .final_norm = "output_norm",
      .head = "output",
      .attn_norm = "blk.{}.attn_norm",
      .q = "blk.{}.attn_q",
      .k = "blk.{}.attn_k",
      .v = "blk.{}.attn_v",
      .qkv = "",
      .o = "blk.{}.attn_output",
      .mlp_norm = "blk.{}.ffn_norm",
      .gate = "blk.{}.ffn_gate",
      .up = "blk.{}.ffn_up",
      .down = "blk.{}.ffn_down"},
     true,
     read_llama},
    {"gpt2",
     {.embedding = "token_embd",
      .positions = "position_embd",
      .final_norm = "output_norm",
      .head = "output",
      .attn_norm = "blk.{}.attn_norm",
      .q = "",
      .k = "",
      .v = "",
      .qkv = "blk.{}.attn_qkv",
      .o = "blk.{}.attn_output",
      .mlp_norm = "blk.{}.ffn_norm",
      .gate = "",
      .up = "blk.{}.ffn_up",
      .down = "blk.{}.ffn_down"},
     false,
     read_gpt2},
}};

}  // namespace

std::span<const Architecture> all_architectures() {
  return kArchitectures;
}

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

}  // namespace glassbox
