#include "core/model/model.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <set>

#include "core/model/architectures.h"
#include "kernels/packed_weight.h"

namespace glassbox {

// Builds a Model from an opened file. Each step returns the error that stops the load.
struct ModelLoader {
  Model& model;
  const Architecture& architecture;
  std::set<std::string_view> used;  // tensors that found their place; the others are an error

  const Gguf& file() const { return *model.file_; }

  static std::string name_of(std::string_view pattern, int layer, std::string_view suffix) {
    std::string name(pattern);
    if (const size_t at = name.find("{}"); at != std::string::npos) name.replace(at, 2, std::to_string(layer));
    return name + std::string(suffix);
  }

  static std::string shape_text(const Tensor& tensor) {
    std::string text = "[";
    for (int i = 0; i < tensor.rank; ++i)
      text += (i > 0 ? ", " : "") + std::to_string(tensor.shape[static_cast<size_t>(i)]);
    return text + "]";
  }

  Error wrong_shape(const GgufTensor& tensor, const std::string& expected) const {
    return {ErrorKind::bad_file, "A tensor has the wrong shape.",
            file().path() + ", " + std::string(tensor.name) + " " + shape_text(tensor.view) + " at byte " +
                std::to_string(tensor.offset),
            expected, "Get the file again, or another one."};
  }

  // rows 0: any number.
  Result<Tensor> matrix(const std::string& name, int64_t rows, int64_t columns) {
    const Result<const GgufTensor*> found = file().tensor(name);
    if (!found) return found.error();
    const GgufTensor& tensor = **found;
    if (tensor.view.rank != 2 || tensor.view.columns() != columns || (rows != 0 && tensor.view.rows() != rows)) {
      return wrong_shape(
          tensor, "[" + (rows == 0 ? std::string("n") : std::to_string(rows)) + ", " + std::to_string(columns) + "]");
    }
    used.insert(tensor.name);
    return tensor.view;
  }

  // A vector of n values in f32; other types are dequantised once.
  Result<Tensor> vector(const std::string& name, int64_t n) {
    const Result<const GgufTensor*> found = file().tensor(name);
    if (!found) return found.error();
    const GgufTensor& tensor = **found;
    if (tensor.view.size() != n || tensor.view.columns() != n)
      return wrong_shape(tensor, "[" + std::to_string(n) + "]");
    used.insert(tensor.name);
    if (tensor.view.dtype == DType::f32) return tensor.view;
    Buffer buffer(static_cast<size_t>(n) * sizeof(float));
    dequantise_row(tensor.view.dtype, tensor.view.row(0), 0, n, buffer.f32());
    const Tensor view = make_tensor(buffer.data(), DType::f32, {n});
    model.owned_.push_back(std::move(buffer));
    return view;
  }

  Result<Tensor> optional_vector(const std::string& name, int64_t n) {
    if (file().find_tensor(name) == nullptr) return Tensor{};
    return vector(name, n);
  }

  Result<NormWeights> norm(std::string_view pattern, int layer) {
    const int64_t width = model.config_.width;
    const Result<Tensor> weight = vector(name_of(pattern, layer, ".weight"), width);
    if (!weight) return weight.error();
    const Result<Tensor> bias = optional_vector(name_of(pattern, layer, ".bias"), width);
    if (!bias) return bias.error();
    const bool has_bias = !bias->empty();
    if (has_bias && model.config_.layers.front().norm == NormKind::rms) {
      return Error{ErrorKind::bad_file, "An RMSNorm has a bias.",
                   file().path() + ", " + name_of(pattern, layer, ".bias"), "none", "Use another model."};
    }
    return NormWeights{weight->f32(), has_bias ? bias->f32() : nullptr};
  }

  Result<Linear> linear(std::string_view pattern, int layer, int64_t rows, int64_t columns) {
    const Result<Tensor> weight = matrix(name_of(pattern, layer, ".weight"), rows, columns);
    if (!weight) return weight.error();
    const Result<Tensor> bias = optional_vector(name_of(pattern, layer, ".bias"), rows);
    if (!bias) return bias.error();
    return Linear{*weight, *bias};
  }

  // Rows [begin, begin + count) as a matrix of their own; no copy.
  static Linear slice_rows(const Linear& whole, int64_t begin, int64_t count) {
    Linear part = whole;
    part.weight.data = static_cast<std::byte*>(whole.weight.data) + begin * whole.weight.row_bytes;
    part.weight.shape[0] = count;
    if (!whole.bias.empty()) {
      part.bias.data = whole.bias.f32() + begin;
      part.bias.shape[0] = count;
    }
    return part;
  }

  // From llama.cpp's order of rows inside a head (2i + half) to Hugging Face's (half · D/2 + i).
  Linear unpermute(const Linear& stored, int heads, int head_dim) {
    const auto source_row = [&](int64_t row) {
      const int64_t head = row / head_dim, in_head = row % head_dim;
      return head * head_dim + 2 * (in_head % (head_dim / 2)) + in_head / (head_dim / 2);
    };
    const int64_t rows = static_cast<int64_t>(heads) * head_dim;
    Linear ordered = stored;
    Buffer weight(static_cast<size_t>(rows * stored.weight.row_bytes));
    for (int64_t row = 0; row < rows; ++row) {
      std::memcpy(weight.data() + row * stored.weight.row_bytes, stored.weight.row(source_row(row)),
                  static_cast<size_t>(stored.weight.row_bytes));
    }
    ordered.weight.data = weight.data();
    model.owned_.push_back(std::move(weight));
    if (!stored.bias.empty()) {
      Buffer bias(static_cast<size_t>(rows) * sizeof(float));
      for (int64_t row = 0; row < rows; ++row) bias.f32()[row] = stored.bias.f32()[source_row(row)];
      ordered.bias.data = bias.data();
      model.owned_.push_back(std::move(bias));
    }
    return ordered;
  }

  Result<void> attention_weights(int index, const LayerConfig& layer, LayerWeights& out) {
    const TensorNames& names = architecture.names;
    const int64_t width = model.config_.width;
    const int64_t q_rows = static_cast<int64_t>(layer.heads) * layer.head_dim;
    const int64_t kv_rows = static_cast<int64_t>(layer.kv_heads) * layer.head_dim;
    if (!names.qkv.empty()) {
      const Result<Linear> qkv = linear(names.qkv, index, q_rows + 2 * kv_rows, width);
      if (!qkv) return qkv.error();
      out.q = slice_rows(*qkv, 0, q_rows);
      out.k = slice_rows(*qkv, q_rows, kv_rows);
      out.v = slice_rows(*qkv, q_rows + kv_rows, kv_rows);
    } else {
      const Result<Linear> q = linear(names.q, index, q_rows, width);
      if (!q) return q.error();
      const Result<Linear> k = linear(names.k, index, kv_rows, width);
      if (!k) return k.error();
      const Result<Linear> v = linear(names.v, index, kv_rows, width);
      if (!v) return v.error();
      out.q = architecture.permuted_qk ? unpermute(*q, layer.heads, layer.head_dim) : *q;
      out.k = architecture.permuted_qk ? unpermute(*k, layer.kv_heads, layer.head_dim) : *k;
      out.v = *v;
    }
    const Result<Linear> o = linear(names.o, index, width, q_rows);
    if (!o) return o.error();
    out.o = *o;
    return {};
  }

  Result<void> layer_weights(int index) {
    const TensorNames& names = architecture.names;
    const LayerConfig& layer = model.config_.layers[static_cast<size_t>(index)];
    const int64_t width = model.config_.width;
    LayerWeights& out = model.weights_.layers[static_cast<size_t>(index)];
    const Result<NormWeights> attn_norm = norm(names.attn_norm, index);
    if (!attn_norm) return attn_norm.error();
    out.attn_norm = *attn_norm;
    if (const Result<void> done = attention_weights(index, layer, out); !done) return done.error();
    const Result<NormWeights> mlp_norm = norm(names.mlp_norm, index);
    if (!mlp_norm) return mlp_norm.error();
    out.mlp_norm = *mlp_norm;
    if (layer.gated) {
      const Result<Linear> gate = linear(names.gate, index, layer.ff, width);
      if (!gate) return gate.error();
      out.gate = *gate;
    }
    const Result<Linear> up = linear(names.up, index, layer.ff, width);
    if (!up) return up.error();
    out.up = *up;
    const Result<Linear> down = linear(names.down, index, width, layer.ff);
    if (!down) return down.error();
    out.down = *down;
    return {};
  }

  Result<void> load(const LoadProgress& progress) {
    ModelConfig& config = model.config_;
    const TensorNames& names = architecture.names;
    const Result<Tensor> embedding = matrix(name_of(names.embedding, 0, ".weight"), 0, config.width);
    if (!embedding) return embedding.error();
    model.weights_.embedding = *embedding;
    config.vocab = static_cast<int>(embedding->rows());
    if (config.vocab != model.tokenizer_->vocab_size()) {
      return Error{ErrorKind::bad_file, "The embedding table and the tokenizer differ in size.",
                   file().path() + ", " + std::string(names.embedding) + ".weight",
                   std::to_string(model.tokenizer_->vocab_size()) + " rows, as tokenizer.ggml.tokens has entries",
                   "Get the file again, or another one."};
    }
    if (config.learned_positions) {
      const Result<Tensor> positions = matrix(name_of(names.positions, 0, ".weight"), config.context, config.width);
      if (!positions) return positions.error();
      model.weights_.positions = *positions;
    }
    model.weights_.layers.resize(config.layers.size());
    for (int layer = 0; layer < config.layer_count(); ++layer) {
      if (progress && !progress(0.3f + 0.6f * static_cast<float>(layer) / static_cast<float>(config.layer_count()))) {
        return Error{ErrorKind::cancelled, "Loading was cancelled.", file().path(), "", ""};
      }
      if (const Result<void> done = layer_weights(layer); !done) return done.error();
    }
    const Result<NormWeights> final_norm = norm(names.final_norm, 0);
    if (!final_norm) return final_norm.error();
    model.weights_.final_norm = *final_norm;
    if (file().find_tensor(name_of(names.head, 0, ".weight")) != nullptr) {
      const Result<Linear> head = linear(names.head, 0, config.vocab, config.width);
      if (!head) return head.error();
      model.weights_.head = *head;
      config.tied_head = false;
    } else {
      model.weights_.head = {model.weights_.embedding, {}};
      config.tied_head = true;
    }
    return count_tensors();
  }

  // A tensor that found no place means that the model computes something that we would leave out.
  Result<void> count_tensors() {
    std::array<int, kDTypeCount> frequency{};
    for (const GgufTensor& tensor : file().tensors()) {
      if (!used.contains(tensor.name) && tensor.name != "rope_freqs.weight") {
        return Error{ErrorKind::bad_file, "The file holds a tensor that its architecture does not have here.",
                     file().path() + ", " + std::string(tensor.name) + " at byte " + std::to_string(tensor.offset),
                     "the tensors of a plain " + std::string(architecture.name) + " model", "Use another model."};
      }
      model.weight_bytes_ += tensor.bytes;
      model.parameters_ += tensor.view.size();
      if (tensor.view.rank == 2) ++frequency[static_cast<size_t>(tensor.view.dtype)];
    }
    const auto most = std::max_element(frequency.begin(), frequency.end());
    model.format_ = dtype_info(static_cast<DType>(most - frequency.begin())).name;
    std::transform(model.format_.begin(), model.format_.end(), model.format_.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return {};
  }
};

namespace {

// A person knows a model by its file: the name without its ending and without the type that is shown beside it.
// (`general.name` is what its trainers called a run: "Smollm2 135M 8k Lc100K Mix1 Ep2".)
std::string display_name(const std::string& path, std::string_view format) {
  const size_t slash = path.find_last_of('/');
  std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1);
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  if (name.ends_with(format) && name.size() > format.size() + 1) name.resize(name.size() - format.size() - 1);
  return name;
}

}  // namespace

// One after the other as a token meets them, in one piece of memory.
const Weights& Model::packed_weights() const {
  std::call_once(packed_once_, [this] {
    Weights packed = weights_;
    std::vector<Linear*> linears;
    for (LayerWeights& layer : packed.layers) {
      for (Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
        if (!linear->weight.empty() && packed_bytes(linear->weight) > 0) linears.push_back(linear);
      }
    }
    if (packed_bytes(packed.head.weight) > 0) linears.push_back(&packed.head);
    size_t total = 0;
    for (const Linear* linear : linears) total += packed_bytes(linear->weight);
    packed_ = Buffer(total);
    std::byte* next = packed_.data();
    for (Linear* linear : linears) {
      pack_weight(linear->weight, next);
      linear->packed = next;
      next += packed_bytes(linear->weight);
      file_->release_pages();
    }
    packed_weights_ = std::move(packed);
  });
  return packed_weights_;
}

Result<std::shared_ptr<const Model>> Model::load(const std::string& path, const LoadProgress& progress) {
  Result<Gguf> opened = Gguf::load(path);
  if (!opened) return opened.error();
  std::shared_ptr<Model> model(new Model());
  model->file_ = std::make_unique<Gguf>(opened.take());
  const Gguf& file = *model->file_;
  model->path_ = path;
  model->file_bytes_ = file.file_bytes();

  const Result<std::string_view> architecture_name = file.string("general.architecture");
  if (!architecture_name) return architecture_name.error();
  const Architecture* architecture = find_architecture(*architecture_name);
  if (architecture == nullptr) {
    std::string known;
    for (const Architecture& each : all_architectures()) known += (known.empty() ? "" : ", ") + std::string(each.name);
    return Error{ErrorKind::bad_file, "This architecture is not built.",
                 path + ", general.architecture = " + std::string(*architecture_name), "one of " + known,
                 "Use another model."};
  }
  Result<ModelConfig> config = architecture->read_config(file);
  if (!config) return config.error();
  model->config_ = config.take();
  if (progress && !progress(0.05f)) return Error{ErrorKind::cancelled, "Loading was cancelled.", path, "", ""};

  Result<Tokenizer> tokenizer = Tokenizer::make_from_gguf(file);
  if (!tokenizer) return tokenizer.error();
  model->tokenizer_ = std::make_unique<Tokenizer>(tokenizer.take());
  if (progress && !progress(0.3f)) return Error{ErrorKind::cancelled, "Loading was cancelled.", path, "", ""};

  ModelLoader loader{*model, *architecture, {}};
  if (const Result<void> done = loader.load(progress); !done) return done.error();
  model->hash_ = file.content_hash();

  model->name_ = display_name(path, model->format_);
  Result<ChatTemplate> chat = ChatTemplate::make_from_gguf(file, *model->tokenizer_);
  if (chat) {
    model->chat_template_ = chat.take();
  } else {
    model->chat_template_error_ = chat.error().what;
  }
  if (progress) (void)progress(1.0f);
  return std::shared_ptr<const Model>(std::move(model));
}

void Model::embedding_row(int32_t id, float* out) const {
  dequantise_row(weights_.embedding.dtype, weights_.embedding.row(id), 0, config_.width, out);
}

}  // namespace glassbox
