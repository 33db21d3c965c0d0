// Products with weights for many rows: by cuBLAS, on weights that are made fp32 in a buffer of the device just before;
// or, without cuBLAS and for few rows, by our own kernels, which read the weights as they are.
#pragma once

#include <driver_types.h>

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/ops.h"

namespace glassbox::cuda {

enum class BlasChoice : uint8_t { if_found, never };

class Products {
 public:
  // The most bytes that the buffer takes, unless one row of a weight needs more: larger weights are multiplied by
  // parts. It fits into the L2 cache of the larger devices, so that what was unpacked there is read from there.
  static constexpr size_t kMostScratch = size_t{32} << 20;

  // On the current device; all work is on `stream`, which must live as long.
  explicit Products(cudaStream_t stream, BlasChoice choice = BlasChoice::if_found, size_t most_scratch = kMostScratch);

  bool has_blas() const { return blas_ != nullptr; }
  std::string description() const;  // what multiplies for many rows: "cuBLAS 13.1.0", "own products"

  // As Ops::linears. With cuBLAS, fast precision uses 10 bits of the inputs' mantissas where the device has tensor
  // cores for that, and the sums are in fp32; exact precision is fp32 throughout. cudaErrorMemoryAllocation when the
  // buffer must grow and there is no memory; nothing was changed then. A graph that captures a call needs a call of
  // that size before.
  cudaError_t linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows);

  // For a layer that runs as a whole, with cuBLAS only. First prepare(), then joined() for any of these weights.

  // Unpacks the weights in one launch where they fit into half of the L2 cache; else each product does for itself.
  // At most kMostUnpackings.
  cudaError_t prepare(std::span<const Linear* const> layers);
  // The outputs of the layers side by side: out [rows, Σ outputs], of x [rows, K] with rows x_pitch floats apart. One
  // product where all have a bias, or none, and their weights are unpacked or lie side by side.
  cudaError_t joined(const float* x, int64_t x_pitch, std::span<const Linear* const> layers, Precision precision,
                     int64_t rows, float* out);
  // Whether the library's sizes can hold a product with these weights.
  static bool fits(const Linear& layer, int64_t rows);

 private:
  struct Piece;
  class Round;
  // A layer, and where in `out` its outputs go.
  struct Place {
    Linear layer;
    float* out;
    int64_t pitch;
  };
  cudaError_t multiply(const float* x, int64_t x_pitch, std::span<const Place> places, Precision precision,
                       int64_t rows);
  cudaError_t reserve(size_t floats);
  const float* prepared(const Tensor& weight) const;
  cudaStream_t stream_;
  size_t most_scratch_, most_ahead_;
  std::array<const void*, kMostUnpackings> prepared_{};      // the weights that lie unpacked in the buffer
  std::array<const float*, kMostUnpackings> prepared_at_{};  // and where
  std::vector<Buffer> buffers_;  // the last one is used; recorded graphs may use those before
  std::unique_ptr<Blas> blas_;   // last: when it ends, it waits for what it has begun
};

}  // namespace glassbox::cuda
