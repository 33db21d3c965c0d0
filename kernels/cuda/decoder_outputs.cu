// The third and the fifth kernel of a decoder layer: products that are added to the residual stream.
#include "kernels/cuda/decoder.h"
#include "kernels/cuda/product_sources.h"
#include "kernels/cuda/row_summary.h"

namespace glassbox::cuda {
namespace {

constexpr int kOutputs = 4;  // of a tile: more blocks are at work than with eight, and K is longer

struct ResidualOutput {
  ProductPlan plan;
  WeightMatrix weights;
  int rows;
  float* resid;  // [R, C], in and out
  WantedOutputs wanted;
};

// What is added is seen as kBranch, the sum as kAfter.
template <float* LayerOutputs::*kBranch, float* LayerOutputs::*kAfter>
struct ResidualFinish {
  static constexpr bool kAhead = false;  // the residual stream is what the launches before write
  const ResidualOutput& a;
  const SeenOutputs& seen;
  struct Early {
    bool there = false;
    int64_t at = 0;
    float bias = 0.0f, resid = 0.0f;
  };
  __device__ void fetch() const { seen.fetch(); }
  __device__ Early prepare(int tile, int r, int j) const {
    Early e;
    const int n = tile * kOutputs + j;
    e.there = r < a.rows && n < a.weights.outputs && own_lane() % kMergers == 0;
    if (!e.there) return e;
    e.at = int64_t{r} * a.weights.outputs + n;
    e.resid = load_new(a.resid + e.at);
    if (a.weights.bias != nullptr) e.bias = a.weights.bias[n];
    return e;
  }
  __device__ void store(const Early& e, int tile, int r, int j, float total) const {
    if (!e.there) return;
    const float branch = total + e.bias, sum = e.resid + branch;
    a.resid[e.at] = sum;
    if (!seen.any()) return;
    seen.store(kBranch, a.weights.outputs, r, tile * kOutputs + j, branch);
    seen.store(kAfter, a.weights.outputs, r, tile * kOutputs + j, sum);
  }
};

// The splits of the keys (decoder_attention.cu), to be merged.
struct SplitsInput {
  const float* z = nullptr;         // [splits, R, H, D]
  const float2* softmax = nullptr;  // [splits, R, H]
  int splits = 0, rows = 0, heads = 0, head_dim = 0;
};

// The largest score of a row's head and the sum of its exponentials, out of all splits.
struct Softmax {
  float largest = -INFINITY, total = 0.0f;
  // Takes further parts; what was summed before is to be multiplied by the result, and what belongs to a part by its
  // weight. None waits for another. −∞: the part has no key.
  template <int kParts>
  __device__ float add(const float2 (&parts)[kParts], float (&weights)[kParts]) {
    float most = largest;
    for (int i = 0; i < kParts; ++i) most = fmaxf(most, parts[i].x);
    const bool any = most != -INFINITY;
    const float shrink = any ? expf(largest - most) : 1.0f;
    total *= shrink;
    for (int i = 0; i < kParts; ++i) {
      weights[i] = any ? expf(parts[i].x - most) : 0.0f;
      total = fmaf(weights[i], parts[i].y, total);
    }
    largest = most;
    return shrink;
  }
};
// Splits that a thread asks for before it needs one of them.
template <int kRows>
inline constexpr int kPartsAtOnce = kRows == 1 ? 8 : 4;

template <int kRows>
class SplitsSource {
 public:
  __device__ SplitsSource(const SplitsInput& in, const WantedOutputs& wanted)
      : in_(in), width_(in.heads * in.head_dim), wanted_(wanted) {}
  // Where the thread's first quad comes from takes longer to compute than to load: that is known before. So is where
  // the first block, which has all of z as every other, shows it: before the barrier that the other outputs wait for.
  __device__ void prefetch() {
    const int k = 4 * static_cast<int>(threadIdx.x);
    if (k < width_) first_ = place_of(0, k);
    if (wanted_.outputs != nullptr && blockIdx.x == 0) merged_ = wanted_.outputs->attn_z;
  }
  __device__ void begin(float*) {}
  __device__ void stage(float* x, int pitch, int begin, int columns, bool first) {
    const int quads = quads_of(columns), own = static_cast<int>(threadIdx.x);
    for (int i = own; i < kRows * quads; i += static_cast<int>(blockDim.x)) {
      int r = 0, quad = i;
      Place place = first_;
      if (i >= quads || i != own || begin != 0) {
        r = i / quads;
        quad = i % quads;
        place = place_of(r, begin + 4 * quad);
      }
      const bool there = r < in_.rows && 4 * quad < columns;
      const float4 z = there ? merged(place) : make_float4(0, 0, 0, 0);
      if (there && first && merged_ != nullptr) {
        const int64_t row = int64_t{wanted_.first_row} + r;
        *reinterpret_cast<float4*>(merged_ + row * width_ + begin + 4 * quad) = z;
      }
      quad_of(x, pitch, r, quad) = z;
    }
  }
  __device__ void close(float*) {}
  __device__ float factor(const float*, int) const { return 1.0f; }

 private:
  // Of the first split; those of the others follow.
  struct Place {
    const float* z = nullptr;
    const float2* softmax = nullptr;
  };
  __device__ Place place_of(int r, int k) const {
    return {in_.z + int64_t{r} * width_ + k, in_.softmax + int64_t{r} * in_.heads + k / in_.head_dim};
  }
  __device__ float4 merged(Place place) const {
    constexpr int kAtOnce = kPartsAtOnce<kRows>;
    Softmax softmax;
    float4 z = make_float4(0, 0, 0, 0);
    for (int first = 0; first < in_.splits; first += kAtOnce) {
      float2 state[kAtOnce];
      float4 part[kAtOnce];
      for (int i = 0; i < kAtOnce; ++i) {
        const bool there = first + i < in_.splits;
        state[i] = there ? load_new(place.softmax) : make_float2(-INFINITY, 0);
        part[i] = load_new_quad(place.z, there);
        place.z += int64_t{in_.rows} * width_;
        place.softmax += int64_t{in_.rows} * in_.heads;
      }
      float weight[kAtOnce];
      const float shrink = softmax.add(state, weight);
      z = make_float4(z.x * shrink, z.y * shrink, z.z * shrink, z.w * shrink);
      for (int i = 0; i < kAtOnce; ++i) {
        z.x = fmaf(weight[i], part[i].x, z.x);
        z.y = fmaf(weight[i], part[i].y, z.y);
        z.z = fmaf(weight[i], part[i].z, z.z);
        z.w = fmaf(weight[i], part[i].w, z.w);
      }
    }
    const float scale = softmax.total > 0 ? 1.0f / softmax.total : 0.0f;
    return make_float4(z.x * scale, z.y * scale, z.z * scale, z.w * scale);
  }
  SplitsInput in_;
  int width_;
  const WantedOutputs& wanted_;
  Place first_;
  float* merged_ = nullptr;  // [all rows, H, D]
};

// The scores that lie in the pattern's rows become weights, and these are summarised: block b takes every gridDim-th
// head of a row.
__device__ void normalise_pattern(const SplitsInput& in, const RowPosition* rows, int32_t window, const KeyRow* pattern,
                                  const PatternSummary& summary) {
  for (int i = static_cast<int>(blockIdx.x); i < in.rows * in.heads; i += static_cast<int>(gridDim.x)) {
    const int r = i / in.heads, h = i % in.heads;
    const KeyRow wanted = pattern[r];
    if (wanted.data == nullptr) continue;
    Softmax softmax;
    constexpr int kAtOnce = kPartsAtOnce<1>;
    for (int begin = 0; begin < in.splits; begin += kAtOnce) {
      float2 state[kAtOnce];
      float weight[kAtOnce];
      for (int s = 0; s < kAtOnce; ++s) {
        state[s] = begin + s < in.splits ? load_new(in.softmax + (int64_t{begin + s} * in.rows + r) * in.heads + h)
                                         : make_float2(-INFINITY, 0);
      }
      softmax.add(state, weight);
    }
    const int length = rows[r].position + 1, first = window > 0 && window < length ? length - window : 0;
    float* const weights = wanted.data + h * wanted.head_stride;
    const int64_t end = wanted.width > length ? wanted.width : length;
    for (int64_t j = threadIdx.x; j < end; j += blockDim.x) {
      const bool seen = j >= first && j < length && softmax.total > 0;
      weights[j] = seen ? expf(load_new(weights + j) - softmax.largest) / softmax.total : 0.0f;
    }
    if (!summary.wanted()) continue;
    __syncthreads();
    summarise_row<kProductThreads>(weights, length, summary.from(i));
  }
}

// Registers for one block alone: with room for two the splits on their way would spill.
template <int kRows>
__global__ void __launch_bounds__(kProductThreads, 1)
    add_attention(ResidualOutput a, SplitsInput splits, const RowPosition* rows, int32_t window) {
  GLASSBOX_SHARED(outputs, LayerOutputs);
  const SeenOutputs seen(a.wanted, outputs);
  SplitsSource<kRows> source(splits, a.wanted);
  multiply<kRows, kOutputs>(a.plan, MatrixTiles<kOutputs>{a.weights}, source,
                            ResidualFinish<&LayerOutputs::attn_out, &LayerOutputs::resid_mid>{a, seen});
  const KeyRow* const pattern = seen.rows(&LayerOutputs::pattern);
  if (pattern == nullptr) return;
  const PatternSummary summary{seen.rows(&LayerOutputs::pooled, int64_t{splits.heads} * kPooledKeys),
                               seen.rows(&LayerOutputs::focus, int64_t{splits.heads} * kFocusMeasures)};
  normalise_pattern(splits, rows, window, pattern, summary);
}

template <int kRows>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kRows>) add_mlp(ResidualOutput a, RowsInput act) {
  GLASSBOX_SHARED(outputs, LayerOutputs);
  const SeenOutputs seen(a.wanted, outputs);
  RowsSource<kRows> source(act, a.plan.columns);
  multiply<kRows, kOutputs>(a.plan, MatrixTiles<kOutputs>{a.weights}, source,
                            ResidualFinish<&LayerOutputs::mlp_out, &LayerOutputs::resid_post>{a, seen});
}

// All but the plan.
ResidualOutput residual_output(const Linear& layer, int rows, float* resid, const WantedOutputs& wanted) {
  ResidualOutput a{};
  a.weights = weight_matrix(layer);
  a.rows = rows;
  a.resid = resid;
  a.wanted = wanted;
  return a;
}

void make_plan(ResidualOutput& a, int kernel_rows, int64_t columns) {
  WeightMatrix* const matrices[] = {&a.weights};
  a.plan = plan_product({.rows = kernel_rows,
                         .outputs = kOutputs,
                         .tiles = (a.weights.outputs + kOutputs - 1) / kOutputs,
                         .columns = columns},
                        matrices);
}

}  // namespace

cudaError_t attention_output(const DecoderLayer& layer, const AttentionArgs& args, const DecoderScratch& scratch,
                             float* resid, const WantedOutputs& wanted, cudaStream_t stream) {
  ResidualOutput a = residual_output(layer.o, args.row_count, resid, wanted);
  const SplitsInput splits{scratch.z, scratch.softmax, split_count(args), args.row_count, args.heads, args.head_dim};
  return with_kernel_rows(args.row_count, [&](auto rows) {
    make_plan(a, rows, layer.o.weight.columns());
    return launch_product(add_attention<rows>, a, stream, splits, args.rows, args.window);
  });
}

cudaError_t mlp_output(const DecoderLayer& layer, int rows, const DecoderScratch& scratch, float* resid,
                       const WantedOutputs& wanted, cudaStream_t stream) {
  ResidualOutput a = residual_output(layer.down, rows, resid, wanted);
  return with_kernel_rows(rows, [&](auto kernel_rows) {
    make_plan(a, kernel_rows, layer.down.weight.columns());
    return launch_product(add_mlp<kernel_rows>, a, stream, RowsInput{scratch.act, rows});
  });
}

}  // namespace glassbox::cuda
