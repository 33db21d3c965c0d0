// A loaded model: immutable and shared by all sessions.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/io/gguf.h"
#include "core/model/config.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"
#include "kernels/ops.h"

namespace glassbox {

struct NormWeights {
  const float* weight = nullptr;  // [n]
  const float* bias = nullptr;    // [n], LayerNorm only
};

// Absent matrices (an empty weight) belong to variations that the layer's config does not have.
struct LayerWeights {
  NormWeights attn_norm;  // [C]
  Linear q, k, v;         // [H·D, C], [G·D, C], [G·D, C]; rows of a head in Hugging Face's order
  Linear o;               // [C, H·D]
  NormWeights mlp_norm;   // [C]
  Linear gate, up;        // [F, C]
  Linear down;            // [C, F]
};

struct Weights {
  Tensor embedding;  // [V, C]
  Tensor positions;  // [context, C] f32 when positions are learned
  std::vector<LayerWeights> layers;
  NormWeights final_norm;  // [C]
  Linear head;             // [V, C]; the embedding's data when tied
};

// Called with how far a load is, 0 … 1; returning false cancels it.
using LoadProgress = std::function<bool(float)>;

class Model {
 public:
  // Reads a GGUF file. Errors: bad_file (what, where, what was expected), cancelled.
  static Result<std::shared_ptr<const Model>> load(const std::string& path, const LoadProgress& progress = {});

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }      // of the file, e.g. "SmolLM2-135M-Instruct"
  const std::string& format() const { return format_; }  // most frequent weight type, e.g. "Q4_1"
  uint64_t hash() const { return hash_; }
  size_t file_bytes() const { return file_bytes_; }
  size_t weight_bytes() const { return weight_bytes_; }
  int64_t parameter_count() const { return parameters_; }
  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // Null when the file's template is none that we know; chat_template_error() then says why.
  const ChatTemplate* chat_template() const { return chat_template_ ? &*chat_template_ : nullptr; }
  const std::string& chat_template_error() const { return chat_template_error_; }
  const Gguf& file() const { return *file_; }

  // The same, with the quantised ones laid out once more as the CPU's fast kernels read them, at the first call; later
  // ones return at once. What was read of the file for it does not stay in memory. Thread safe; throws std::bad_alloc.
  const Weights& packed_weights() const;

  // Dequantised rows, for neighbours and figures. out [C].
  void embedding_row(int32_t id, float* out) const;

 private:
  friend struct ModelLoader;
  Model() = default;
  std::string path_, name_, format_;
  uint64_t hash_ = 0;
  size_t file_bytes_ = 0, weight_bytes_ = 0;
  int64_t parameters_ = 0;
  ModelConfig config_;
  Weights weights_;
  mutable Weights packed_weights_;
  mutable Buffer packed_;
  mutable std::once_flag packed_once_;
  std::unique_ptr<Gguf> file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::string chat_template_error_;
  std::vector<Buffer> owned_;  // what could not stay as it lies in the file
};

}  // namespace glassbox
