// What lies between the products of a decoder layer for many rows. Every kernel also stores what it has in its hands
// and somebody wants to see.
#include "kernels/cuda/wide_layer.h"

#include "kernels/cuda/activations.h"
#include "kernels/cuda/cached_value.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/rotation.h"

namespace glassbox::cuda {
namespace {

constexpr int kThreads = 256;

// resid += branch; normed = norm(resid). The second part alone where there is no branch, the first alone where there is
// no norm.
struct AddAndNorm {
  float* resid = nullptr;         // [R, C]
  const float* branch = nullptr;  // [R, C] or null
  Norm norm{};                    // without weight: none
  float* normed = nullptr;        // [R, C]
  int64_t columns = 0;
  float *branch_seen = nullptr, *resid_seen = nullptr, *norm_seen = nullptr;  // [R, C] or null
};

// One block a row; a thread comes back to its own values.
__global__ void __launch_bounds__(kThreads) add_and_norm(AddAndNorm a) {
  const int64_t first = blockIdx.x * a.columns, n = a.columns;
  float* const x = a.resid + first;
  const bool rms = a.norm.kind == NormKind::rms;
  float sum = 0.0f;  // of what the norm begins with: squares, or values
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    float v = x[i];
    if (a.branch != nullptr) {
      const float added = a.branch[first + i];
      v += added;
      x[i] = v;
      if (a.branch_seen != nullptr) a.branch_seen[first + i] = added;
    }
    if (a.resid_seen != nullptr) a.resid_seen[first + i] = v;
    sum = rms ? fmaf(v, v, sum) : sum + v;
  }
  if (a.norm.weight == nullptr) return;
  float mean = 0.0f, square = sum_block<kThreads>(sum);
  if (!rms) {
    mean = square / static_cast<float>(n);
    square = 0.0f;  // of what is left: the sum of squares less the mean's square would cancel
    for (int64_t i = threadIdx.x; i < n; i += kThreads) square = fmaf(x[i] - mean, x[i] - mean, square);
    square = sum_block<kThreads>(square);
  }
  const float scale = 1.0f / sqrtf(square / static_cast<float>(n) + a.norm.eps);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    float v = (x[i] - mean) * scale * a.norm.weight[i];
    if (a.norm.bias != nullptr) v += a.norm.bias[i];
    a.normed[first + i] = v;
    if (a.norm_seen != nullptr) a.norm_seen[first + i] = v;
  }
}

struct RotateAndCache {
  AttentionArgs args;
  const float* qkv;        // [R, (H + 2G)·D]
  const float* frequency;  // [D/2] or null
  float attention_factor;
  float* q;                                // [R, H, D], rotated
  float *q_seen, *k_seen, *v_seen;         // [R, H, D], [R, G, D], [R, G, D] or null
  float *q_rotated_seen, *k_rotated_seen;  // the same, where there is a rotation
};

// One block a row; a thread takes the pair (i, i + D/2) of a head.
__global__ void __launch_bounds__(kThreads) rotate_and_cache(RotateAndCache a) {
  GLASSBOX_SHARED(turns, float2[kMostHeadDim / 2]);  // cosine, sine
  const AttentionArgs& args = a.args;
  const int half = args.head_dim / 2, heads = args.heads, kv_heads = args.kv_heads;
  const RowPosition row = args.rows[blockIdx.x];
  if (a.frequency != nullptr) {
    for (int i = static_cast<int>(threadIdx.x); i < half; i += kThreads) {
      const Rotation turn = rotation_at(row.position, a.frequency[i], a.attention_factor);
      turns[i] = make_float2(turn.cosine, turn.sine);
    }
  }
  __syncthreads();
  const CachePlace place = cache_place(args, row);
  const int64_t q_row = int64_t{blockIdx.x} * heads * args.head_dim;
  const int64_t kv_row = int64_t{blockIdx.x} * kv_heads * args.head_dim;
  const float* const x = a.qkv + q_row + 2 * kv_row;
  const auto see = [&](float* seen, int64_t at, float low, float high) {
    if (seen == nullptr) return;
    seen[at] = low;
    seen[at + half] = high;
  };
  for (int p = static_cast<int>(threadIdx.x); p < (heads + 2 * kv_heads) * half; p += kThreads) {
    const int head = p / half, i = p % half, from = head * args.head_dim + i;
    float low = x[from], high = x[from + half];
    const bool is_q = head < heads, is_v = head >= heads + kv_heads, rotates = a.frequency != nullptr && !is_v;
    const int kv_head = (is_v ? head - heads - kv_heads : head - heads) * args.head_dim;
    const int64_t at = is_q ? q_row + from : kv_row + kv_head + i;
    if (is_q) {
      see(a.q_seen, at, low, high);
    } else if (rotates) {
      see(a.k_seen, at, low, high);
    }
    if (rotates) {
      const float2 turn = turns[i];
      const float turned = low * turn.x - high * turn.y;
      high = high * turn.x + low * turn.y;
      low = turned;
    }
    if (is_q) {
      a.q[at] = low;
      a.q[at + half] = high;
      if (rotates) see(a.q_rotated_seen, at, low, high);
      continue;
    }
    store_cached(args.dtype, low, is_v ? cached_value(args, place, kv_head, i) : cached_key(args, place, kv_head, i));
    store_cached(args.dtype, high,
                 is_v ? cached_value(args, place, kv_head, i + half) : cached_key(args, place, kv_head, i + half));
    see(is_v      ? a.v_seen
        : rotates ? a.k_rotated_seen
                  : a.k_seen,
        at, as_cached(args.dtype, low), as_cached(args.dtype, high));
  }
}

struct Activate {
  float* x;  // [R, 2F]: gate and up side by side, and what comes of them in the gate's place; without a gate [R, F]
  int ff;
  bool gated;
  Activation activation;
  float *gate_seen, *up_seen, *act_seen;  // [R, F] or null
};

// A row along x of the grid; a thread takes a value.
__global__ void __launch_bounds__(kThreads) activate(Activate a) {
  const int f = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (f >= a.ff) return;
  const int64_t seen = int64_t{blockIdx.x} * a.ff + f;
  float* const x = a.x + int64_t{blockIdx.x} * a.ff * (a.gated ? 2 : 1) + f;
  const float first = x[0];
  float v = a.activation == Activation::silu ? silu_of(first) : gelu_tanh_of(first);
  if (a.gated) {
    const float up = x[a.ff];
    v *= up;
    if (a.gate_seen != nullptr) a.gate_seen[seen] = first;
    if (a.up_seen != nullptr) a.up_seen[seen] = up;
  } else if (a.up_seen != nullptr) {
    a.up_seen[seen] = first;
  }
  x[0] = v;
  if (a.act_seen != nullptr) a.act_seen[seen] = v;
}

// The groups of core/model/transformer.cpp, for rows of one call.
class WideLayer {
 public:
  WideLayer(Products& products, const DecoderLayer& layer, const AttentionArgs& args, Precision precision, float* resid,
            const LayerScratch& scratch, const LayerOutputs& outputs, cudaStream_t stream)
      : products_(products),
        layer_(layer),
        args_(args),
        precision_(precision),
        resid_(resid),
        scratch_(scratch),
        outputs_(outputs),
        stream_(stream) {}

  cudaError_t unpack_weights() {
    const Linear* const all[] = {&layer_.q, &layer_.k, &layer_.v, &layer_.o, &layer_.gate, &layer_.up, &layer_.down};
    return products_.prepare(all);
  }
  cudaError_t attention_input() {
    const Linear* const qkv[] = {&layer_.q, &layer_.k, &layer_.v};
    if (const cudaError_t e =
            start({.norm = layer_.attn_norm, .resid_seen = outputs_.resid_pre, .norm_seen = outputs_.attn_norm})) {
      return e;
    }
    if (const cudaError_t e = products_.joined(scratch_.normed, width(), qkv, precision_, rows(), scratch_.qkv)) {
      return e;
    }
    const RotateAndCache a{args_,
                           scratch_.qkv,
                           layer_.rope_frequency,
                           layer_.rope_attention_factor,
                           scratch_.q,
                           outputs_.q,
                           outputs_.k,
                           outputs_.v,
                           outputs_.q_rot,
                           outputs_.k_rot};
    return launch(rotate_and_cache, dim3(row_blocks()), dim3(kThreads), 0, stream_, a);
  }
  cudaError_t attention() {
    float* const z = scratch_.qkv;  // of which nothing is needed any more
    if (const cudaError_t e = cuda::attention(args_, scratch_.q, z, outputs_.scores, outputs_.pattern, stream_)) {
      return e;
    }
    if (const cudaError_t e = summarise_pattern(args_, outputs_.pattern, {outputs_.pooled, outputs_.focus}, stream_)) return e;
    const int64_t z_width = layer_.o.weight.columns();
    if (outputs_.attn_z != nullptr) {
      const size_t bytes = static_cast<size_t>(rows() * z_width) * sizeof(float);
      if (const cudaError_t e = cudaMemcpyAsync(outputs_.attn_z, z, bytes, cudaMemcpyDeviceToDevice, stream_)) return e;
    }
    return product(layer_.o, z, z_width);
  }
  cudaError_t mlp_input() {
    const Linear* const both[] = {&layer_.gate, &layer_.up};
    const auto wanted = std::span(both).last(gated() ? 2 : 1);
    if (const cudaError_t e = start({.branch = scratch_.branch,
                                     .norm = layer_.mlp_norm,
                                     .branch_seen = outputs_.attn_out,
                                     .resid_seen = outputs_.resid_mid,
                                     .norm_seen = outputs_.mlp_norm})) {
      return e;
    }
    if (const cudaError_t e =
            products_.joined(scratch_.normed, width(), wanted, precision_, rows(), scratch_.gate_up)) {
      return e;
    }
    const Activate a{scratch_.gate_up, ff(), gated(), layer_.activation, outputs_.mlp_gate, outputs_.mlp_up,
                     outputs_.mlp_act};
    return launch(activate, dim3(row_blocks(), static_cast<unsigned>((ff() + kThreads - 1) / kThreads)), dim3(kThreads),
                  0, stream_, a);
  }
  cudaError_t mlp_output() {
    if (const cudaError_t e = product(layer_.down, scratch_.gate_up, int64_t{ff()} * (gated() ? 2 : 1))) return e;
    return start({.branch = scratch_.branch, .branch_seen = outputs_.mlp_out, .resid_seen = outputs_.resid_post});
  }

 private:
  int64_t rows() const { return args_.row_count; }
  unsigned row_blocks() const { return static_cast<unsigned>(args_.row_count); }
  int64_t width() const { return layer_.o.weight.rows(); }
  int ff() const { return static_cast<int>(layer_.up.weight.rows()); }
  bool gated() const { return !layer_.gate.weight.empty(); }

  cudaError_t start(AddAndNorm a) {
    a.resid = resid_;
    a.normed = scratch_.normed;
    a.columns = width();
    return launch(add_and_norm, dim3(row_blocks()), dim3(kThreads), 0, stream_, a);
  }
  // To the branch.
  cudaError_t product(const Linear& linear, const float* x, int64_t x_pitch) {
    const Linear* const one = &linear;
    return products_.joined(x, x_pitch, {&one, 1}, precision_, rows(), scratch_.branch);
  }

  Products& products_;
  const DecoderLayer& layer_;
  const AttentionArgs& args_;
  Precision precision_;
  float* resid_;
  const LayerScratch& scratch_;
  const LayerOutputs& outputs_;
  cudaStream_t stream_;
};

}  // namespace

bool fits_wide_layer(const Products& products, const DecoderLayer& layer, const AttentionArgs& args) {
  const auto fits = [&](const Linear& linear) { return Products::fits(linear, args.row_count); };
  return products.has_blas() && args.head_dim % 2 == 0 && args.head_dim <= kMostHeadDim && fits(layer.q) &&
         fits(layer.k) && fits(layer.v) && fits(layer.o) && fits(layer.gate) && fits(layer.up) && fits(layer.down);
}

cudaError_t wide_layer(Products& products, const DecoderLayer& layer, const AttentionArgs& args, Precision precision,
                       float* resid, const LayerScratch& scratch, const LayerOutputs& outputs, cudaStream_t stream) {
  if (args.row_count == 0) return cudaSuccess;
  if (!fits_wide_layer(products, layer, args)) return cudaErrorInvalidValue;
  WideLayer wide(products, layer, args, precision, resid, scratch, outputs, stream);
  cudaError_t error = wide.unpack_weights();
  if (error == cudaSuccess) error = wide.attention_input();
  if (error == cudaSuccess) error = wide.attention();
  if (error == cudaSuccess) error = wide.mlp_input();
  if (error == cudaSuccess) error = wide.mlp_output();
  return error;
}

}  // namespace glassbox::cuda
