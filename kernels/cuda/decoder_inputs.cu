// The first and the fourth kernel of a decoder layer: a norm and products of two weight rows that belong together.
#include "kernels/cuda/activations.h"
#include "kernels/cuda/cached_value.h"
#include "kernels/cuda/decoder.h"
#include "kernels/cuda/product_sources.h"
#include "kernels/cuda/rotation.h"

namespace glassbox::cuda {
namespace {

// Outputs of a tile: even ones are the first of a pair, and the lanes of their partner are kMergers further on.
constexpr int kOutputs = 8, kPairs = kOutputs / 2;

enum class Part : uint8_t { q, k, v };
constexpr int kParts = 3;

struct AttentionInput {
  ProductPlan plan;
  NormInput input;
  WeightMatrix weights[kParts];  // q, k, v
  int first_tile[kParts + 1];
  AttentionArgs args;
  const float* frequency;  // [D/2] or null
  float attention_factor;
  float* q;  // [R, H, D]
  WantedOutputs wanted;
};

// A pair is the outputs i and i + D/2 of a head, which a rotation mixes.
struct AttentionRow {
  Part part;
  int output, dimension;  // the output in its matrix; the dimension in its head
};
__device__ AttentionRow attention_row(const AttentionInput& a, int tile, int j) {
  const int part = tile >= a.first_tile[2] ? 2 : tile >= a.first_tile[1] ? 1 : 0;
  const int half = a.args.head_dim / 2, pair = (tile - a.first_tile[part]) * kPairs + j / 2;
  const int dimension = pair % half + j % 2 * half;
  return {static_cast<Part>(part), pair / half * a.args.head_dim + dimension, dimension};
}

struct AttentionWeights {
  const AttentionInput& a;
  __device__ WeightRow row(int tile, int j) const {
    const AttentionRow at = attention_row(a, tile, j);
    const WeightMatrix& w = a.weights[static_cast<int>(at.part)];
    return at.output < w.outputs ? weight_row(w, at.output) : WeightRow{};
  }
};

struct AttentionFinish {
  static constexpr bool kAhead = true;
  const AttentionInput& a;
  const SeenOutputs& seen;
  struct Early {
    AttentionRow at{};
    bool there = false;
    float bias = 0.0f;
    Rotation turn;
    std::byte* cached = nullptr;  // the value's place
  };
  __device__ void fetch() const { seen.fetch(); }
  __device__ Early prepare(int tile, int r, int j) const {
    Early e;
    e.at = attention_row(a, tile, j);
    const WeightMatrix& w = a.weights[static_cast<int>(e.at.part)];
    e.there = r < a.args.row_count && e.at.output < w.outputs;
    if (!e.there) return e;
    const RowPosition row = a.args.rows[r];
    const int half = a.args.head_dim / 2, d = e.at.dimension;
    if (e.at.part != Part::q) {
      const CachePlace place = cache_place(a.args, row);
      e.cached = e.at.part == Part::k ? cached_key(a.args, place, e.at.output - d, d)
                                      : cached_value(a.args, place, e.at.output - d, d);
    }
    if (w.bias != nullptr) e.bias = w.bias[e.at.output];
    if (a.frequency != nullptr && e.at.part != Part::v) {
      e.turn = rotation_at(row.position, a.frequency[d < half ? d : d - half], a.attention_factor);
    }
    return e;
  }
  __device__ void store(const Early& e, int, int r, int j, float total) const {
    const float own = total + e.bias, other = __shfl_xor_sync(kAllLanes, own, kMergers);
    if (!e.there || own_lane() % kMergers != 0) return;
    const bool rotates = a.frequency != nullptr && e.at.part != Part::v;
    const float sine = j % 2 == 0 ? -e.turn.sine : e.turn.sine;
    const float rotated = rotates ? own * e.turn.cosine + other * sine : own;
    if (e.at.part == Part::q) {
      a.q[int64_t{r} * a.weights[0].outputs + e.at.output] = rotated;
    } else {
      store_cached(a.args.dtype, rotated, e.cached);
    }
    if (seen.any()) show(e.at, r, own, rotated, rotates);
  }
  __device__ void show(const AttentionRow& at, int r, float own, float rotated, bool rotates) const {
    const int width = a.weights[static_cast<int>(at.part)].outputs;
    const bool is_q = at.part == Part::q, is_v = at.part == Part::v;
    seen.store(is_q   ? &LayerOutputs::q
               : is_v ? &LayerOutputs::v
                      : &LayerOutputs::k,
               width, r, at.output, is_q || rotates ? own : as_cached(a.args.dtype, own));
    if (!rotates) return;
    seen.store(is_q ? &LayerOutputs::q_rot : &LayerOutputs::k_rot, width, r, at.output,
               is_q ? rotated : as_cached(a.args.dtype, rotated));
  }
};

template <int kRows>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kRows>) make_attention_input(AttentionInput a) {
  GLASSBOX_SHARED(outputs, LayerOutputs);
  const SeenOutputs seen(a.wanted, outputs);
  const int columns = a.plan.columns;
  NormSource<kRows> source(a.input, columns);
  multiply<kRows, kOutputs>(a.plan, AttentionWeights{a}, source, AttentionFinish{a, seen});
  if (!seen.any()) return;
  store_rows(a.input.x, a.input.rows, columns, seen.rows(&LayerOutputs::resid_pre, columns));
  store_norms(a.input.norm, a.input.x, a.input.rows, columns, seen.rows(&LayerOutputs::attn_norm, columns));
}

struct MlpInput {
  ProductPlan plan;
  NormInput input;
  WeightMatrix gate, up;
  Activation activation;
  float* act;  // [R, F]
  WantedOutputs wanted;
};

// With a gate, a pair is an output's gate and its up.
template <bool kGated>
__device__ int mlp_output_of(int tile, int j) {
  return kGated ? tile * kPairs + j / 2 : tile * kOutputs + j;
}

template <bool kGated>
struct MlpWeights {
  const MlpInput& a;
  __device__ WeightRow row(int tile, int j) const {
    const int n = mlp_output_of<kGated>(tile, j);
    if (n >= a.up.outputs) return {};
    return kGated && j % 2 == 0 ? weight_row(a.gate, n) : weight_row(a.up, n);
  }
};

template <bool kGated>
struct MlpFinish {
  static constexpr bool kAhead = true;
  const MlpInput& a;
  const SeenOutputs& seen;
  struct Early {
    int output = 0;
    bool there = false;
    float bias = 0.0f;
  };
  __device__ void fetch() const { seen.fetch(); }
  __device__ Early prepare(int tile, int r, int j) const {
    Early e;
    e.output = mlp_output_of<kGated>(tile, j);
    e.there = r < a.input.rows && e.output < a.up.outputs;
    const float* bias = kGated && j % 2 == 0 ? a.gate.bias : a.up.bias;
    if (e.there && bias != nullptr) e.bias = bias[e.output];
    return e;
  }
  __device__ void store(const Early& e, int, int r, int j, float total) const {
    const float own = total + e.bias, other = __shfl_xor_sync(kAllLanes, own, kMergers);
    if (!e.there || own_lane() % kMergers != 0) return;
    const int width = a.up.outputs;
    const bool is_up = !kGated || j % 2 != 0;
    if (seen.any()) seen.store(is_up ? &LayerOutputs::mlp_up : &LayerOutputs::mlp_gate, width, r, e.output, own);
    if (kGated && is_up) return;
    const float activated = a.activation == Activation::silu ? silu_of(own) : gelu_tanh_of(own);
    const float value = kGated ? activated * other : activated;
    a.act[int64_t{r} * width + e.output] = value;
    if (seen.any()) seen.store(&LayerOutputs::mlp_act, width, r, e.output, value);
  }
};

template <int kRows, bool kGated>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kRows>) make_mlp_input(MlpInput a) {
  GLASSBOX_SHARED(outputs, LayerOutputs);
  const SeenOutputs seen(a.wanted, outputs);
  const int columns = a.plan.columns;
  NormSource<kRows> source(a.input, columns);
  multiply<kRows, kOutputs>(a.plan, MlpWeights<kGated>{a}, source, MlpFinish<kGated>{a, seen});
  store_norms(a.input.norm, a.input.x, a.input.rows, columns, seen.rows(&LayerOutputs::mlp_norm, columns));
}

}  // namespace

cudaError_t attention_input(const DecoderLayer& layer, const AttentionArgs& args, const float* resid,
                            const DecoderScratch& scratch, const WantedOutputs& wanted, cudaStream_t stream) {
  AttentionInput a{};
  a.input = {layer.attn_norm, resid, nullptr, args.row_count};
  int tiles = 0;
  for (int i = 0; i < kParts; ++i) {
    a.weights[i] = weight_matrix(i == 0 ? layer.q : i == 1 ? layer.k : layer.v);
    a.first_tile[i] = tiles;
    tiles += (a.weights[i].outputs / 2 + kPairs - 1) / kPairs;
  }
  a.first_tile[kParts] = tiles;
  a.args = args;
  a.frequency = layer.rope_frequency;
  a.attention_factor = layer.rope_attention_factor;
  a.q = scratch.q;
  a.wanted = wanted;
  return with_kernel_rows(args.row_count, [&](auto rows) {
    WeightMatrix* const matrices[] = {&a.weights[0], &a.weights[1], &a.weights[2]};
    a.plan = plan_product(
        {.rows = rows, .outputs = kOutputs, .tiles = tiles, .columns = layer.q.weight.columns(), .apart = true},
        matrices);
    return launch_product(make_attention_input<rows>, a, stream);
  });
}

cudaError_t mlp_input(const DecoderLayer& layer, int rows, const float* resid, const DecoderScratch& scratch,
                      const WantedOutputs& wanted, cudaStream_t stream) {
  MlpInput a{};
  a.input = {layer.mlp_norm, resid, nullptr, rows};
  a.gate = weight_matrix(layer.gate);
  a.up = weight_matrix(layer.up);
  a.activation = layer.activation;
  a.act = scratch.act;
  a.wanted = wanted;
  const bool gated = a.gate.data != nullptr;
  const int of_tile = gated ? kPairs : kOutputs;
  WeightMatrix* const matrices[] = {&a.up, &a.gate};
  return with_kernel_rows(rows, [&](auto kernel_rows) {
    a.plan = plan_product({.rows = kernel_rows,
                           .outputs = kOutputs,
                           .tiles = (a.up.outputs + of_tile - 1) / of_tile,
                           .columns = layer.up.weight.columns()},
                          std::span(matrices).first(gated ? 2 : 1));
    const auto kernel = gated ? make_mlp_input<kernel_rows, true> : make_mlp_input<kernel_rows, false>;
    return launch_product(kernel, a, stream);
  });
}

}  // namespace glassbox::cuda
