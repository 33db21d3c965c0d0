// out = x Wᵀ + b with W in any format, in fp32.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

struct Matrix {
  const std::byte* data;  // [N, K]
  int64_t row_bytes;
  int64_t outputs, columns;  // N, K
  const float* bias;         // [N] or null
};

// Few rows: one warp an output, its lanes take every 32nd octet of K. The weight is read once for up to kRows rows; a
// row's sum has one order, whatever kRows.
constexpr int kVectorThreads = 128;

template <DType kType, int kRows>
__global__ void multiply_vectors(const float* x, Matrix w, int rows, float* out) {
  const int64_t n = int64_t{blockIdx.x} * (kVectorThreads / kWarp) + own_warp();
  if (n >= w.outputs) return;  // whole warps only
  const std::byte* weights = w.data + n * w.row_bytes;
  float sum[kRows] = {};
  for (int64_t first = int64_t{own_lane()} * kOctet; first < w.columns; first += kWarp * kOctet) {
    const int count = w.columns - first < kOctet ? static_cast<int>(w.columns - first) : kOctet;
    float values[kOctet];
    Format<kType>::unpack(weights, first, count, values);
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) break;
      const float* row = x + r * w.columns + first;
      for (int i = 0; i < kOctet; ++i) {
        if (i < count) sum[r] = fmaf(row[i], values[i], sum[r]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    const float total = sum_warp(sum[r]);
    if (own_lane() == 0) out[r * w.outputs + n] = total + (w.bias == nullptr ? 0.0f : w.bias[n]);
  }
}

// Many rows: a block makes a tile of kTile rows by kTile outputs. It goes along K in steps of kDepth, of which both
// operands lie in shared memory, transposed, so that a thread reads its four rows and its four outputs side by side.
constexpr int kTile = 64, kDepth = 32, kPerThread = 4;
constexpr int kTileThreads = (kTile / kPerThread) * (kTile / kPerThread);
static_assert(kTileThreads == kTile * kDepth / kOctet, "each thread brings one octet of each operand");

template <DType kType>
__global__ void multiply_tiles(const float* x, Matrix w, int64_t rows, float* out) {
  constexpr int kPitch = kTile + 4;  // keeps four values together, and the columns of a store apart
  GLASSBOX_SHARED(x_tile, float[kDepth][kPitch]);
  GLASSBOX_SHARED(w_tile, float[kDepth][kPitch]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_output = int64_t{blockIdx.x} * kTile;
  // The octet that this thread brings, and the products that it makes.
  const int brings = thread % kTile, depth = thread / kTile * kOctet;
  const int own_output = thread % (kTile / kPerThread) * kPerThread,
            own_row = thread / (kTile / kPerThread) * kPerThread;
  float sum[kPerThread][kPerThread] = {};
  for (int64_t k = 0; k < w.columns; k += kDepth) {
    const int64_t left = w.columns - k - depth;
    const int count = left <= 0 ? 0 : left < kOctet ? static_cast<int>(left) : kOctet;
    float values[kOctet] = {};
    if (first_output + brings < w.outputs && count > 0) {
      Format<kType>::unpack(w.data + (first_output + brings) * w.row_bytes, k + depth, count, values);
    }
    for (int i = 0; i < kOctet; ++i) w_tile[depth + i][brings] = values[i];
    const float* row = x + (first_row + brings) * w.columns + k + depth;
    for (int i = 0; i < kOctet; ++i) {
      x_tile[depth + i][brings] = i < count && first_row + brings < rows ? row[i] : 0.0f;
    }
    __syncthreads();
    for (int d = 0; d < kDepth; ++d) {
      const float4 a = *reinterpret_cast<const float4*>(&x_tile[d][own_row]);
      const float4 b = *reinterpret_cast<const float4*>(&w_tile[d][own_output]);
      const float of_rows[] = {a.x, a.y, a.z, a.w}, of_outputs[] = {b.x, b.y, b.z, b.w};
      for (int i = 0; i < kPerThread; ++i) {
        for (int j = 0; j < kPerThread; ++j) sum[i][j] = fmaf(of_rows[i], of_outputs[j], sum[i][j]);
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kPerThread; ++i) {
    for (int j = 0; j < kPerThread; ++j) {
      const int64_t r = first_row + own_row + i, n = first_output + own_output + j;
      if (r < rows && n < w.outputs) out[r * w.outputs + n] = sum[i][j] + (w.bias == nullptr ? 0.0f : w.bias[n]);
    }
  }
}

// Beyond so many rows the tiles' unpacking, once for 64 rows, is less than the vectors' once for eight.
constexpr int64_t kMostVectorRows = 8;

template <DType kType>
cudaError_t multiply(const float* x, const Matrix& w, int64_t rows, float* out, cudaStream_t stream) {
  if (rows <= kMostVectorRows) {
    const auto kernel = rows == 1   ? multiply_vectors<kType, 1>
                        : rows <= 2 ? multiply_vectors<kType, 2>
                        : rows <= 4 ? multiply_vectors<kType, 4>
                                    : multiply_vectors<kType, 8>;
    constexpr int kOutputs = kVectorThreads / kWarp;
    return launch(kernel, dim3(static_cast<unsigned>((w.outputs + kOutputs - 1) / kOutputs)), dim3(kVectorThreads), 0,
                  stream, x, w, static_cast<int>(rows), out);
  }
  const dim3 grid(static_cast<unsigned>((w.outputs + kTile - 1) / kTile),
                  static_cast<unsigned>((rows + kTile - 1) / kTile));
  return launch(multiply_tiles<kType>, grid, dim3(kTileThreads), 0, stream, x, w, rows, out);
}

}  // namespace

cudaError_t linear(const float* x, const Tensor& weight, const Tensor& bias, int64_t rows, float* out,
                   cudaStream_t stream) {
  if (rows == 0) return cudaSuccess;
  const Matrix w{static_cast<const std::byte*>(weight.data), weight.row_bytes, weight.rows(), weight.columns(),
                 static_cast<const float*>(bias.data)};
  return with_format(weight.dtype, [&](auto type) { return multiply<type()>(x, w, rows, out, stream); });
}

}  // namespace glassbox::cuda
