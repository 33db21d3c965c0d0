// cuBLAS, NVIDIA's library of matrix products. It is looked for when the program runs: nothing of it is needed to
// build, and where it is not, products.h computes with our own kernel.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/tensor.h"

namespace glassbox::cuda {

// The library's functions that are used; null where there is no library. The first that is found:
//   the file that the environment's GLASSBOX_CUBLAS names ("off": none),
//   what the program has loaded already (LD_PRELOAD),
//   libcublas.so.13 or .12 where the system looks (LD_LIBRARY_PATH, the program's own folder, ldconfig).
struct BlasFunctions;
const BlasFunctions* find_blas();

class Blas {
 public:
  // On the current device, all work on `stream`, which must live as long. Null where there is no library, or where it
  // does not start: its handle and its working memory take up to some 100 MB of the device.
  static std::unique_ptr<Blas> start(cudaStream_t stream);
  ~Blas();
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;

  const std::string& name() const { return name_; }  // "cuBLAS 13.1.0"

  // out[i] = x · weights[i]ᵀ for i < count, all f32. x [rows, columns], weights[i] [outputs, columns], out[i] [rows,
  // outputs]; pitches, the distances of two rows, and strides, those of two i, are in floats.
  struct Product {
    const float* x;
    const float* weights;
    float* out;
    int64_t rows, outputs, columns;
    int64_t x_pitch, weight_pitch, out_pitch;
    int count = 1;
    int64_t weight_stride = 0, out_stride = 0;
    bool accumulate = false;  // out[i] += …
    // Of the inputs, 10 bits of mantissa are used where the device has tensor cores for that (TF32); without it, all.
    bool tf32 = false;
  };
  // Never allocates, so that a graph may capture it.
  cudaError_t multiply(const Product& product);
  // Whether the library's sizes, which are of 32 bits, can hold these.
  static bool can_multiply(int64_t rows, int64_t outputs, int64_t columns);

 private:
  Blas() = default;
  const BlasFunctions* library_ = nullptr;
  void* handle_ = nullptr;
  Buffer workspace_;
  std::string name_;
};

}  // namespace glassbox::cuda
