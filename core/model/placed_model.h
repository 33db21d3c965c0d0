// A model's weights where a backend's operations read them.
#pragma once

#include <memory>
#include <vector>

#include "core/model/model.h"

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

 private:
  std::shared_ptr<const Model> model_;
  bool on_host_;
  Weights copies_;  // on another device
  std::vector<Buffer> memory_;
};

}  // namespace glassbox
