// A model's weights where a backend's operations read them.
#pragma once

#include <memory>
#include <vector>

#include "core/model/model.h"
#include "kernels/decoder_layer.h"

namespace glassbox {

class PlacedModel {
 public:
  // Where the backend works on the host's memory, the model's own weights; else copies of them in the device's, in the
  // file's formats. Throws std::bad_alloc.
  PlacedModel(std::shared_ptr<const Model> model, Ops& ops);
  PlacedModel(const PlacedModel&) = delete;
  PlacedModel& operator=(const PlacedModel&) = delete;

  const Model& model() const { return *model_; }
  const ModelConfig& config() const { return model_->config(); }
  // `precision`: what they are about to be used for. Throws std::bad_alloc.
  const Weights& weights(Precision precision) const;
  const DecoderLayer& decoder_layer(int layer) const { return fused_[static_cast<size_t>(layer)]; }
  const Norm& final_norm() const { return final_norm_; }
  const float* rope_frequency() const { return rope_frequency_; }  // [D/2], beside the weights; null without rotation
  uint64_t id() const { return id_; }                              // no other of this process has it

 private:
  std::shared_ptr<const Model> model_;
  bool on_host_;
  uint64_t id_;
  Weights copies_;  // on another device
  const float* rope_frequency_;
  std::vector<DecoderLayer> fused_;  // [L], on another device
  Norm final_norm_;
  std::vector<Buffer> memory_;
};

}  // namespace glassbox
