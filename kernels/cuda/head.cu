// The head: the last norm, the logits of the rows that want them, their soft-cap.
#include <algorithm>

#include "kernels/cuda/product_sources.h"

namespace glassbox::cuda {
namespace {

constexpr int kOutputs = 8;

struct Head {
  ProductPlan plan;
  NormInput input;
  WeightMatrix weights;
  float soft_cap;
  float* logits;       // [count, V]
  const float* resid;  // [rows, C], all rows
  float* final_norm;   // optional [rows, C], of all rows
  int rows;
};

struct HeadFinish {
  static constexpr bool kAhead = true;
  const Head& a;
  using Early = float;  // the bias
  __device__ void fetch() const {}
  __device__ Early prepare(int tile, int, int j) const {
    const int n = tile * kOutputs + j;
    return a.weights.bias != nullptr && n < a.weights.outputs ? a.weights.bias[n] : 0.0f;
  }
  __device__ void store(float bias, int tile, int r, int j, float total) const {
    const int n = tile * kOutputs + j;
    if (r >= a.input.rows || n >= a.weights.outputs || own_lane() % kMergers != 0) return;
    const float logit = total + bias;
    a.logits[int64_t{r} * a.weights.outputs + n] = a.soft_cap > 0.0f ? a.soft_cap * tanhf(logit / a.soft_cap) : logit;
  }
};

template <int kRows>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kRows>) make_logits(Head a) {
  NormSource<kRows> source(a.input, a.plan.columns);
  multiply<kRows, kOutputs>(a.plan, MatrixTiles<kOutputs>{a.weights}, source, HeadFinish{a});
  store_norms(a.input.norm, a.resid, a.rows, a.plan.columns, a.final_norm);
}

cudaError_t run_group(Head& a, int64_t columns, cudaStream_t stream) {
  WeightMatrix* const matrices[] = {&a.weights};
  return with_kernel_rows(a.input.rows, [&](auto kernel_rows) {
    a.plan = plan_product({.rows = kernel_rows,
                           .outputs = kOutputs,
                           .tiles = (a.weights.outputs + kOutputs - 1) / kOutputs,
                           .columns = columns},
                          matrices);
    return launch_product(make_logits<kernel_rows>, a, stream);
  });
}

}  // namespace

bool fits_head(const Linear& layer, int64_t count) {
  return count <= kMostGroupedRows && fits_product(layer, layer.weight.columns());
}

cudaError_t head(const Norm& norm, const Linear& layer, float soft_cap, const float* resid, int64_t rows,
                 const int32_t* logit_rows, int64_t count, float* logits, float* final_norm, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const int64_t columns = layer.weight.columns();
  if (count == 0) {  // nobody wants logits, but perhaps the norm
    if (final_norm == nullptr) return cudaSuccess;
    return norm.kind == NormKind::rms
               ? rmsnorm(resid, norm.weight, norm.eps, rows, columns, final_norm, stream)
               : layernorm(resid, norm.weight, norm.bias, norm.eps, rows, columns, final_norm, stream);
  }
  if (!fits_head(layer, count) || count > rows) return cudaErrorInvalidValue;
  cudaError_t error = cudaSuccess;
  for (int64_t first = 0; first < count && error == cudaSuccess; first += kMostFusedRows) {
    Head a{};
    a.input = {norm, logit_rows == nullptr ? resid + first * columns : resid,
               logit_rows == nullptr ? nullptr : logit_rows + first,
               static_cast<int>(std::min<int64_t>(count - first, kMostFusedRows))};
    a.weights = weight_matrix(layer);
    a.soft_cap = soft_cap;
    a.logits = logits + first * a.weights.outputs;
    a.resid = resid;
    a.final_norm = first == 0 ? final_norm : nullptr;
    a.rows = static_cast<int>(rows);
    error = run_group(a, columns, stream);
  }
  return error;
}

}  // namespace glassbox::cuda
