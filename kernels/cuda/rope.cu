// Rotation of pairs (i, i + D/2) by position · frequency[i].
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/rotation.h"

namespace glassbox::cuda {
namespace {

// One block a row; a thread takes a pair through all heads, so that its angle is computed once. x, out [R, heads, D].
__global__ void rotate_rows(const float* x, const RowPosition* rows, int heads, int head_dim, const float* frequency,
                            float attention_factor, float* out) {
  const int half = head_dim / 2;
  const int64_t first = int64_t{blockIdx.x} * heads * head_dim;
  const int32_t position = rows[blockIdx.x].position;
  for (int i = static_cast<int>(threadIdx.x); i < half; i += static_cast<int>(blockDim.x)) {
    const Rotation turn = rotation_at(position, frequency[i], attention_factor);
    for (int h = 0; h < heads; ++h) {
      const int64_t at = first + int64_t{h} * head_dim + i;
      const float a = x[at], b = x[at + half];
      out[at] = a * turn.cosine - b * turn.sine;
      out[at + half] = b * turn.cosine + a * turn.sine;
    }
  }
}

}  // namespace

cudaError_t rope(const float* x, const RowPosition* rows, int row_count, int heads, int head_dim,
                 const float* frequency, float attention_factor, float* out, cudaStream_t stream) {
  if (row_count == 0) return cudaSuccess;
  const unsigned threads = head_dim / 2 <= 32 ? 32 : head_dim / 2 <= 64 ? 64 : 128;
  return launch(rotate_rows, dim3(static_cast<unsigned>(row_count)), dim3(threads), 0, stream, x, rows, heads, head_dim,
                frequency, attention_factor, out);
}

}  // namespace glassbox::cuda
