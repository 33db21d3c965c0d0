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
  Round(Blas& blas, const float* x, int64_t x_pitch, int64_t rows, int64_t columns, bool tf32, cudaStream_t stream)
      : blas_(blas), x_(x), x_pitch_(x_pitch), rows_(rows), columns_(columns), tf32_(tf32), stream_(stream) {}

  void add(const Piece& piece) {
    if (piece.bias != nullptr) fills_[fill_count_++] = {piece.bias, piece.outputs, piece.out_pitch, piece.out};
    if (count_ > 0 && continues(pieces_[count_ - 1], piece)) {
      pieces_[count_ - 1].outputs += piece.outputs;
    } else {
      pieces_[count_++] = piece;
    }
  }
  void add(const Piece& piece, const Unpacking& unpacking) {
    add(piece);
    unpackings_[unpacking_count_++] = unpacking;
  }

  // Queues all of it, and is empty again.
  cudaError_t run() {
    if (const cudaError_t e = unpack({unpackings_.data(), unpacking_count_}, stream_)) return e;
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
                            .x_pitch = x_pitch_,
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
  // Whether the two are one matrix with one result.
  static bool continues(const Piece& piece, const Piece& next) {
    return next.weights == piece.weights + piece.outputs * piece.pitch && next.pitch == piece.pitch &&
           next.out == piece.out + piece.outputs && next.out_pitch == piece.out_pitch &&
           (next.bias == nullptr) == (piece.bias == nullptr);
  }
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
  int64_t x_pitch_, rows_, columns_;
  bool tf32_;
  cudaStream_t stream_;
  std::array<Piece, kMostProjections> pieces_{};
  std::array<Unpacking, kMostProjections> unpackings_{};
  std::array<BiasFill, kMostProjections> fills_{};
  size_t count_ = 0, unpacking_count_ = 0, fill_count_ = 0;
};

namespace {

// Of the current device's L2 cache; 0 where it does not say.
size_t cache_bytes() {
  int device = 0, bytes = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess &&
                     cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device) == cudaSuccess;
  if (!known) (void)cudaGetLastError();  // it would be taken for the next call's
  return known ? static_cast<size_t>(bytes) : 0;
}

}  // namespace

Products::Products(cudaStream_t stream, BlasChoice choice, size_t most_scratch)
    : stream_(stream),
      most_scratch_(most_scratch),
      most_ahead_(std::min(most_scratch, cache_bytes() / 2)),
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

bool Products::fits(const Linear& layer, int64_t rows) {
  return Blas::can_multiply(rows, layer.weight.rows(), unpacked_pitch(layer.weight.columns()));
}

const float* Products::prepared(const Tensor& weight) const {
  const auto found = std::find(prepared_.begin(), prepared_.end(), weight.data);
  return found == prepared_.end() ? nullptr : prepared_at_[static_cast<size_t>(found - prepared_.begin())];
}

cudaError_t Products::prepare(std::span<const Linear* const> layers) {
  prepared_ = {};
  if (layers.size() > kMostUnpackings) return cudaErrorInvalidValue;
  std::array<Unpacking, kMostUnpackings> list{};
  std::array<int64_t, kMostUnpackings> begins{};
  size_t count = 0;
  int64_t floats = 0;
  for (const Linear* layer : layers) {
    const Tensor& weight = layer->weight;
    if (weight.empty() || weight.dtype == DType::f32) continue;
    begins[count] = floats;
    list[count++] = {weight.row(0), weight.row_bytes, weight.rows(), weight.columns(), weight.dtype, nullptr};
    floats += weight.rows() * unpacked_pitch(weight.columns());
  }
  if (static_cast<size_t>(floats) > most_ahead_ / sizeof(float)) return cudaSuccess;
  if (const cudaError_t e = reserve(static_cast<size_t>(floats))) return e;
  for (size_t i = 0; i < count; ++i) list[i].out = buffers_.back().f32() + begins[i];
  if (const cudaError_t e = unpack({list.data(), count}, stream_)) return e;
  for (size_t i = 0; i < count; ++i) {
    prepared_[i] = list[i].data;
    prepared_at_[i] = list[i].out;
  }
  return cudaSuccess;
}

cudaError_t Products::linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) {
  const bool fit = std::all_of(layers.begin(), layers.end(),
                               [&](const Projection& projection) { return fits(projection.layer, rows); });
  if (blas_ == nullptr || rows <= kFewRows || layers.empty() || !fit) return cuda::linears(x, layers, rows, stream_);
  if (layers.size() > kMostProjections) return cudaErrorInvalidValue;
  prepared_ = {};  // perhaps of a model that is gone
  // By address, so that the distances between outputs are positive.
  std::array<Place, kMostProjections> places{};
  for (size_t i = 0; i < layers.size(); ++i) {
    places[i] = {layers[i].layer, layers[i].out, layers[i].layer.weight.rows()};
  }
  std::sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(layers.size()),
            [](const Place& a, const Place& b) { return std::less<>()(a.out, b.out); });
  return multiply(x, layers[0].layer.weight.columns(), std::span(places).first(layers.size()), precision, rows);
}

cudaError_t Products::joined(const float* x, int64_t x_pitch, std::span<const Linear* const> layers,
                             Precision precision, int64_t rows, float* out) {
  if (blas_ == nullptr || layers.size() > kMostProjections) return cudaErrorInvalidValue;
  int64_t pitch = 0;
  for (const Linear* layer : layers) pitch += layer->weight.rows();
  std::array<Place, kMostProjections> places{};
  size_t count = 0;
  for (const Linear* layer : layers) {
    places[count++] = {*layer, out, pitch};
    out += layer->weight.rows();
  }
  return multiply(x, x_pitch, std::span(places).first(count), precision, rows);
}

cudaError_t Products::multiply(const float* x, int64_t x_pitch, std::span<const Place> places, Precision precision,
                               int64_t rows) {
  const int64_t columns = places[0].layer.weight.columns(), pitch = unpacked_pitch(columns);
  const int64_t most = std::max(static_cast<int64_t>(most_scratch_ / sizeof(float)), pitch);
  const auto at_hand = [&](const Tensor& weight) {
    return weight.dtype == DType::f32 ? weight.f32() : prepared(weight);
  };
  const bool ready = std::all_of(places.begin(), places.end(),
                                 [&](const Place& place) { return at_hand(place.layer.weight) != nullptr; });
  if (!ready) prepared_ = {};  // these take the buffer
  int64_t unpacked = 0;
  for (const Place& place : places) {
    const Tensor& weight = place.layer.weight;
    if (weight.columns() != columns) return cudaErrorInvalidValue;
    if (at_hand(weight) == nullptr) unpacked += weight.rows() * pitch;
  }
  if (const cudaError_t e = reserve(static_cast<size_t>(std::min(unpacked, most)))) return e;

  Round round(*blas_, x, x_pitch, rows, columns, precision == Precision::fast, stream_);
  int64_t used = 0;
  for (const Place& place : places) {
    const Tensor& weight = place.layer.weight;
    const auto* bias = static_cast<const float*>(place.layer.bias.data);
    const int64_t outputs = weight.rows();
    if (const float* values = at_hand(weight)) {
      const int64_t row = weight.dtype == DType::f32 ? weight.row_bytes / int64_t{sizeof(float)} : pitch;
      round.add({values, row, outputs, bias, place.out, place.pitch});
      continue;
    }
    for (int64_t first = 0, count; first < outputs; first += count) {
      count = std::min(outputs - first, most / pitch);
      if (used + count * pitch > most) {
        if (const cudaError_t e = round.run()) return e;
        used = 0;
      }
      float* to = buffers_.back().f32() + used;
      round.add({to, pitch, count, bias == nullptr ? nullptr : bias + first, place.out + first, place.pitch},
                {weight.row(first), weight.row_bytes, count, columns, weight.dtype, to});
      used += count * pitch;
    }
  }
  return round.run();
}

}  // namespace glassbox::cuda
