// out = x Wᵀ + b with W in any format, in fp32, for up to three layers of the same x in one launch.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

struct Matrix {
  const std::byte* data;  // [N, K]
  int64_t row_bytes;
  int64_t outputs;    // N
  const float* bias;  // [N] or null
  float* out;         // [rows, N]
  DType type;
};

// Blocks of threads first_block[i] … first_block[i + 1] along x make the outputs of layer i.
struct Layers {
  Matrix of[kMostProjections];
  unsigned first_block[kMostProjections + 1];
  int64_t columns;  // K
};

struct Place {
  int layer, block;  // block: counted in the layer
};
__device__ Place own_place(const Layers& layers) {
  int layer = 0;
  while (blockIdx.x >= layers.first_block[layer + 1]) ++layer;
  return {layer, static_cast<int>(blockIdx.x - layers.first_block[layer])};
}

__device__ float bias_of(const Matrix& w, int64_t n) {
  return w.bias == nullptr ? 0.0f : w.bias[n];
}

// Few rows: one warp an output, its lanes take every 32nd octet of K. The weight is read once for up to kRows rows; a
// row's sum has one order, whatever kRows.
constexpr int kVectorThreads = 128;

// sum[r] += the lane's part of x[r] · weights, for the warp's output.
template <class AnyFormat, int kRows>
__device__ void add_products(AnyFormat format, const float* x, const std::byte* weights, int64_t columns, int rows,
                             float (&sum)[kRows]) {
  for (int64_t first = int64_t{own_lane()} * kOctet; first < columns; first += kWarp * kOctet) {
    const int count = columns - first < kOctet ? static_cast<int>(columns - first) : kOctet;
    float values[kOctet];
    format.unpack(weights, first, count, values);
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) break;
      const float* row = x + r * columns + first;
      for (int i = 0; i < kOctet; ++i) {
        if (i < count) sum[r] = fmaf(row[i], values[i], sum[r]);
      }
    }
  }
}

template <int kRows>
__global__ void multiply_vectors(const float* x, Layers layers, int rows) {
  const Place place = own_place(layers);
  const Matrix& w = layers.of[place.layer];
  const int64_t n = int64_t{place.block} * (kVectorThreads / kWarp) + own_warp();
  if (n >= w.outputs) return;  // whole warps only
  float sum[kRows] = {};
  with_format(w.type,
              [&](auto format) { add_products(format, x, w.data + n * w.row_bytes, layers.columns, rows, sum); });
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    const float total = sum_warp(sum[r]);
    if (own_lane() == 0) w.out[r * w.outputs + n] = total + bias_of(w, n);
  }
}

// Many rows: a block makes a tile of kTile rows by kTile outputs. It goes along K in steps of kDepth, of which both
// operands lie in shared memory, transposed, so that a thread reads its four rows and its four outputs side by side.
constexpr int kTile = 64, kDepth = 32, kPerThread = 4;
constexpr int kTileThreads = (kTile / kPerThread) * (kTile / kPerThread);
static_assert(kTileThreads == kTile * kDepth / kOctet, "each thread brings one octet of each operand");

__global__ void multiply_tiles(const float* x, Layers layers, int64_t rows) {
  constexpr int kPitch = kTile + 4;  // keeps four values together, and the columns of a store apart
  GLASSBOX_SHARED(x_tile, float[kDepth][kPitch]);
  GLASSBOX_SHARED(w_tile, float[kDepth][kPitch]);
  const Place place = own_place(layers);
  const Matrix& w = layers.of[place.layer];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_output = int64_t{place.block} * kTile;
  // The octet that this thread brings, and the products that it makes.
  const int brings = thread % kTile, depth = thread / kTile * kOctet;
  const int own_output = thread % (kTile / kPerThread) * kPerThread,
            own_row = thread / (kTile / kPerThread) * kPerThread;
  float sum[kPerThread][kPerThread] = {};
  for (int64_t k = 0; k < layers.columns; k += kDepth) {
    const int64_t left = layers.columns - k - depth;
    const int count = left <= 0 ? 0 : left < kOctet ? static_cast<int>(left) : kOctet;
    float values[kOctet] = {};
    if (first_output + brings < w.outputs && count > 0) {
      const std::byte* weights = w.data + (first_output + brings) * w.row_bytes;
      with_format(w.type, [&](auto format) { format.unpack(weights, k + depth, count, values); });
    }
    for (int i = 0; i < kOctet; ++i) w_tile[depth + i][brings] = values[i];
    const float* row = x + (first_row + brings) * layers.columns + k + depth;
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
      if (r < rows && n < w.outputs) w.out[r * w.outputs + n] = sum[i][j] + bias_of(w, n);
    }
  }
}

}  // namespace

cudaError_t linears(const float* x, std::span<const Projection> projections, int64_t rows, cudaStream_t stream) {
  if (rows == 0 || projections.empty()) return cudaSuccess;
  if (projections.size() > kMostProjections) return cudaErrorInvalidValue;
  const bool few = rows <= kFewRows;
  constexpr int kOutputs = kVectorThreads / kWarp;
  Layers layers{};
  layers.columns = projections[0].layer.weight.columns();
  unsigned blocks = 0;
  for (size_t i = 0; i < kMostProjections; ++i) {
    layers.first_block[i] = blocks;
    if (i >= projections.size()) continue;
    const Tensor& weight = projections[i].layer.weight;
    if (weight.columns() != layers.columns) return cudaErrorInvalidValue;
    layers.of[i] = {static_cast<const std::byte*>(weight.data),
                    weight.row_bytes,
                    weight.rows(),
                    static_cast<const float*>(projections[i].layer.bias.data),
                    projections[i].out,
                    weight.dtype};
    const int64_t outputs = few ? kOutputs : kTile;
    blocks += static_cast<unsigned>((weight.rows() + outputs - 1) / outputs);
  }
  layers.first_block[kMostProjections] = blocks;
  if (!few) {
    const dim3 grid(blocks, static_cast<unsigned>((rows + kTile - 1) / kTile));
    return launch(multiply_tiles, grid, dim3(kTileThreads), 0, stream, x, layers, rows);
  }
  const auto kernel = rows == 1   ? multiply_vectors<1>
                      : rows <= 2 ? multiply_vectors<2>
                      : rows <= 4 ? multiply_vectors<4>
                                  : multiply_vectors<8>;
  return launch(kernel, dim3(blocks), dim3(kVectorThreads), 0, stream, x, layers, static_cast<int>(rows));
}

}  // namespace glassbox::cuda
