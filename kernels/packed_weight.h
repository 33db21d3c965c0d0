// Quantised weights as the fast CPU kernels read them: sixteen rows side by side, so that one register holds the same
// four columns of sixteen rows. A product then broadcasts four values of x, every lane adds up a row of its own, and no
// sum has to be taken across lanes at the end.
//
// Rows form stripes of kStripeRows; the last one is filled up with zeros. A stripe has its blocks of 32 columns in
// order, each as quants and then factors, so that memory is read in one stream. With u(r, k) the unsigned quant of row r
// and column k of a block, value = scale · (u − bias) + minimum, the quants are
//   4 to 6 bits  four vectors of 64 bytes: byte 4r + j of vector v holds the low four bits of u(r, 4v + j) in its low
//                nibble and of u(r, 16 + 4v + j) in its high one; then for each further bit eight words of 64 bits,
//                whose bit 4r + j belongs to u(r, 4g + j) of word g
//   8 bits       eight vectors: byte 4r + j of vector g is u(r, 4g + j)
// and the factors 16 scales (two lots where the halves of a block have their own), 16 minima where there are any; half
// floats where the file has them, else fp32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace glassbox {

inline constexpr int kStripeRows = 16;

struct PackedLayout {
  int bits = 0;      // 4, 5, 6 or 8; 0: a type that is not packed
  int bias = 0;
  int scales = 1;    // a block of 32
  bool minimum = false;
  bool half = true;  // scales and minima as half floats

  // consteval: a function that is called at run time would exist once for each instruction set, and the linker would
  // pick any of them for everybody.
  consteval int quant_bytes() const { return bits == 8 ? 512 : 256 + 64 * (bits - 4); }
  consteval int factor_bytes() const { return kStripeRows * (half ? 2 : 4); }  // of one lot of scales or minima
  consteval int block_bytes() const { return quant_bytes() + factor_bytes() * (scales + (minimum ? 1 : 0)); }
};

consteval PackedLayout packed_layout(DType type) {
  switch (type) {
    case DType::q8_0: return {8, 128, 1, false, true};
    case DType::q4_0: return {4, 8, 1, false, true};
    case DType::q4_1: return {4, 0, 1, true, true};
    case DType::q5_0: return {5, 16, 1, false, true};
    case DType::q5_1: return {5, 0, 1, true, true};
    case DType::q4_k: return {4, 0, 1, true, false};
    case DType::q5_k: return {5, 0, 1, true, false};
    case DType::q6_k: return {6, 32, 2, false, false};
    default: return {};
  }
}

// Of a quantised type; a multiple of 64. 0 for the others, which are not packed.
int64_t packed_stripe_bytes(DType type, int64_t columns);
size_t packed_bytes(const Tensor& weight);
// Packs a quantised weight. `to`: packed_bytes(weight), 64-byte aligned.
void pack_weight(const Tensor& weight, std::byte* to);

}  // namespace glassbox
