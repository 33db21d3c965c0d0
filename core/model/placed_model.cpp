#include "core/model/placed_model.h"

#include <map>

#include "core/model/step_inputs.h"

namespace glassbox {
namespace {

// Copies what it is shown to the device, each piece of memory once: a tied head is the embedding.
class Copier {
 public:
  Copier(Ops& ops, std::vector<Buffer>& memory) : ops_(ops), memory_(memory) {}

  void move(Tensor& tensor) {
    if (!tensor.empty()) tensor.data = copy_of(tensor.data, static_cast<size_t>(tensor.rows() * tensor.row_bytes));
  }
  void move(Linear& linear) {
    move(linear.weight);
    move(linear.bias);
  }
  void move(const float*& values, size_t count) {
    if (count > 0) values = reinterpret_cast<const float*>(copy_of(values, count * sizeof(float)));
  }
  void move(NormWeights& norm, int64_t width) {
    for (const float** values : {&norm.weight, &norm.bias})
      move(*values, *values == nullptr ? 0 : static_cast<size_t>(width));
  }

 private:
  std::byte* copy_of(const void* host, size_t bytes) {
    std::byte*& copy = copies_[host];
    if (copy == nullptr) {
      memory_.push_back(ops_.allocate(bytes));
      copy = memory_.back().data();
      ops_.upload(host, bytes, copy);
    }
    return copy;
  }
  Ops& ops_;
  std::vector<Buffer>& memory_;
  std::map<const void*, std::byte*> copies_;
};

}  // namespace

PlacedModel::PlacedModel(std::shared_ptr<const Model> model, Ops& ops)
    : model_(std::move(model)),
      on_host_(ops.on_host()),
      id_(fresh_number()),
      rope_frequency_(model_->config().rope_frequency.data()) {
  if (on_host_) return;
  const int64_t width = model_->config().width;
  copies_ = model_->weights();
  Copier copier(ops, memory_);
  copier.move(copies_.embedding);
  copier.move(copies_.positions);
  for (LayerWeights& layer : copies_.layers) {
    copier.move(layer.attn_norm, width);
    copier.move(layer.mlp_norm, width);
    for (Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      copier.move(*linear);
    }
  }
  copier.move(copies_.final_norm, width);
  copier.move(copies_.head);
  copier.move(rope_frequency_, model_->config().rope_frequency.size());
  ops.wait();

  // The same once more, as fused kernels want them.
  const ModelConfig& config = model_->config();
  const auto norm_of = [](const LayerConfig& layer, const NormWeights& weights) {
    return Norm{layer.norm, layer.norm_eps, weights.weight, weights.bias};
  };
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const LayerConfig& layer = config.layers[l];
    const LayerWeights& w = copies_.layers[l];
    fused_.push_back({norm_of(layer, w.attn_norm), w.q, w.k, w.v, w.o, norm_of(layer, w.mlp_norm), w.gate, w.up, w.down,
                      layer.activation, layer.rope ? rope_frequency_ : nullptr, config.rope_attention_factor});
  }
  final_norm_ = norm_of(config.layers.back(), copies_.final_norm);
}

const Weights& PlacedModel::weights(Precision precision) const {
  if (!on_host_) return copies_;
  return precision == Precision::fast ? model_->packed_weights() : model_->weights();
}

}  // namespace glassbox
