// Exponential and hyperbolic tangent over registers, accurate to about one unit in the last place and the same on every
// call: the C library's differ from machine to machine.
#pragma once

namespace glassbox::cpu {

template <class S>
struct VectorMath {
  using F = typename S::F;

  // eˣ = 2ⁿ·eʳ with n = round(x / ln 2), so |r| ≤ ½ ln 2, where eight terms of the series leave less than 2⁻²⁷ out.
  // Below −104 it is 0, above 88.73 it is ∞, of no number it is no number.
  static F exp(F x) {
    const Reduced e = reduce(S::min(S::set1(90.0f), S::max(S::set1(-105.0f), x)));
    return S::times_pow2(S::add(e.expm1_r, S::set1(1.0f)), e.n);
  }

  // tanh|y| = m / (m + 2) with m = e^(2|y|) − 1, where m is made without cancellation: 2ⁿ(eʳ − 1) + (2ⁿ − 1).
  static F tanh(F y) {
    const F t = S::min(S::set1(20.0f), S::mul(S::set1(2.0f), S::abs(y)));  // tanh(10) is 1 in fp32
    const Reduced e = reduce(t);
    const F power = S::pow2(e.n);
    const F m = S::fma(power, e.expm1_r, S::sub(power, S::set1(1.0f)));
    return S::copy_sign(S::div(m, S::add(m, S::set1(2.0f))), y);
  }

  static F silu(F x) { return S::div(x, S::add(S::set1(1.0f), exp(S::sub(S::zero(), x)))); }

  // ½(1 + tanh u) = 1 / (1 + e^(−2u)), with no cancellation where tanh is near −1.
  static F gelu_tanh(F x) {
    constexpr float kTwoRootTwoOverPi = 1.5957691216057308f;
    const F cube = S::mul(S::mul(x, x), x);
    const F twice_u = S::mul(S::set1(kTwoRootTwoOverPi), S::fma(S::set1(0.044715f), cube, x));
    return S::div(x, S::add(S::set1(1.0f), exp(S::sub(S::zero(), twice_u))));
  }

 private:
  struct Reduced {
    F n;
    F expm1_r;
  };
  static Reduced reduce(F x) {
    constexpr float kLog2E = 1.4426950408889634f;
    constexpr float kLn2High = 0.693359375f;  // nine bits: its product with n is exact
    constexpr float kLn2Low = -2.12194440e-4f;
    const F n = S::round(S::mul(x, S::set1(kLog2E)));
    const F r = S::fma(n, S::set1(-kLn2Low), S::fma(n, S::set1(-kLn2High), x));
    F series = S::set1(1.0f / 5040);
    series = S::fma(series, r, S::set1(1.0f / 720));
    series = S::fma(series, r, S::set1(1.0f / 120));
    series = S::fma(series, r, S::set1(1.0f / 24));
    series = S::fma(series, r, S::set1(1.0f / 6));
    series = S::fma(series, r, S::set1(0.5f));
    return {n, S::fma(S::mul(r, r), series, r)};
  }
};

}  // namespace glassbox::cpu
