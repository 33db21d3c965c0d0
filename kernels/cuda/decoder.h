// The five kernels of a decoder layer (decoder_layer.cu runs them one after the other), and what they hand on.
#pragma once

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/layer_outputs.h"

namespace glassbox::cuda {

// The parts of the keys that are attended to by blocks of their own and merged afterwards.
inline constexpr int kMostSplits = 16;
// From the host's arguments alone, a power of two: the launches of a graph that is run again at other positions must
// suffice for all of them up to args.longest.
int split_count(const AttentionArgs& args);

// In device memory, between the kernels of a layer.
struct DecoderScratch {
  // Of each split of a row's head: Σ exp(s − largest) v, the largest score and Σ exp(s − largest).
  float* z;         // [splits, R, H, D]
  float* q;         // [R, H, D], rotated
  float* act;       // [R, F]
  float2* softmax;  // [splits, R, H]: largest (−∞: the split has no key), total
};

// decoder_inputs.cu: norm, q, k, v, rotation; k and v go into the cache.
cudaError_t attention_input(const DecoderLayer& layer, const AttentionArgs& args, const float* resid,
                            const DecoderScratch& scratch, const WantedOutputs& wanted, cudaStream_t stream);
// decoder_attention.cu. What is stored as pattern are still the scores of the keys that the window leaves.
cudaError_t attend(const AttentionArgs& args, const DecoderScratch& scratch, const WantedOutputs& wanted,
                   cudaStream_t stream);
// decoder_outputs.cu: resid += W_O z + b; the pattern becomes what it is called.
cudaError_t attention_output(const DecoderLayer& layer, const AttentionArgs& args, const DecoderScratch& scratch,
                             float* resid, const WantedOutputs& wanted, cudaStream_t stream);
// decoder_inputs.cu: norm, gate, up, activation.
cudaError_t mlp_input(const DecoderLayer& layer, int rows, const float* resid, const DecoderScratch& scratch,
                      const WantedOutputs& wanted, cudaStream_t stream);
// decoder_outputs.cu: resid += W_down act + b.
cudaError_t mlp_output(const DecoderLayer& layer, int rows, const DecoderScratch& scratch, float* resid,
                       const WantedOutputs& wanted, cudaStream_t stream);

}  // namespace glassbox::cuda
