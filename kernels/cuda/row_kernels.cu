// What goes along rows: embedding, norms, elementwise functions. One block a row, or one thread a value.
#include "kernels/cuda/activations.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

constexpr int kThreads = 256;

dim3 blocks_for(int64_t values) {
  return dim3(static_cast<unsigned>((values + kThreads - 1) / kThreads));
}

__device__ int64_t own_value() {
  return int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

// table [V, C], out [R, C]
__global__ void embed_rows(const std::byte* table, DType type, int64_t row_bytes, int64_t columns, const int32_t* ids,
                           float* out) {
  const std::byte* row = table + ids[blockIdx.x] * row_bytes;
  out += blockIdx.x * columns;
  for (int64_t first = int64_t{threadIdx.x} * kOctet; first < columns; first += kThreads * kOctet) {
    const int count = columns - first < kOctet ? static_cast<int>(columns - first) : kOctet;
    float values[kOctet];
    with_format(type, [&](auto format) { format.unpack(row, first, count, values); });
    for (int i = 0; i < kOctet; ++i) {
      if (i < count) out[first + i] = values[i];
    }
  }
}

// out = x / √(mean(x²) + ε) ⊙ weight. x, out [R, n]
__global__ void rmsnorm_rows(const float* x, const float* weight, float eps, int64_t n, float* out) {
  x += blockIdx.x * n;
  out += blockIdx.x * n;
  float square = 0.0f;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) square = fmaf(x[i], x[i], square);
  const float scale = 1.0f / sqrtf(sum_block<kThreads>(square) / static_cast<float>(n) + eps);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) out[i] = x[i] * scale * weight[i];
}

// out = (x − mean) / √(variance + ε) ⊙ weight + bias. x, out [R, n]
__global__ void layernorm_rows(const float* x, const float* weight, const float* bias, float eps, int64_t n,
                               float* out) {
  x += blockIdx.x * n;
  out += blockIdx.x * n;
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) sum += x[i];
  const float mean = sum_block<kThreads>(sum) / static_cast<float>(n);
  float square = 0.0f;  // of what is left: the sum of squares less the mean's square would cancel
  for (int64_t i = threadIdx.x; i < n; i += kThreads) square = fmaf(x[i] - mean, x[i] - mean, square);
  const float scale = 1.0f / sqrtf(sum_block<kThreads>(square) / static_cast<float>(n) + eps);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    out[i] = fmaf((x[i] - mean) * scale, weight[i], bias == nullptr ? 0.0f : bias[i]);
  }
}

__global__ void add_values(const float* a, const float* b, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = a[own_value()] + b[own_value()];
}

__global__ void multiply_values(const float* a, const float* b, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = a[own_value()] * b[own_value()];
}

__global__ void silu_values(const float* x, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = silu_of(x[own_value()]);
}

__global__ void gelu_tanh_values(const float* x, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = gelu_tanh_of(x[own_value()]);
}

__global__ void scale_values(const float* x, float factor, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = factor * x[own_value()];
}

__global__ void soft_cap_values(const float* x, float cap, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = cap * tanhf(x[own_value()] / cap);
}

__global__ void round_values_to_f16(const float* x, int64_t n, float* out) {
  if (own_value() < n) out[own_value()] = __half2float(__float2half_rn(x[own_value()]));
}

// One block a row of the output [R, H], which has the width of all heads.
__global__ void part_heads(const float* z, int heads, int head_dim, float* out) {
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y), width = heads * head_dim;
  z += int64_t{row} * width;
  out += (int64_t{row} * heads + head) * width;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) out[i] = i / head_dim == head ? z[i] : 0.0f;
}

__global__ void gather(const float* x, const int32_t* rows, int64_t columns, float* out) {
  x += rows[blockIdx.x] * columns;
  out += blockIdx.x * columns;
  for (int64_t i = threadIdx.x; i < columns; i += kThreads) out[i] = x[i];
}

}  // namespace

cudaError_t embed(const Tensor& table, const int32_t* ids, int64_t rows, float* out, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return launch(embed_rows, dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0, stream,
                static_cast<const std::byte*>(table.data), table.dtype, table.row_bytes, table.columns(), ids, out);
}

cudaError_t rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out,
                    cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return launch(rmsnorm_rows, dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0, stream, x, weight, eps, n, out);
}

cudaError_t layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                      float* out, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  return launch(layernorm_rows, dim3(static_cast<unsigned>(rows)), dim3(kThreads), 0, stream, x, weight, bias, eps, n,
                out);
}

cudaError_t add(const float* a, const float* b, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(add_values, blocks_for(n), dim3(kThreads), 0, stream, a, b, n, out);
}

cudaError_t multiply(const float* a, const float* b, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(multiply_values, blocks_for(n), dim3(kThreads), 0, stream, a, b, n, out);
}

cudaError_t silu(const float* x, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(silu_values, blocks_for(n), dim3(kThreads), 0, stream, x, n, out);
}

cudaError_t gelu_tanh(const float* x, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(gelu_tanh_values, blocks_for(n), dim3(kThreads), 0, stream, x, n, out);
}

cudaError_t scale(const float* x, float factor, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(scale_values, blocks_for(n), dim3(kThreads), 0, stream, x, factor, n, out);
}

cudaError_t soft_cap(const float* x, float cap, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(soft_cap_values, blocks_for(n), dim3(kThreads), 0, stream, x, cap, n, out);
}

cudaError_t round_to_f16(const float* x, int64_t n, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  return launch(round_values_to_f16, blocks_for(n), dim3(kThreads), 0, stream, x, n, out);
}

cudaError_t heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out, cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(rows), static_cast<unsigned>(heads));
  return launch(part_heads, grid, dim3(kThreads), 0, stream, z, heads, head_dim, out);
}

cudaError_t gather_rows(const float* x, const int32_t* rows, int64_t count, int64_t columns, float* out,
                        cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  return launch(gather, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, x, rows, columns, out);
}

}  // namespace glassbox::cuda
