// Products with weights for many rows: by cuBLAS, on weights that are made fp32 in a buffer of the device just before;
// or, without cuBLAS and for few rows, by our own kernels, which read the weights as they are.
#pragma once

#include <driver_types.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda/blas.h"
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

 private:
  struct Piece;
  class Round;
  cudaError_t reserve(size_t floats);
  cudaStream_t stream_;
  size_t most_scratch_;
  std::vector<Buffer> buffers_;  // the last one is used; recorded graphs may use those before
  std::unique_ptr<Blas> blas_;  // last: when it ends, it waits for what it has begun
};

}  // namespace glassbox::cuda
