// How the fused products are shared out over blocks, threads and shared memory.
#include <algorithm>

#include "kernels/cuda/product.h"

namespace glassbox::cuda {
namespace {

// Of a block on every device, less room for the kernels' shared variables (tests/gpu/kernels.md has their sizes).
constexpr size_t kSharedBytes = (48 << 10) - 512;

constexpr int rounded_up(int n, int to) {
  return (n + to - 1) / to * to;
}

// The rest of the plan for this chunk of K.
void fill_in(ProductPlan& plan, const ProductShape& shape, std::span<WeightMatrix* const> matrices) {
  const int rows = shape.rows, outputs = shape.outputs;
  const int units = (plan.chunk + kUnit - 1) / kUnit, most_lanes = kProductThreads / outputs;
  const int turns = (units + most_lanes - 1) / most_lanes;
  plan.lanes = (units + turns - 1) / turns;
  // Products, x in one or two turns, and the finish.
  const int finishers = rounded_up(outputs * rows * kMergers, kWarp);
  int threads = std::max(rounded_up(outputs * plan.lanes, kWarp), finishers);
  threads = std::max(threads, std::min(kProductThreads, rounded_up(units * kUnit / 4, kWarp)));
  if (shape.apart && threads + finishers <= kProductThreads) threads += finishers;
  plan.threads = static_cast<unsigned>(threads);
  // An odd number of the mergers' groups: eight groups' sums lie in different banks.
  plan.partial_pitch = ((plan.lanes + kMergers - 1) / kMergers | 1) * kMergers;
  int bytes = 0;
  for (WeightMatrix* m : matrices) {
    const DTypeInfo& info = dtype_info(m->type);
    m->chunk_bytes = plan.chunk >= plan.columns ? m->row_size : plan.chunk / info.block_size * info.block_bytes;
    bytes = std::max(bytes, m->chunk_bytes);
  }
  plan.pitch = rounded_up(bytes + kPiece - 1, kPiece);  // a chunk may begin anywhere in a piece
  plan.shared_bytes = static_cast<size_t>(rows * units * kUnitPitch) * sizeof(float) +
                      static_cast<size_t>(outputs * plan.pitch) +
                      static_cast<size_t>(rows * outputs * plan.partial_pitch + rows * kRowScratch) * sizeof(float);
}

}  // namespace

WeightMatrix weight_matrix(const Linear& layer) {
  WeightMatrix w;
  if (layer.weight.empty()) return w;
  w.data = static_cast<const std::byte*>(layer.weight.data);
  w.row_bytes = layer.weight.row_bytes;
  w.outputs = static_cast<int>(layer.weight.rows());
  w.row_size = static_cast<int>(row_bytes(layer.weight.dtype, layer.weight.columns()));
  w.bias = static_cast<const float*>(layer.bias.data);
  w.type = layer.weight.dtype;
  return w;
}

ProductPlan plan_product(const ProductShape& shape, std::span<WeightMatrix* const> matrices) {
  ProductPlan plan;
  plan.columns = static_cast<int>(shape.columns);
  plan.tiles = shape.tiles;
  plan.chunk = plan.columns;
  fill_in(plan, shape, matrices);
  // Equal chunks of whole K blocks.
  for (int chunks = 2; plan.shared_bytes > kSharedBytes; ++chunks) {
    plan.chunk = rounded_up((plan.columns + chunks - 1) / chunks, kQuantSuperBlock);
    fill_in(plan, shape, matrices);
    if (plan.chunk == kQuantSuperBlock) break;
  }
  return plan;
}

void spread_over_device(ProductPlan& plan, const void* kernel) {
  int device = 0, multiprocessors = 0, blocks = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device) == cudaSuccess &&
                     cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, static_cast<int>(plan.threads),
                                                                   plan.shared_bytes) == cudaSuccess;
  // What the device does not say it says again, louder, when the kernel is launched.
  plan.blocks = static_cast<unsigned>(known ? std::clamp(multiprocessors * blocks, 1, plan.tiles) : plan.tiles);
}

bool fits_product(const Linear& layer, int64_t columns) {
  const Tensor& w = layer.weight;
  return !w.empty() && w.columns() == columns && columns % 4 == 0 && reinterpret_cast<uintptr_t>(w.data) % kPiece == 0;
}

}  // namespace glassbox::cuda
