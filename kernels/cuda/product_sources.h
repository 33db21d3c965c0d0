// What the fused products multiply: rows as they are, or through a norm. A source is made in every thread:
//   prefetch()                         before the launches before have ended: only what no launch writes
//   begin(shared)                      before the following; may have barriers. shared: [kRowScratch · rows]
//   stage(x, pitch, begin, columns, first)  the threads' parts of columns [begin, begin + columns) of all rows to
//                                      shared memory, in units of kUnitPitch; `first`: they come for the first time
//   close(shared)                      when all have come once; a barrier follows
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
__device__ inline float4 load_new_quad(const float* from, bool there) {
  return there ? load_new(reinterpret_cast<const float4*>(from)) : make_float4(0, 0, 0, 0);
}

// Quads that a thread asks for before it needs one of them.
template <int kRows>
inline constexpr int kQuadsAtOnce = kRows <= 2 ? 2 : 1;

struct RowsInput {
  const float* x = nullptr;  // [rows, K]
  int rows = 0;
};

template <int kRows>
class RowsSource {
 public:
  __device__ RowsSource(const RowsInput& in, int columns) : in_(in), columns_(columns) {}
  __device__ void prefetch() {}
  __device__ void begin(float*) {}
  __device__ void stage(float* x, int pitch, int begin, int columns, bool) {
    constexpr int kAtOnce = kQuadsAtOnce<kRows>;
    const int threads = static_cast<int>(blockDim.x), quads = quads_of(columns);
    for (int first = static_cast<int>(threadIdx.x); first < quads; first += kAtOnce * threads) {
      float4 v[kAtOnce][kRows];
      for (int i = 0; i < kAtOnce; ++i) {
        const int k = 4 * (first + i * threads);
        const float* from = in_.x + begin + k;
        for (int r = 0; r < kRows; ++r) {
          v[i][r] = load_new_quad(from + int64_t{r} * columns_, k < columns && r < in_.rows);
        }
      }
      for (int i = 0; i < kAtOnce && first + i * threads < quads; ++i) {
        for (int r = 0; r < kRows; ++r) quad_of(x, pitch, r, first + i * threads) = v[i][r];
      }
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
    for (int k = own_lane(); k < columns; k += kWarp) mean += load_new(x + k);
    mean = sum_warp(mean) / n;
  }
  for (int k = own_lane(); k < columns; k += kWarp) {
    const float centred = load_new(x + k) - mean;
    square = fmaf(centred, centred, square);
  }
  return {mean, 1.0f / sqrtf(sum_warp(square) / n + norm.eps)};
}

// The normalised row, for those who look. For a whole warp; out: [columns]
__device__ inline void store_norm(const Norm& norm, const float* x, int columns, float* out) {
  const RowStatistics s = row_statistics(norm, x, columns);
  const bool biased = norm.kind == NormKind::layer && norm.bias != nullptr;
  for (int k = own_lane(); k < columns; k += kWarp) {
    out[k] = fmaf((load_new(x + k) - s.mean) * s.scale, norm.weight[k], biased ? norm.bias[k] : 0.0f);
  }
}
// Rows of x [rows, columns], shared out over the blocks; nothing where out is null.
__device__ inline void store_norms(const Norm& norm, const float* x, int rows, int columns, float* out) {
  if (out == nullptr || own_warp() != 0) return;
  for (int r = static_cast<int>(blockIdx.x); r < rows; r += static_cast<int>(gridDim.x)) {
    store_norm(norm, x + int64_t{r} * columns, columns, out + int64_t{r} * columns);
  }
}

// The same of the rows as they are.
__device__ inline void store_rows(const float* x, int rows, int columns, float* out) {
  if (out == nullptr) return;
  for (int r = static_cast<int>(blockIdx.x); r < rows; r += static_cast<int>(gridDim.x)) {
    const int64_t first = int64_t{r} * columns;
    for (int k = static_cast<int>(threadIdx.x); k < columns; k += static_cast<int>(blockDim.x)) {
      out[first + k] = load_new(x + first + k);
    }
  }
}

// Of the root mean square norm only the weights are applied to x: its scale is one number a row, so that the products
// need not wait for it and are multiplied in the end. A layer norm's mean cannot wait without losing digits.
template <int kRows>
class NormSource {
 public:
  __device__ NormSource(const NormInput& in, int columns) : in_(in), columns_(columns) {}

  __device__ void prefetch() {
    constexpr int kLine = 128 / sizeof(float);
    for (int k = static_cast<int>(threadIdx.x) * kLine; k < columns_; k += static_cast<int>(blockDim.x) * kLine) {
      glassbox::prefetch(in_.norm.weight + k);
      if (in_.norm.kind == NormKind::layer && in_.norm.bias != nullptr) glassbox::prefetch(in_.norm.bias + k);
    }
  }

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

  __device__ void stage(float* x, int pitch, int begin, int columns, bool) {
    constexpr int kAtOnce = kQuadsAtOnce<kRows>;
    const int threads = static_cast<int>(blockDim.x), quads = quads_of(columns);
    for (int first = static_cast<int>(threadIdx.x); first < quads; first += kAtOnce * threads) {
      float4 weight[kAtOnce], bias[kAtOnce], v[kAtOnce][kRows];
      for (int i = 0; i < kAtOnce; ++i) {
        const int k = 4 * (first + i * threads);
        const bool biased = k < columns && in_.norm.kind == NormKind::layer && in_.norm.bias != nullptr;
        weight[i] = load_quad(in_.norm.weight + begin + k, k < columns);
        bias[i] = load_quad(biased ? in_.norm.bias + begin + k : nullptr, biased);
        for (int r = 0; r < kRows; ++r) {
          v[i][r] =
              r < in_.rows ? load_new_quad(in_.row(r, columns_) + begin + k, k < columns) : make_float4(0, 0, 0, 0);
        }
      }
      for (int i = 0; i < kAtOnce && first + i * threads < quads; ++i) {
        for (int r = 0; r < kRows; ++r)
          quad_of(x, pitch, r, first + i * threads) = made(r, v[i][r], weight[i], bias[i]);
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
  __device__ float4 made(int r, float4 v, float4 w, float4 b) {
    if (in_.norm.kind == NormKind::rms) {
      square_[r] += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
      return make_float4(v.x * w.x, v.y * w.y, v.z * w.z, v.w * w.w);
    }
    const float mean = mean_[r], scale = scale_[r];
    return make_float4(fmaf((v.x - mean) * scale, w.x, b.x), fmaf((v.y - mean) * scale, w.y, b.y),
                       fmaf((v.z - mean) * scale, w.z, b.z), fmaf((v.w - mean) * scale, w.w, b.w));
  }
  NormInput in_;
  int columns_;
  float square_[kRows] = {}, mean_[kRows] = {}, scale_[kRows] = {};
};

}  // namespace glassbox::cuda
