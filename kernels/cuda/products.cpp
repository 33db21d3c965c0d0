#include "kernels/cuda/products.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>

#include "kernels/cuda/cuda_kernels.h"

namespace glassbox::cuda {

// Outputs of one layer, some or all of them.
struct Products::Piece {
  const float* weights;  // [outputs, pitch]
  int64_t pitch, outputs;
  const float* bias;  // [outputs] or null
  float* out;         // [rows, out_pitch]
  int64_t out_pitch;
};

// What is unpacked, filled and multiplied together: of each layer at most one piece.
class Products::Round {
 public:
  Round(Blas& blas, const float* x, int64_t rows, int64_t columns, bool tf32, cudaStream_t stream)
      : blas_(blas), x_(x), rows_(rows), columns_(columns), tf32_(tf32), stream_(stream) {}

  void add(const Piece& piece) {
    pieces_[count_++] = piece;
    if (piece.bias != nullptr) fills_[fill_count_++] = {piece.bias, piece.outputs, piece.out_pitch, piece.out};
  }
  void add(const Piece& piece, const Unpacking& unpacking) {
    add(piece);
    unpackings_[unpacking_count_++] = unpacking;
  }

  // Queues all of it, and is empty again.
  cudaError_t run() {
    if (const cudaError_t e = unpack({unpackings_.data(), unpacking_count_}, columns_, stream_)) return e;
    if (const cudaError_t e = fill_rows({fills_.data(), fill_count_}, rows_, stream_)) return e;
    for (size_t first = 0, end; first < count_; first = end) {
      end = batch_end(first);
      const Piece& piece = pieces_[first];
      Blas::Product product{.x = x_,
                            .weights = piece.weights,
                            .out = piece.out,
                            .rows = rows_,
                            .outputs = piece.outputs,
                            .columns = columns_,
                            .weight_pitch = piece.pitch,
                            .out_pitch = piece.out_pitch,
                            .count = static_cast<int>(end - first),
                            .accumulate = piece.bias != nullptr,
                            .tf32 = tf32_};
      if (product.count > 1) {
        product.weight_stride = distance(piece.weights, pieces_[first + 1].weights);
        product.out_stride = distance(piece.out, pieces_[first + 1].out);
      }
      if (const cudaError_t e = blas_.multiply(product)) return e;
    }
    count_ = fill_count_ = unpacking_count_ = 0;
    return cudaSuccess;
  }

 private:
  // In floats; the two may be of different arrays.
  static int64_t distance(const float* a, const float* b) {
    return (static_cast<int64_t>(reinterpret_cast<uintptr_t>(b)) -
            static_cast<int64_t>(reinterpret_cast<uintptr_t>(a))) /
           static_cast<int64_t>(sizeof(float));
  }
  // Pieces of one shape whose weights and outputs lie equally far apart are one call: two small products side by side
  // use multiprocessors that one leaves idle. Distances are multiples of 16 bytes, so that all have the first one's
  // alignment.
  size_t batch_end(size_t first) const {
    const Piece& a = pieces_[first];
    size_t end = first + 1;
    for (; end < count_; ++end) {
      const Piece &before = pieces_[end - 1], &next = pieces_[end];
      const int64_t weights = distance(before.weights, next.weights), out = distance(before.out, next.out);
      const bool alike = next.outputs == a.outputs && next.pitch == a.pitch && next.out_pitch == a.out_pitch &&
                         (next.bias == nullptr) == (a.bias == nullptr);
      if (!alike || weights <= 0 || out <= 0 || weights % 4 != 0 || out % 4 != 0) break;
      if (end > first + 1 && (weights != distance(a.weights, pieces_[first + 1].weights) ||
                              out != distance(a.out, pieces_[first + 1].out))) {
        break;
      }
    }
    return end;
  }

  Blas& blas_;
  const float* x_;
  int64_t rows_, columns_;
  bool tf32_;
  cudaStream_t stream_;
  std::array<Piece, kMostProjections> pieces_{};
  std::array<Unpacking, kMostProjections> unpackings_{};
  std::array<BiasFill, kMostProjections> fills_{};
  size_t count_ = 0, unpacking_count_ = 0, fill_count_ = 0;
};

Products::Products(cudaStream_t stream, BlasChoice choice, size_t most_scratch)
    : stream_(stream),
      most_scratch_(most_scratch),
      blas_(choice == BlasChoice::never ? nullptr : Blas::start(stream)) {}

std::string Products::description() const {
  return blas_ == nullptr ? "own products" : blas_->name();
}

cudaError_t Products::reserve(size_t floats) {
  const size_t bytes = floats * sizeof(float), have = buffers_.empty() ? 0 : buffers_.back().bytes();
  if (bytes <= have) return cudaSuccess;
  const size_t size = std::max(bytes, std::min(2 * have, most_scratch_));
  void* memory = nullptr;
  if (const cudaError_t e = cudaMalloc(&memory, size)) return e;
  buffers_.emplace_back(static_cast<std::byte*>(memory), size, [](std::byte* p) { cudaFree(p); });
  return cudaSuccess;
}

cudaError_t Products::linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) {
  if (blas_ == nullptr || rows <= kFewRows || layers.empty()) return cuda::linears(x, layers, rows, stream_);
  if (layers.size() > kMostProjections) return cudaErrorInvalidValue;
  const int64_t columns = layers[0].layer.weight.columns(), pitch = unpacked_pitch(columns);
  const int64_t most = std::max(static_cast<int64_t>(most_scratch_ / sizeof(float)), pitch);
  // By address, so that the distances between outputs are positive.
  std::array<const Projection*, kMostProjections> order{};
  int64_t unpacked = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Tensor& weight = layers[i].layer.weight;
    if (weight.columns() != columns) return cudaErrorInvalidValue;
    if (!Blas::can_multiply(rows, weight.rows(), pitch)) return cuda::linears(x, layers, rows, stream_);
    if (weight.dtype != DType::f32) unpacked += weight.rows() * pitch;
    order[i] = &layers[i];
  }
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(layers.size()),
            [](const Projection* a, const Projection* b) { return std::less<>()(a->out, b->out); });
  if (const cudaError_t e = reserve(static_cast<size_t>(std::min(unpacked, most)))) return e;

  Round round(*blas_, x, rows, columns, precision == Precision::fast, stream_);
  int64_t used = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Projection& projection = *order[i];
    const Tensor& weight = projection.layer.weight;
    const auto* bias = static_cast<const float*>(projection.layer.bias.data);
    const int64_t outputs = weight.rows();
    if (weight.dtype == DType::f32) {
      round.add({weight.f32(), weight.row_bytes / int64_t{sizeof(float)}, outputs, bias, projection.out, outputs});
      continue;
    }
    for (int64_t first = 0, count; first < outputs; first += count) {
      count = std::min(outputs - first, most / pitch);
      if (used + count * pitch > most) {
        if (const cudaError_t e = round.run()) return e;
        used = 0;
      }
      float* to = buffers_.back().f32() + used;
      round.add({to, pitch, count, bias == nullptr ? nullptr : bias + first, projection.out + first, outputs},
                {weight.row(first), weight.row_bytes, count, weight.dtype, to});
      used += count * pitch;
    }
  }
  return round.run();
}

}  // namespace glassbox::cuda
