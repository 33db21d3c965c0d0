// A decoder layer for a few rows in five launches, and for more in as many for each group.
#include <algorithm>

#include "kernels/cuda/decoder.h"
#include "kernels/cuda/product.h"

namespace glassbox::cuda {
namespace {

DecoderScratch lay_out(float* scratch, int heads, int head_dim) {
  const int64_t width = int64_t{heads} * head_dim, states = int64_t{kMostSplits} * kMostFusedRows * heads;
  DecoderScratch s{};
  s.z = scratch;
  s.q = s.z + kMostSplits * kMostFusedRows * width;
  s.softmax = reinterpret_cast<float2*>(s.q + kMostFusedRows * width);
  s.act = reinterpret_cast<float*>(s.softmax + states);
  return s;
}

cudaError_t run_group(const DecoderLayer& layer, const AttentionArgs& args, const DecoderScratch& s, float* resid,
                      const WantedOutputs& wanted, cudaStream_t stream) {
  cudaError_t error = attention_input(layer, args, resid, s, wanted, stream);
  if (error == cudaSuccess) error = attend(args, s, wanted, stream);
  if (error == cudaSuccess) error = attention_output(layer, args, s, resid, wanted, stream);
  if (error == cudaSuccess) error = mlp_input(layer, args.row_count, resid, s, wanted, stream);
  if (error == cudaSuccess) error = mlp_output(layer, args.row_count, s, resid, wanted, stream);
  return error;
}

}  // namespace

bool fits_decoder_layer(const DecoderLayer& layer, const AttentionArgs& args) {
  const int64_t width = layer.o.weight.rows(), z_width = int64_t{args.heads} * args.head_dim;
  const int64_t ff = layer.up.weight.rows(), kv_width = int64_t{args.kv_heads} * args.head_dim;
  const auto has = [](const Linear& l, int64_t outputs, int64_t columns) {
    return fits_product(l, columns) && l.weight.rows() == outputs;
  };
  const bool few = args.row_count <= kMostFusedRows || (args.row_count <= kMostGroupedRows && has_few_rows_each(args));
  return few && args.head_dim % 4 == 0 && args.head_dim <= kMostHeadDim && has(layer.q, z_width, width) &&
         has(layer.k, kv_width, width) && has(layer.v, kv_width, width) && has(layer.o, width, z_width) &&
         (layer.gate.weight.empty() || has(layer.gate, ff, width)) && has(layer.up, ff, width) &&
         has(layer.down, width, ff);
}

size_t decoder_scratch_floats(int heads, int head_dim, int ff) {
  const size_t width = static_cast<size_t>(heads) * static_cast<size_t>(head_dim);
  return size_t{kMostFusedRows} *
         ((kMostSplits + 1) * width + size_t{2} * kMostSplits * static_cast<size_t>(heads) + static_cast<size_t>(ff));
}

int split_count(const AttentionArgs& args) {
  // What a window leaves may begin and end inside of a block.
  const int keys = args.window > 0 ? std::min(args.longest, args.window + kKvBlock) : args.longest;
  const int blocks = (keys + kKvBlock - 1) / kKvBlock;
  // A block each up to 512 keys, then up to four: each split is one more to be merged by every block of the next
  // kernel.
  int splits = 1;
  while (splits < kMostSplits && blocks > splits * std::max(1, splits / 4)) splits *= 2;
  return splits;
}

cudaError_t decoder_layer(const DecoderLayer& layer, const AttentionArgs& args, float* resid, float* scratch,
                          const LayerOutputs* outputs, cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  if (!fits_decoder_layer(layer, args)) return cudaErrorInvalidValue;
  const DecoderScratch s = lay_out(scratch, args.heads, args.head_dim);
  cudaError_t error = cudaSuccess;
  for (int first = 0; first < args.row_count && error == cudaSuccess; first += kMostFusedRows) {
    AttentionArgs group = args;
    group.rows += first;
    group.row_count = std::min(args.row_count - first, kMostFusedRows);
    error = run_group(layer, group, s, resid + first * layer.o.weight.rows(), {outputs, first}, stream);
  }
  return error;
}

}  // namespace glassbox::cuda
