// Tensor: a non-owning view of numbers. Buffer: the memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace glassbox {

enum class DType : uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };
inline constexpr int kDTypeCount = 11;

// A quantised type stores `block_size` values in `block_bytes` bytes; plain types have blocks of one value.
struct DTypeInfo {
  std::string_view name;
  int block_size;
  int block_bytes;
  bool quantised() const { return block_size > 1; }
};
const DTypeInfo& dtype_info(DType type);

// Row-major view; the last axis is contiguous. `row_bytes` is the distance between two rows of the last axis.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, 4> shape{};  // slowest first; the first `rank` entries count
  int64_t row_bytes = 0;

  bool empty() const { return data == nullptr; }
  int64_t columns() const { return rank == 0 ? 0 : shape[rank - 1]; }
  int64_t rows() const {  // product of all axes but the last
    int64_t n = 1;
    for (int i = 0; i + 1 < rank; ++i) n *= shape[i];
    return n;
  }
  int64_t size() const { return rows() * columns(); }
  float* f32(int64_t row = 0) const {  // precondition: dtype is f32
    return reinterpret_cast<float*>(static_cast<std::byte*>(data) + row * row_bytes);
  }
  const std::byte* row(int64_t r) const { return static_cast<const std::byte*>(data) + r * row_bytes; }
};

// A contiguous view. Precondition: the last axis is a whole number of blocks of `type`.
Tensor make_tensor(void* data, DType type, std::initializer_list<int64_t> shape);
int64_t row_bytes(DType type, int64_t columns);

// Dequantises `count` values of one row, starting at `first` (a multiple of the block size), to fp32.
// The formats are those of ggml (ggml/src/ggml-common.h describes each block).
void dequantise_row(DType type, const std::byte* row, int64_t first, int64_t count, float* out);

float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  // round to nearest even
float bf16_to_f32(uint16_t bits);

// Owns memory, aligned to 64 bytes and not initialised: the host's, or what Ops::allocate gave.
class Buffer {
 public:
  using Release = void (*)(std::byte*);
  Buffer() = default;
  explicit Buffer(size_t bytes);  // of the host; throws std::bad_alloc
  Buffer(std::byte* data, size_t bytes, Release release) : data_(data, {release}), bytes_(bytes) {}
  std::byte* data() const { return data_.get(); }
  float* f32() const { return reinterpret_cast<float*>(data_.get()); }
  size_t bytes() const { return bytes_; }

 private:
  struct Free {
    Release release;
    void operator()(std::byte* p) const { release(p); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t bytes_ = 0;
};

}  // namespace glassbox
