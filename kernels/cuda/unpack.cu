// Weights of any format as fp32, for a library that knows no other; and biases, which its products are added to.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/formats.h"
#include "kernels/cuda/reductions.h"

namespace glassbox::cuda {
namespace {

constexpr int kThreads = 256;

// Blocks of threads first_block[i] … first_block[i + 1] along x work on part i.
template <class Part, size_t kMost>
struct Parts {
  Part of[kMost];
  unsigned first_block[kMost + 1];
};

template <class Part, size_t kMost>
__device__ int own_part(const Parts<Part, kMost>& parts) {
  int i = 0;
  while (blockIdx.x >= parts.first_block[i + 1]) ++i;
  return i;
}

// blocks_of: how many blocks of threads a part takes.
template <size_t kMost, class Part, class BlocksOf>
Parts<Part, kMost> divide(std::span<const Part> list, const BlocksOf& blocks_of) {
  Parts<Part, kMost> parts{};
  unsigned blocks = 0;
  for (size_t i = 0; i < kMost; ++i) {
    parts.first_block[i] = blocks;
    if (i >= list.size()) continue;
    parts.of[i] = list[i];
    blocks += static_cast<unsigned>((blocks_of(list[i]) + kThreads - 1) / kThreads);
  }
  parts.first_block[kMost] = blocks;
  return parts;
}

// One thread an octet; those of the rows lie one after the other. Two lanes exchange half of theirs, so that both store
// side by side, and sixteen of such pairs whole sectors of 32 bytes.
__global__ void unpack_octets(Parts<Unpacking, kMostUnpackings> parts) {
  const int i = own_part(parts);
  const Unpacking& part = parts.of[i];
  const int64_t columns = part.columns;
  const auto octets_per_row = static_cast<unsigned>(unpacked_pitch(columns) / kOctet);
  const unsigned octet = (blockIdx.x - parts.first_block[i]) * kThreads + threadIdx.x;
  const unsigned octets = static_cast<unsigned>(part.outputs) * octets_per_row;
  float values[kOctet] = {};
  if (octet < octets) {
    const std::byte* row = part.data + int64_t{octet / octets_per_row} * part.row_bytes;
    const int64_t first = int64_t{octet % octets_per_row} * kOctet;
    const int count = columns - first < kOctet ? static_cast<int>(columns - first) : kOctet;
    with_format(part.type, [&](auto format) { format.unpack(row, first, count, values); });
  }
  constexpr int kHalf = kOctet / 2;
  const bool odd = octet % 2 != 0;
  float received[kHalf];
  for (int v = 0; v < kHalf; ++v) received[v] = __shfl_xor_sync(kAllLanes, odd ? values[v] : values[v + kHalf], 1);
  const unsigned pair = octet & ~1u;
  float* out = part.out + int64_t{pair} * kOctet + (odd ? kHalf : 0);
  if (pair < octets) {
    *reinterpret_cast<float4*>(out) = odd ? make_float4(received[0], received[1], received[2], received[3])
                                          : make_float4(values[0], values[1], values[2], values[3]);
  }
  if (pair + 1 < octets) {
    *reinterpret_cast<float4*>(out + kOctet) = odd ? make_float4(values[4], values[5], values[6], values[7])
                                                   : make_float4(received[0], received[1], received[2], received[3]);
  }
}

constexpr unsigned kRowGroups = 16;

// One thread a column, through every 16th row.
__global__ void fill_columns(Parts<BiasFill, kMostProjections> parts, int64_t rows) {
  const int i = own_part(parts);
  const BiasFill& part = parts.of[i];
  const int64_t column = int64_t{blockIdx.x - parts.first_block[i]} * kThreads + threadIdx.x;
  if (column >= part.outputs) return;
  const float bias = part.bias[column];
  for (int64_t r = blockIdx.y; r < rows; r += kRowGroups) part.out[r * part.pitch + column] = bias;
}

}  // namespace

cudaError_t unpack(std::span<const Unpacking> list, cudaStream_t stream) {
  if (list.empty()) return cudaSuccess;
  if (list.size() > kMostUnpackings) return cudaErrorInvalidValue;
  const auto parts = divide<kMostUnpackings>(
      list, [](const Unpacking& part) { return part.outputs * (unpacked_pitch(part.columns) / kOctet); });
  return launch(unpack_octets, dim3(parts.first_block[kMostUnpackings]), dim3(kThreads), 0, stream, parts);
}

cudaError_t fill_rows(std::span<const BiasFill> list, int64_t rows, cudaStream_t stream) {
  if (list.empty() || rows == 0) return cudaSuccess;
  if (list.size() > kMostProjections) return cudaErrorInvalidValue;
  const auto parts = divide<kMostProjections>(list, [](const BiasFill& part) { return part.outputs; });
  return launch(fill_columns, dim3(parts.first_block[kMostProjections], kRowGroups), dim3(kThreads), 0, stream, parts,
                rows);
}

}  // namespace glassbox::cuda
