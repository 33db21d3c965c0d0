// The one shape of all fused products: out = f(x) Wᵀ for at most eight rows of x, with what comes before and after.
//
// A decoding step lasts as long as its kernels' critical paths: the weights of a kernel arrive within a microsecond,
// and so does everything else. So all that a block needs is asked for at once, what does not depend on the kernel
// before comes first, and there are two barriers:
//   1. the weights of a tile of outputs to registers, 16 bytes a load, side by side; the kernels are launched early
//      (device.h), so that this and the launch itself pass while the kernels before still run. They go ahead in the
//      order of the launches: the next kernel may begin when all blocks of this one have asked for theirs
//   2. x to shared memory, as the source makes it; the weights from the registers to shared memory; barrier
//   3. the next tile's weights to registers; products: `lanes` threads an output, each takes units of 32 values of K
//      and multiplies them by all rows; their sums to shared memory; barrier
//   4. four threads add an output's sums, always in the same order, and the finish takes it from there; these finishers
//      are the block's last threads, so that what they wait for early holds up as little as possible
// Where K is too long for shared memory, steps 2 and 3 go over chunks of it.
//
// The source (product_sources.h) makes x, the finish knows what an output is for:
//   void fetch()                         before the launches before are waited for: to shared memory what store() needs
//   Early prepare(tile, r, j)            finishers alone: loads what is needed early; r may be beyond the rows
//   kAhead                               whether it may do so before the launches before are waited for
//   void store(early, tile, r, j, total) is called by whole warps, in which j grows by one every kMergers lanes
#pragma once

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/weight_units.h"

namespace glassbox::cuda {

inline constexpr int kProductThreads = 256;   // at most
inline constexpr int kMergers = 4;            // threads that add the sums of an output
inline constexpr int kUnitPitch = kUnit + 4;  // of x in shared memory: four lanes' units lie in different banks
inline constexpr int kPiece = 16;             // bytes of a load
inline constexpr int kMostPieces = 4;         // that a thread has under way
inline constexpr int kRowScratch = kProductThreads / kWarp + 2;  // floats a row that sources share

// Blocks that a multiprocessor must at least have registers for.
template <int kRows>
inline constexpr int kProductBlocks = kRows == 1 ? 2 : 1;

struct WeightMatrix {
  const std::byte* data = nullptr;  // [N, K]; begins at a multiple of kPiece
  int64_t row_bytes = 0;            // from one row to the next
  int outputs = 0;                  // N
  int row_size = 0;                 // bytes of a row's values
  int chunk_bytes = 0;              // of ProductPlan::chunk values
  const float* bias = nullptr;      // [N] or null
  DType type = DType::f32;
};

// How a product is shared out; made by plan_product().
struct ProductPlan {
  int columns = 0;        // K
  int chunk = 0;          // values of K that are in shared memory at a time
  int lanes = 0;          // threads an output
  int pitch = 0;          // bytes from one weight row to the next in shared memory
  int partial_pitch = 0;  // floats from one output's sums to the next one's
  int tiles = 0;          // of as many outputs as a block makes at a time
  unsigned threads = 0, blocks = 0;
  size_t shared_bytes = 0;
};

// A row of weights that a thread helps to load and to multiply.
struct WeightRow {
  const std::byte* data = nullptr;  // null: there is none
  const std::byte* end = nullptr;   // of the matrix
  int size = 0, chunk_bytes = 0;
  DType type = DType::f32;
};
__device__ inline WeightRow weight_row(const WeightMatrix& w, int n) {
  return {w.data + n * w.row_bytes, w.data + (w.outputs - 1) * w.row_bytes + w.row_size, w.row_size, w.chunk_bytes,
          w.type};
}

// The rows of a product with one matrix, as multiply() asks for them.
template <int kOutputs>
struct MatrixTiles {
  const WeightMatrix& matrix;
  __device__ WeightRow row(int tile, int j) const {
    const int n = tile * kOutputs + j;
    return n < matrix.outputs ? weight_row(matrix, n) : WeightRow{};
  }
};

// A chunk of a weight row on its way through registers into shared memory, in pieces that lie at multiples of their
// size: bytes of the rows before and after come along.
class RowPieces {
 public:
  __device__ void fetch(const WeightRow& row, int chunk, int lane, int lanes) {
    count_ = whole_ = 0;
    if (row.data == nullptr) return;
    const int64_t skipped = int64_t{chunk} * row.chunk_bytes, left = row.size - skipped;
    const std::byte* from = row.data + skipped;
    shift_ = static_cast<int>(reinterpret_cast<uintptr_t>(from) % kPiece);
    first_ = from - shift_;
    end_ = row.end;
    count_ = (shift_ + static_cast<int>(left < row.chunk_bytes ? left : row.chunk_bytes) + kPiece - 1) / kPiece;
    whole_ = first_ + count_ * kPiece <= end_ ? count_ : count_ - 1;
    for (int i = 0; i < kMostPieces; ++i) {
      const int p = lane + i * lanes;
      if (p < whole_) pieces_[i] = __ldg(reinterpret_cast<const uint4*>(first_) + p);
    }
  }
  // Where the chunk's values begin in shared memory.
  __device__ const std::byte* store(std::byte* shared, int lane, int lanes) const {
    auto* to = reinterpret_cast<uint4*>(shared);
    for (int i = 0; i < kMostPieces; ++i) {
      const int p = lane + i * lanes;
      if (p < whole_) to[p] = pieces_[i];
    }
    for (int p = lane + kMostPieces * lanes; p < whole_; p += lanes) {
      to[p] = __ldg(reinterpret_cast<const uint4*>(first_) + p);
    }
    if (whole_ < count_) {  // the matrix ends inside the last piece
      const auto* from = reinterpret_cast<const uint16_t*>(first_ + whole_ * kPiece);
      const int halves = static_cast<int>(end_ - first_ - whole_ * kPiece) / 2;
      for (int i = lane; i < halves; i += lanes) reinterpret_cast<uint16_t*>(to + whole_)[i] = from[i];
    }
    return shared + shift_;
  }

 private:
  const std::byte *first_ = nullptr, *end_ = nullptr;
  int shift_ = 0, count_ = 0, whole_ = 0;
  uint4 pieces_[kMostPieces];
};

// sum[r] += x[r] · unit, in two sums a row, so that one product need not wait for the one before. x: shared.
template <int kRows, class AnyUnit>
__device__ void add_unit(const AnyUnit& unit, const float* x, int x_pitch, float (&sum)[kRows]) {
  float even[kRows] = {}, odd[kRows] = {};
  for (int o = 0; o < kUnit / kOctet; ++o) {
    float w[kOctet];
    unit.octet(o, w);
    for (int r = 0; r < kRows; ++r) {
      const auto* quads = reinterpret_cast<const float4*>(x + r * x_pitch + o * kOctet);
      const float4 a = quads[0], b = quads[1];
      even[r] = fmaf(a.x, w[0], even[r]);
      odd[r] = fmaf(b.x, w[4], odd[r]);
      even[r] = fmaf(a.y, w[1], even[r]);
      odd[r] = fmaf(b.y, w[5], odd[r]);
      even[r] = fmaf(a.z, w[2], even[r]);
      odd[r] = fmaf(b.z, w[6], odd[r]);
      even[r] = fmaf(a.w, w[3], even[r]);
      odd[r] = fmaf(b.w, w[7], odd[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) sum[r] = fmaf(unit.factor, even[r] + odd[r], sum[r]);
}

// `weights.row(tile, j)`: the WeightRow of output j of a tile. kRows: at least as many as there are.
template <int kRows, int kOutputs, class Weights, class Source, class Finish>
__device__ void multiply(const ProductPlan& plan, const Weights& weights, Source& source, const Finish& finish) {
  GLASSBOX_DYNAMIC_SHARED(memory, float4);
  const int x_pitch = (plan.chunk + kUnit - 1) / kUnit * kUnitPitch;
  float* const x = reinterpret_cast<float*>(memory);
  std::byte* const weight_rows = reinterpret_cast<std::byte*>(x + kRows * x_pitch);
  float* const partials = reinterpret_cast<float*>(weight_rows + kOutputs * plan.pitch);
  float* const of_source = partials + kRows * kOutputs * plan.partial_pitch;

  const int thread = static_cast<int>(threadIdx.x), blocks = static_cast<int>(gridDim.x);
  const int own_row = thread / plan.lanes, lane = thread % plan.lanes;
  const auto row_of = [&](int tile) {
    return own_row < kOutputs && tile < plan.tiles ? weights.row(tile, own_row) : WeightRow{};
  };
  int tile = static_cast<int>(blockIdx.x);
  WeightRow row = row_of(tile);
  RowPieces pieces;
  pieces.fetch(row, 0, lane, plan.lanes);
  source.prefetch();
  let_next_launch_begin();
  constexpr int kFinishers = (kRows * kOutputs * kMergers + kWarp - 1) / kWarp * kWarp;
  const int finisher = thread - (static_cast<int>(blockDim.x) - kFinishers);
  const int own_output = finisher / kMergers, r = own_output / kOutputs, j = own_output % kOutputs;
  finish.fetch();
  typename Finish::Early early{};
  if (Finish::kAhead && finisher >= 0) early = finish.prepare(tile, r, j);
  wait_for_launches_before();

  source.begin(of_source);
  for (bool first = true; tile < plan.tiles; tile += blocks, first = false) {
    if ((!Finish::kAhead || !first) && finisher >= 0) early = finish.prepare(tile, r, j);
    float sum[kRows] = {};
    for (int begin = 0; begin < plan.columns; begin += plan.chunk) {
      const int left = plan.columns - begin, columns = left < plan.chunk ? left : plan.chunk;
      const bool last = left <= plan.chunk;
      if (first || plan.chunk < plan.columns) source.stage(x, x_pitch, begin, columns, first);
      const std::byte* values = pieces.store(weight_rows + own_row * plan.pitch, lane, plan.lanes);
      const bool there = row.data != nullptr;
      const DType type = row.type;
      __syncthreads();
      if (last) row = row_of(tile + blocks);
      pieces.fetch(row, last ? 0 : begin / plan.chunk + 1, lane, plan.lanes);
      if (first && last) source.close(of_source);
      for (int u = lane; there && u * kUnit < columns; u += plan.lanes) {
        with_unit(type, values, u, columns,
                  [&](const auto& unit) { add_unit<kRows>(unit, x + u * kUnitPitch, x_pitch, sum); });
      }
      if (last && own_row < kOutputs) {
        for (int i = 0; i < kRows; ++i) partials[(i * kOutputs + own_row) * plan.partial_pitch + lane] = sum[i];
      }
      __syncthreads();
    }
    if (finisher < 0) continue;  // whole warps
    float total = 0.0f;
    for (int i = finisher % kMergers; r < kRows && i < plan.lanes; i += kMergers) {
      total += partials[own_output * plan.partial_pitch + i];
    }
    for (int lanes = 1; lanes < kMergers; lanes *= 2) total += __shfl_xor_sync(kAllLanes, total, lanes);
    finish.store(early, tile, r, j, r < kRows ? total * source.factor(of_source, r) : 0.0f);
  }
}

// Host. The matrix of a layer, or an empty one.
WeightMatrix weight_matrix(const Linear& layer);

struct ProductShape {
  int rows, outputs;  // the kernel's kRows and kOutputs
  int tiles;          // of so many outputs
  int64_t columns;    // K
  // Whether the finishers, if there is room for them, have nothing else to do, because they wait for a chain of loads.
  bool apart = false;
};
// Sets the matrices' chunk_bytes; all have the same K.
ProductPlan plan_product(const ProductShape& shape, std::span<WeightMatrix* const> matrices);

// Lets as many blocks run as the device has room for at a time, by the kernel's registers and shared memory; where
// there are more tiles, a block makes several and keeps its x. For the device that the thread works on.
void spread_over_device(ProductPlan& plan, const void* kernel);

// Launches a kernel that multiplies by arguments.plan, so spread.
template <class Arguments, class... More>
cudaError_t launch_product(void (*kernel)(Arguments, More...), Arguments& arguments, cudaStream_t stream,
                           std::type_identity_t<More>... more) {
  ProductPlan& plan = arguments.plan;
  spread_over_device(plan, reinterpret_cast<const void*>(kernel));
  return launch_early(kernel, dim3(plan.blocks), dim3(plan.threads), plan.shared_bytes, stream, arguments, more...);
}

// Whether the layer's weights are as multiply() needs them.
bool fits_product(const Linear& layer, int64_t columns);

// Calls start(kernel rows) with the smallest of 1, 4 and 8 that holds `rows`, as a constant.
template <class Start>
cudaError_t with_kernel_rows(int rows, const Start& start) {
  if (rows == 1) return start(std::integral_constant<int, 1>());
  if (rows <= 4) return start(std::integral_constant<int, 4>());
  return start(std::integral_constant<int, 8>());
}

}  // namespace glassbox::cuda
