// How far the values of one operation may be from the reference's: the one table of it, for the parity suite and for
// the tests of one backend alone. ggml's own backend tests ask for 1e-7 of copies and norms and 5e-4 of quantised
// products; most of ours ask for more, because what is left is fp32 rounding, which one wrong value among some thousand
// exceeds.
#pragma once

#include <cstdint>

namespace glassbox::testing {

// What an operation's output is. The bounds are of the normalised mean squared error.
enum class Kind : uint8_t {
  same,       // moved, rounded to a half, or made by one addition or multiplication
  unpacked,   // weights as fp32
  along_row,  // norms and rotations
  activated,  // silu, gelu, soft-cap
  scores,
  weights,  // of attention
  mixed,    // values summed with them
  products  // of a linear layer: LinearBounds, which depend on what a backend rounds, are for these
};

struct Bound {
  double nmse = 0;            // 0: the same bits
  bool zeros_remain = false;  // where the truth is 0, nothing else will do
};

constexpr Bound bound_of(Kind kind) {
  switch (kind) {
    case Kind::same:
      return {};  // IEEE 754 leaves no choice
    case Kind::unpacked:
      return {1e-12};  // scale · quant + minimum, with or without a fused multiply-add
    case Kind::along_row:
      return {1e-12};  // fp32 sums along a row, roots, sines and cosines of a few ulp
    case Kind::activated:
      return {1e-12};  // exponentials of a few ulp
    case Kind::scores:
      return {5e-12};  // sums of D products, of which a few may all be near 0
    case Kind::weights:
    case Kind::mixed:
      return {1e-11, true};  // the exponential magnifies the rounding of scores; what is hidden or cut is 0
    case Kind::products:
      break;
  }
  return {1e-12};
}

// What fast precision rounds before it multiplies.
enum class Rounding : uint8_t { none, inputs_to_8_bits, both_to_tf32 };

// Of products: each value as a part of the sum of the products' magnitudes, because a single one may cancel; and where
// there are many, all of them by the normalised mean squared error.
struct LinearBounds {
  double value, all;
};
// fp32 sums of K products against sums in double precision.
inline constexpr LinearBounds kFp32Bounds{4e-7, 1e-12};
// Of two inputs with 10 bits of mantissa, cut off or rounded, the product is at most 2⁻⁹ wrong. Where they are cut off,
// all products are too small, on the average by 7·10⁻⁴, and so are their sums: their mean square is 10⁻⁶ at the most.
inline constexpr LinearBounds kTf32Bounds{1.0 / 512 + 1e-6, 2e-6};
// Half a step of 8 bits is 1/254 of the largest of 32 values, which may be four times the mean of their magnitudes. Of
// all values ggml's bound for quantised products.
inline constexpr LinearBounds kEightBitBounds{1.0 / 60, 5e-4};

constexpr const LinearBounds& bounds_of(Rounding rounding) {
  return rounding == Rounding::none               ? kFp32Bounds
         : rounding == Rounding::inputs_to_8_bits ? kEightBitBounds
                                                  : kTf32Bounds;
}

}  // namespace glassbox::testing
