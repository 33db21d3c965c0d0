// A decoder layer with random weights on the host and on the device, its composed definition in reference operations
// (the groups of core/model/transformer.cpp), and its run in fused kernels.
#pragma once

#include <functional>

#include "kernels/cuda/products.h"
#include "tests/gpu/attention_problem.h"

namespace glassbox::testing {

// One of the values that LayerOutputs may ask for.
struct OutputOf {
  const char* name;
  float* LayerOutputs::*where;
};
inline constexpr OutputOf kLayerOutputs[] = {{"resid_pre", &LayerOutputs::resid_pre},
                                             {"attn_norm", &LayerOutputs::attn_norm},
                                             {"q", &LayerOutputs::q},
                                             {"k", &LayerOutputs::k},
                                             {"v", &LayerOutputs::v},
                                             {"q_rot", &LayerOutputs::q_rot},
                                             {"k_rot", &LayerOutputs::k_rot},
                                             {"attn_z", &LayerOutputs::attn_z},
                                             {"attn_out", &LayerOutputs::attn_out},
                                             {"resid_mid", &LayerOutputs::resid_mid},
                                             {"mlp_norm", &LayerOutputs::mlp_norm},
                                             {"mlp_gate", &LayerOutputs::mlp_gate},
                                             {"mlp_up", &LayerOutputs::mlp_up},
                                             {"mlp_act", &LayerOutputs::mlp_act},
                                             {"mlp_out", &LayerOutputs::mlp_out},
                                             {"resid_post", &LayerOutputs::resid_post}};
inline constexpr size_t kLayerOutputCount = std::size(kLayerOutputs);

// Everything that a layer makes; an output that was not asked for, or that the layer has not, is empty.
struct LayerValues {
  std::vector<float> of[kLayerOutputCount];
  std::vector<float> resid, scores, pattern;
  const std::vector<float>& operator[](const char* name) const {
    for (size_t i = 0; i < kLayerOutputCount; ++i) {
      if (std::strcmp(kLayerOutputs[i].name, name) == 0) return of[i];
    }
    throw std::out_of_range(name);
  }
};

struct LayerSettings {
  Shape shape{3, 1, 64};
  int64_t width = 192, ff = 256;
  std::vector<DType> types = {DType::q4_1};  // of q, k, v, o, gate, up, down, over and over
  NormKind norm = NormKind::rms;
  Activation activation = Activation::silu;
  bool gated = true, biases = false, rotation = true;
  DType cache = DType::f16;
  int window = 0;
  float soft_cap = 0;
};

struct LayerProblem {
  LayerProblem(const LayerSettings& settings, const std::vector<int32_t>& lengths, std::vector<RowPosition> rows);

  // The composed layer. Keys and values go into the host's cache.
  LayerValues composed() const;

  enum class Stores : uint8_t { nothing, no_pointer, some, all };  // no_pointer: outputs, of which none is set
  // The fused layer on a cache as it was; `longest`: of the arguments, where that is not what the rows need.
  LayerValues fused(Stores stores, int longest = 0) const;
  // The layer for many rows, with products on the default stream.
  LayerValues wide(Stores stores, cuda::Products& products, Precision precision) const;
  // Whether the device's cache holds the keys and values that the layer made, and nothing else has changed.
  void check_cache(const LayerValues& made) const;

  // Runs a layer: start(resid on the device, the outputs that are asked for).
  LayerValues run(Stores stores, const std::function<cudaError_t(float*, const LayerOutputs&)>& start) const;
  int64_t columns_of(size_t output) const;  // of one row; 0: the layer has no such value
  DecoderLayer device_layer() const;

  struct Matrix {  // twice
    Matrix(DType type, int64_t outputs, int64_t columns, uint32_t seed, bool with_bias);
    Linear on_host() const;
    Linear on_device() const;
    RandomWeights weights;
    DeviceWeights device_weights;
    std::vector<float> bias;
    DeviceBuffer<float> device_bias;
  };
  LayerSettings s;
  AttentionProblem attention;
  std::vector<std::unique_ptr<Matrix>> matrices;  // q, k, v, o, gate, up, down
  std::vector<float> norm_weight[2], norm_bias[2], frequency, resid;
  std::unique_ptr<DeviceBuffer<float>> device_norms[4], device_frequency;
};

// fp32 sums through a whole layer; where the cache is f16, a value next to the middle of two may be rounded the other
// way.
inline double bound_for(const LayerSettings& s) {
  return s.cache == DType::f16 ? 1e-9 : 1e-11;
}

// Values of a layer against their composed definition.
void check_layer(const LayerProblem& problem, const LayerValues& found, const LayerValues& truth, double bound);

}  // namespace glassbox::testing
