// eˣ for x ≤ 0, within 2 units of the last place, with the same bits on every machine and device, so that cuts and
// draws do not depend on a mathematical library. x = n·ln 2 + r with |r| ≤ ½ ln 2 (Cody & Waite 1980), and Taylor's
// series of eʳ up to r¹³, whose rest is below 1e-17.
#pragma once

namespace glassbox {

inline constexpr double kExpLowest = -708.0;  // below it doubles have no full precision left: the result is 0

// eˣ = series · 2ⁿ; the low bits of `shifted` are n, which goes into the exponent of `series`.
template <class Number>
struct ExpParts {
  Number shifted, series;
};

// Number: a double or a vector of them, at least kExpLowest. Each operation is rounded by itself: whoever includes this
// is compiled without contraction (-ffp-contract=off, nvcc's --fmad=false).
template <class Number>
constexpr ExpParts<Number> exp_parts(Number x) {
  constexpr double kLog2e = 0x1.71547652b82fep0;
  constexpr double kLn2High = 0x1.62e42fee00000p-1;  // few bits, so that n·kLn2High is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kRounder = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  constexpr double kTaylor[] = {1.0 / 479001600.0,
                                1.0 / 39916800.0,
                                1.0 / 3628800.0,
                                1.0 / 362880.0,
                                1.0 / 40320.0,
                                1.0 / 5040.0,
                                1.0 / 720.0,
                                1.0 / 120.0,
                                1.0 / 24.0,
                                1.0 / 6.0,
                                0.5,
                                1.0,
                                1.0};
  const Number shifted = x * kLog2e + kRounder;
  const Number n = shifted - kRounder;
  const Number r = (x - n * kLn2High) - n * kLn2Low;
  Number series = r * (1.0 / 6227020800.0) + kTaylor[0];
  for (int i = 1; i < 13; ++i) series = series * r + kTaylor[i];
  return {shifted, series};
}

}  // namespace glassbox
