// Cuts a linear layer into tiles of weight rows.
#include <algorithm>
#include <array>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/packed_weight.h"

namespace glassbox::cpu {
namespace {

// A product of fewer multiplications than this is done before another thread is awake.
constexpr int64_t kParallelProducts = 32768;
// Enough tiles for each thread that one that was interrupted leaves its share to the others, in multiples of a kernel's
// tile.
constexpr int64_t kTilesPerThread = 4;
constexpr int64_t kMostTileRows = 128;
// Weights of a tile stay in the second-level cache while the rows of x pass by.
constexpr int64_t kTileBytes = 256 * 1024;
// Rows of x that one thread quantises at a time.
constexpr int64_t kQuantisedTogether = 8;

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// Blocks of a row of x that are given twice as many bits; QuantisedBlock says why.
int64_t refinements(int64_t columns) {
  return (columns / 32 + 15) / 16;
}

}  // namespace

size_t linear_scratch_bytes(int64_t weight_rows, int64_t columns) {
  return static_cast<size_t>(weight_rows * columns + round_up(columns / 32, 16) * 3) * sizeof(float);
}

const QuantisedBlock* CpuOps::quantise(const float* x, int64_t rows, int64_t columns) {
  const int64_t blocks = columns / 32, more = refinements(columns);
  const size_t bytes = static_cast<size_t>(rows * (blocks + more)) * sizeof(QuantisedBlock);
  if (quantised_.bytes() < bytes) quantised_ = Buffer(bytes);
  auto* out = reinterpret_cast<QuantisedBlock*>(quantised_.data());
  pool_.parallel_for((rows + kQuantisedTogether - 1) / kQuantisedTogether, [&](int, int64_t part) {
    const int64_t end = std::min(rows, (part + 1) * kQuantisedTogether);
    for (int64_t r = part * kQuantisedTogether; r < end; ++r) {
      kernels_.quantise_row(x + r * columns, blocks, more, out + r * (blocks + more));
    }
  });
  return out;
}

// The packed forms of those layers that came without, in packed_, one after the other.
void CpuOps::pack_missing(std::span<const Projection> layers) {
  size_t bytes = 0;
  for (const Projection& p : layers) bytes += p.layer.packed == nullptr ? packed_bytes(p.layer.weight) : 0;
  if (packed_.bytes() < bytes) packed_ = Buffer(bytes);
  std::byte* next = packed_.data();
  for (const Projection& p : layers) {
    if (p.layer.packed != nullptr) continue;
    pack_weight(p.layer.weight, next);
    next += packed_bytes(p.layer.weight);
  }
}

void CpuOps::linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) {
  struct Cut {
    LinearTile whole{};
    void (*kernel)(const LinearTile&) = nullptr;
    int64_t tile_rows = 0, tiles = 0;
  };
  if (rows == 0 || layers.empty()) return;
  const bool fast = precision == Precision::fast;
  const int64_t columns = layers.front().layer.weight.columns();
  int64_t all_outputs = 0;
  bool any_packed = false;
  for (const Projection& p : layers) {
    all_outputs += p.layer.weight.rows();
    any_packed = any_packed || (fast && dtype_info(p.layer.weight.dtype).quantised());
  }
  const QuantisedBlock* quantised = any_packed ? quantise(x, rows, columns) : nullptr;
  if (any_packed) pack_missing(layers);
  const std::byte* packed_here = packed_.data();
  // The weight rows of a tile, before its size in bytes is looked at.
  int64_t share = round_up(all_outputs, kStripeRows);
  if (all_outputs * columns * rows >= kParallelProducts) {
    share = round_up(std::max<int64_t>(1, all_outputs / (pool_.threads() * kTilesPerThread)), kStripeRows);
  }

  std::array<Cut, kMostProjections> cuts;
  int64_t tiles = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& [layer, out] = layers[i];
    const bool packed = fast && dtype_info(layer.weight.dtype).quantised();
    Cut& cut = cuts[i];
    cut.kernel = (fast ? kernels_.linear_fast : kernels_.linear_exact)[static_cast<int>(layer.weight.dtype)];
    LinearTile& whole = cut.whole;
    whole.weight = layer.weight.row(0);
    whole.row_bytes = layer.weight.row_bytes;
    whole.columns = columns;
    whole.weight_rows = layer.weight.rows();
    whole.x = x;
    whole.rows = rows;
    whole.bias = layer.bias.empty() ? nullptr : layer.bias.f32();
    whole.out = out;
    whole.out_stride = whole.weight_rows;
    if (packed) {
      whole.quantised = quantised;
      whole.refinements = refinements(columns);
      whole.stripe_bytes = packed_stripe_bytes(layer.weight.dtype, columns);
      whole.packed = layer.packed;
      if (whole.packed == nullptr) {
        whole.packed = packed_here;
        packed_here += packed_bytes(layer.weight);
      }
    }
    const int64_t stripe = packed ? whole.stripe_bytes : kStripeRows * columns * int64_t{sizeof(float)};
    cut.tile_rows = std::min({share, std::max<int64_t>(kTileBytes / stripe, 1) * kStripeRows, kMostTileRows});
    cut.tiles = (whole.weight_rows + cut.tile_rows - 1) / cut.tile_rows;
    tiles += cut.tiles;
    if (!packed) reserve_scratch(linear_scratch_bytes(cut.tile_rows, columns));
  }

  pool_.parallel_for(tiles, [&](int worker, int64_t part) {
    const Cut* cut = cuts.data();
    for (; part >= cut->tiles; ++cut) part -= cut->tiles;
    const int64_t first = part * cut->tile_rows;
    LinearTile tile = cut->whole;
    tile.weight += first * tile.row_bytes;
    if (tile.packed != nullptr) tile.packed += first / kStripeRows * tile.stripe_bytes;
    tile.weight_rows = std::min(cut->tile_rows, tile.weight_rows - first);
    if (tile.bias != nullptr) tile.bias += first;
    tile.out += first;
    tile.scratch = scratch(worker);
    cut->kernel(tile);
  });
}

}  // namespace glassbox::cpu
