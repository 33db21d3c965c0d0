// Nearest rows: how close each row of a table is to the query, a warp a row; then the head of each measure's list, a
// block a measure. Compiled without contraction (toolkit.cmake), so that ranks are those of the values that the host
// shows.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/top_candidates.h"
#include "kernels/nearest.h"

namespace glassbox::cuda {
namespace {

constexpr int kRowThreads = 256;  // eight rows a block

struct Table {
  const std::byte* data;  // [V, C]
  int64_t row_bytes, rows, columns;
  DType type;
};

__global__ void compare_rows(Table table, const float* query, RowCloseness* out) {
  const int64_t row = int64_t{blockIdx.x} * (kRowThreads / kWarp) + own_warp();
  if (row >= table.rows) return;  // whole warps only
  float dot = 0.0f, norm = 0.0f, distance = 0.0f;
  with_format(table.type, [&](auto format) {
    for (int64_t first = int64_t{own_lane()} * kOctet; first < table.columns; first += kWarp * kOctet) {
      const int count = table.columns - first < kOctet ? static_cast<int>(table.columns - first) : kOctet;
      float values[kOctet];
      format.unpack(table.data + row * table.row_bytes, first, count, values);
      for (int i = 0; i < kOctet; ++i) {
        if (i >= count) break;
        const float q = query[first + i], difference = q - values[i];
        dot += q * values[i];
        norm += values[i] * values[i];
        distance += difference * difference;
      }
    }
  });
  dot = sum_warp(dot);
  norm = sum_warp(norm);
  distance = sum_warp(distance);
  if (own_lane() == 0) out[row] = {dot, sqrtf(norm), distance};
}

// Block 0: by cosine, 1: by dot product, 2: by distance. out [kNearnessMeasures, count]
__global__ void __launch_bounds__(kTopThreads)
    list_nearest(const RowCloseness* rows, int64_t row_count, float query_norm, int32_t leave_out, int count,
                 NearestRow* out) {
  const auto key_of = [&](int64_t i) -> uint64_t {
    if (i == leave_out) return 0;
    const RowCloseness& row = rows[i];
    if (blockIdx.x == 0) return candidate_key(cosine_of(row.dot, query_norm, row.norm), i);
    return candidate_key(blockIdx.x == 1 ? row.dot : -row.squared_distance, i);
  };
  const TopCandidates top = find_top(row_count, key_of);
  out += blockIdx.x * count;
  const bool none = top.count == 0 && row_count > (leave_out >= 0 ? 1 : 0);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kTopThreads) {
    const int32_t id = i < top.count ? id_of(top.keys[i]) : none ? kTooManyEqual : -1;
    out[i] = {id, id >= 0 ? rows[id] : RowCloseness{}};
  }
}

}  // namespace

cudaError_t nearest_rows(const Tensor& table, const float* query, float query_norm, int32_t leave_out, int count,
                         RowCloseness* closeness, NearestRow* out, cudaStream_t stream) {
  if (count < 1 || count > kMostNearest || table.rows() > INT32_MAX) return cudaErrorInvalidValue;
  constexpr int kRowsPerBlock = kRowThreads / kWarp;
  const Table rows{static_cast<const std::byte*>(table.data), table.row_bytes, table.rows(), table.columns(),
                   table.dtype};
  const auto blocks = static_cast<unsigned>((rows.rows + kRowsPerBlock - 1) / kRowsPerBlock);
  if (const cudaError_t e = launch(compare_rows, dim3(blocks), dim3(kRowThreads), 0, stream, rows, query, closeness)) {
    return e;
  }
  return launch(list_nearest, dim3(kNearnessMeasures), dim3(kTopThreads), 0, stream, closeness, rows.rows, query_norm,
                leave_out, count, out);
}

}  // namespace glassbox::cuda
