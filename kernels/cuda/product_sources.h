// What the fused products multiply: rows as they are, or through a norm. A source is made in every thread:
//   begin(shared)                      before anything else; may have barriers. shared: [kRowScratch · rows]
//   stage(x, pitch, begin, columns, first)  the threads' parts of columns [begin, begin + columns) of all rows to
//                                      shared memory, in units of kUnitPitch; `first`: they come for the first time
//   close(shared)                      after the last of the first time; a barrier follows
//   factor(shared, r)                  what row r's products are multiplied by
// Rows and their columns are multiples of four values, at multiples of 16 bytes.
#pragma once

#include "kernels/cuda/product.h"
#include "kernels/decoder_layer.h"

namespace glassbox::cuda {

__device__ inline float4& quad_of(float* x, int pitch, int r, int quad) {
  constexpr int kQuads = kUnit / 4;
  return *reinterpret_cast<float4*>(x + r * pitch + quad / kQuads * kUnitPitch + quad % kQuads * 4);
}
// Quads that fill the units of so many columns.
__device__ inline int quads_of(int columns) {
  return (columns + kUnit - 1) / kUnit * (kUnit / 4);
}
__device__ inline float4 load_quad(const float* from, bool there) {
  return there ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
}

struct RowsInput {
  const float* x = nullptr;  // [rows, K]
  int rows = 0;
};

template <int kRows>
class RowsSource {
 public:
  __device__ RowsSource(const RowsInput& in, int columns) : in_(in), columns_(columns) {}
  __device__ void begin(float*) {}
  __device__ void stage(float* x, int pitch, int begin, int columns, bool) {
    for (int quad = static_cast<int>(threadIdx.x); quad < quads_of(columns); quad += static_cast<int>(blockDim.x)) {
      float4 v[kRows];
      const bool there = 4 * quad < columns;
      const float* from = in_.x + begin + 4 * quad;
      for (int r = 0; r < kRows; ++r) v[r] = load_quad(from + int64_t{r} * columns_, there && r < in_.rows);
      for (int r = 0; r < kRows; ++r) quad_of(x, pitch, r, quad) = v[r];
    }
  }
  __device__ void close(float*) {}
  __device__ float factor(const float*, int) const { return 1.0f; }

 private:
  RowsInput in_;
  int columns_;
};

struct NormInput {
  Norm norm;
  const float* x = nullptr;          // [any, K]
  const int32_t* row_ids = nullptr;  // [rows] or null: row r is x[r]
  int rows = 0;
  __device__ const float* row(int r, int columns) const {
    return x + int64_t{row_ids == nullptr ? r : row_ids[r]} * columns;
  }
};

// What a norm takes from a row and multiplies it by. For a whole warp.
struct RowStatistics {
  float mean, scale;
};
__device__ inline RowStatistics row_statistics(const Norm& norm, const float* x, int columns) {
  const float n = static_cast<float>(columns);
  float mean = 0.0f, square = 0.0f;
  if (norm.kind == NormKind::layer) {
    for (int k = own_lane(); k < columns; k += kWarp) mean += x[k];
    mean = sum_warp(mean) / n;
  }
  for (int k = own_lane(); k < columns; k += kWarp) square = fmaf(x[k] - mean, x[k] - mean, square);
  return {mean, 1.0f / sqrtf(sum_warp(square) / n + norm.eps)};
}

// The normalised row, for those who look. For a whole warp; out: [columns]
__device__ inline void store_norm(const Norm& norm, const float* x, int columns, float* out) {
  const RowStatistics s = row_statistics(norm, x, columns);
  const bool biased = norm.kind == NormKind::layer && norm.bias != nullptr;
  for (int k = own_lane(); k < columns; k += kWarp) {
    out[k] = fmaf((x[k] - s.mean) * s.scale, norm.weight[k], biased ? norm.bias[k] : 0.0f);
  }
}
// Rows of x [rows, columns], shared out over the blocks; nothing where out is null.
__device__ inline void store_norms(const Norm& norm, const float* x, int rows, int columns, float* out) {
  if (out == nullptr || own_warp() != 0) return;
  for (int r = static_cast<int>(blockIdx.x); r < rows; r += static_cast<int>(gridDim.x)) {
    store_norm(norm, x + int64_t{r} * columns, columns, out + int64_t{r} * columns);
  }
}

// Of the root mean square norm only the weights are applied to x: its scale is one number a row, so that the products
// need not wait for it and are multiplied in the end. A layer norm's mean cannot wait without losing digits.
template <int kRows>
class NormSource {
 public:
  __device__ NormSource(const NormInput& in, int columns) : in_(in), columns_(columns) {}

  __device__ void begin(float* shared) {
    if (in_.norm.kind == NormKind::rms) return;
    for (int r = own_warp(); r < in_.rows; r += static_cast<int>(blockDim.x) / kWarp) {
      const RowStatistics s = row_statistics(in_.norm, in_.row(r, columns_), columns_);
      if (own_lane() == 0) shared[2 * r] = s.mean, shared[2 * r + 1] = s.scale;
    }
    __syncthreads();
    for (int r = 0; r < kRows; ++r) {
      if (r < in_.rows) mean_[r] = shared[2 * r], scale_[r] = shared[2 * r + 1];
    }
  }

  __device__ void stage(float* x, int pitch, int begin, int columns, bool first) {
    for (int quad = static_cast<int>(threadIdx.x); quad < quads_of(columns); quad += static_cast<int>(blockDim.x)) {
      const int k = begin + 4 * quad;
      const bool there = 4 * quad < columns;
      const float4 w = load_quad(in_.norm.weight + k, there);
      const bool biased = there && in_.norm.kind == NormKind::layer && in_.norm.bias != nullptr;
      const float4 b = load_quad(biased ? in_.norm.bias + k : nullptr, biased);
      float4 v[kRows];
      for (int r = 0; r < kRows; ++r) {
        v[r] = r < in_.rows ? load_quad(in_.row(r, columns_) + k, there) : make_float4(0, 0, 0, 0);
      }
      for (int r = 0; r < kRows; ++r) {
        float4& out = quad_of(x, pitch, r, quad);
        if (in_.norm.kind == NormKind::rms) {
          if (first) square_[r] += v[r].x * v[r].x + v[r].y * v[r].y + v[r].z * v[r].z + v[r].w * v[r].w;
          out = make_float4(v[r].x * w.x, v[r].y * w.y, v[r].z * w.z, v[r].w * w.w);
        } else {
          out = make_float4(
              fmaf((v[r].x - mean_[r]) * scale_[r], w.x, b.x), fmaf((v[r].y - mean_[r]) * scale_[r], w.y, b.y),
              fmaf((v[r].z - mean_[r]) * scale_[r], w.z, b.z), fmaf((v[r].w - mean_[r]) * scale_[r], w.w, b.w));
        }
      }
    }
  }

  __device__ void close(float* shared) {
    if (in_.norm.kind != NormKind::rms) return;
    for (int r = 0; r < kRows; ++r) {
      const float square = sum_warp(square_[r]);
      if (own_lane() == 0) shared[r * kRowScratch + own_warp()] = square;
    }
  }

  __device__ float factor(const float* shared, int r) const {
    if (in_.norm.kind != NormKind::rms) return 1.0f;
    float square = 0.0f;
    for (int w = 0; w < static_cast<int>(blockDim.x) / kWarp; ++w) square += shared[r * kRowScratch + w];
    return 1.0f / sqrtf(square / static_cast<float>(columns_) + in_.norm.eps);
  }

 private:
  NormInput in_;
  int columns_;
  float square_[kRows] = {}, mean_[kRows] = {}, scale_[kRows] = {};
};

}  // namespace glassbox::cuda
