// Cuts a linear layer into tiles of weight rows.
#include <algorithm>

#include "kernels/cpu/cpu_ops.h"

namespace glassbox::cpu {
namespace {

// A product of fewer multiplications than this is done before another thread is awake.
constexpr int64_t kParallelProducts = 32768;
// Enough tiles for each thread that one that was interrupted leaves its share to the others, in multiples of a kernel's
// tile.
constexpr int64_t kTilesPerThread = 6;
constexpr int64_t kLeastTileRows = 8;
constexpr int64_t kMostTileRows = 128;
// Unpacked weights of a tile stay in the second-level cache while the rows of x pass by.
constexpr int64_t kTileBytes = 256 * 1024;
// Rows of x that one thread quantises at a time.
constexpr int64_t kQuantisedTogether = 8;

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

size_t linear_scratch_bytes(int64_t weight_rows, int64_t columns) {
  const int64_t values = round_up(columns, kPadColumns) * 4;
  const int64_t scales = round_up(columns / 32, kPadBlocks) * 3 * 4;
  return static_cast<size_t>(std::max(weight_rows, kLeastTileRows) * (values + scales));
}

QuantisedRows CpuOps::quantise(const float* x, int64_t rows, int64_t columns) {
  const int64_t value_stride = round_up(columns, kPadColumns), block_stride = round_up(columns / 32, kPadBlocks);
  const size_t bytes = static_cast<size_t>(rows * (value_stride + 8 * block_stride));
  if (quantised_.bytes() < bytes) quantised_ = Buffer(bytes);
  float* scales = reinterpret_cast<float*>(quantised_.data() + rows * value_stride);
  const QuantisedRows out{reinterpret_cast<int8_t*>(quantised_.data()), scales, scales + rows * block_stride,
                          value_stride, block_stride};
  pool_.parallel_for((rows + kQuantisedTogether - 1) / kQuantisedTogether, [&](int, int64_t part) {
    const int64_t end = std::min(rows, (part + 1) * kQuantisedTogether);
    for (int64_t r = part * kQuantisedTogether; r < end; ++r) kernels_.quantise_row(x + r * columns, r, columns, out);
  });
  return out;
}

void CpuOps::linear(const float* x, const Linear& layer, Precision precision, int64_t rows, float* out) {
  const Tensor& weight = layer.weight;
  const int64_t columns = weight.columns(), outputs = weight.rows();
  if (rows == 0 || outputs == 0) return;
  const bool fast = precision == Precision::fast;
  LinearTile whole{};
  whole.row_bytes = weight.row_bytes;
  whole.columns = columns;
  whole.x = x;
  whole.rows = rows;
  whole.out_stride = outputs;
  if (fast && dtype_info(weight.dtype).quantised()) whole.quantised = quantise(x, rows, columns);
  const auto kernel = (fast ? kernels_.linear_fast : kernels_.linear_exact)[static_cast<int>(weight.dtype)];

  int64_t tile_rows = outputs;
  if (outputs * columns * rows >= kParallelProducts) {
    tile_rows = round_up(std::max<int64_t>(1, outputs / (pool_.threads() * kTilesPerThread)), kLeastTileRows);
  }
  const int64_t row_scratch = columns * (fast && dtype_info(weight.dtype).quantised() ? 1 : 4);
  const int64_t cached = std::max(kLeastTileRows, kTileBytes / row_scratch / kLeastTileRows * kLeastTileRows);
  tile_rows = std::min({tile_rows, cached, kMostTileRows});
  reserve_scratch(linear_scratch_bytes(tile_rows, columns));
  pool_.parallel_for((outputs + tile_rows - 1) / tile_rows, [&](int worker, int64_t part) {
    const int64_t first = part * tile_rows;
    LinearTile tile = whole;
    tile.weight = weight.row(first);
    tile.weight_rows = std::min(tile_rows, outputs - first);
    tile.bias = layer.bias.empty() ? nullptr : layer.bias.f32() + first;
    tile.out = out + first;
    tile.scratch = scratch(worker);
    kernel(tile);
  });
}

}  // namespace glassbox::cpu
