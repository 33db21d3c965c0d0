// The small wrapper that every kernel of this backend is written in, and its portable version, in the vector types that
// GCC and Clang have for every processor. simd_avx2.h and simd_avx512.h are the same list of functions over registers.
// Kernels are templates over the wrapper's type: one text, and functions of their own for each instruction set.
#pragma once

#include <stdint.h>
#include <string.h>

#include "kernels/cpu/simd_tags.h"
#include "kernels/tensor.h"

namespace glassbox::cpu {

struct Portable {
  static constexpr const char* kName = "portable";
  static constexpr int kLanes = 4;
  static constexpr int kTileWeights = 2;  // weight rows and rows of x that one pass of a product works on
  static constexpr int kTileRows = 2;
  static constexpr int kPackedRows = 4;          // rows of x that a loaded vector of packed weights meets
  static constexpr int kAttentionQueries = 6;    // queries of attention that use a loaded key or value together
  static constexpr int kAttentionRegisters = 2;  // of keys or values, at a time

  using F = float __attribute__((vector_size(16)));    // kLanes floats
  using I = int32_t __attribute__((vector_size(16)));  // kLanes integers
  using U = uint32_t __attribute__((vector_size(16)));
  struct Block {  // the 32 quants of one block, unsigned
    uint8_t v[32];
  };
  using Bytes = uint8_t __attribute__((vector_size(16)));  // four quants in each lane

  // ---- floats. `partial`: the first n < kLanes lanes; a load puts 0 in the others.
  static F zero() { return F{}; }
  static F set1(float value) { return F{value, value, value, value}; }
  static F load(const float* p) {
    F a;
    memcpy(&a, p, sizeof a);
    return a;
  }
  static F load_partial(const float* p, int n) {
    return each([&](int i) { return i < n ? p[i] : 0.0f; });
  }
  static void store(float* p, F a) { memcpy(p, &a, sizeof a); }
  static void store_partial(float* p, int n, F a) {
    for (int i = 0; i < n; ++i) p[i] = a[i];
  }
  static F load(const uint16_t* p, F16Tag) {
    return each([&](int i) { return f16(p[i]); });
  }
  static F load_partial(const uint16_t* p, int n, F16Tag) {
    return each([&](int i) { return i < n ? f16(p[i]) : 0.0f; });
  }
  static F load(const uint16_t* p, Bf16Tag) {
    return each([&](int i) { return bits_to_float(static_cast<uint32_t>(p[i]) << 16); });
  }
  static F load_partial(const uint16_t* p, int n, Bf16Tag) {
    return each([&](int i) { return i < n ? bits_to_float(static_cast<uint32_t>(p[i]) << 16) : 0.0f; });
  }
  static void store_f16(uint16_t* p, F a) { store_f16_partial(p, kLanes, a); }
  static void store_f16_partial(uint16_t* p, int n, F a) {
    for (int i = 0; i < n; ++i) p[i] = f32_to_f16(a[i]);
  }
  // f16_to_f32 without branches, so that a compiler can do several at once. With its exponent in the place of a
  // float's, a half is 2⁻¹¹² of what it should be, subnormal or not.
  static float f16(uint16_t bits) {
    const float magnitude = bits_to_float((bits & 0x7FFFu) << 13) * 0x1p112f;
    const uint32_t special = (bits & 0x7C00u) == 0x7C00u ? 0x7F800000u : 0u;  // infinite or no number
    return bits_to_float(float_to_bits(magnitude) | special | (bits & 0x8000u) << 16);
  }

  // Four half floats, or four pairs of them, at p, p + stride and so on.
  static void four_halves(const void* p, int64_t stride, float* out) {
    for (int i = 0; i < 4; ++i) out[i] = half_at(static_cast<const char*>(p) + i * stride);
  }
  static void four_pairs(const void* p, int64_t stride, float* first, float* second) {
    four_halves(p, stride, first);
    four_halves(static_cast<const char*>(p) + 2, stride, second);
  }

  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }  // fused where there is an instruction for it
  // Where one of the two is no number the result is the second one.
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static F abs(F a) { return a < 0 ? -a : a; }
  static F copy_sign(F magnitude, F sign) { return sign < 0 ? -magnitude : magnitude; }  // precondition: magnitude ≥ 0
  static F round(F a) { return (a + kRounder) - kRounder; }  // to the nearest integer, ties to even; |a| < 2²²
  static F pow2(F n) {  // 2ⁿ for integers −126 ≤ n ≤ 127, anything for no number
    const F low = {-126, -126, -126, -126};
    const I exponent = __builtin_convertvector(n >= low ? n : low, I) + 127;
    const I bits = exponent << 23;
    F power;
    memcpy(&power, &bits, sizeof power);
    return power;
  }

  // a · 2ⁿ in two steps, because 2ⁿ alone need not be a normal float where the result still is one.
  static F times_pow2(F a, F n) {
    const F n1 = round(n * 0.5f);
    return a * pow2(n1) * pow2(n - n1);
  }

  // Sums of the lanes, in one order: sum4 and sum16 give the bits of single ones.
  static float sum(F a) { return (a[0] + a[1]) + (a[2] + a[3]); }
  static void sum4(const F (&a)[4], float* out) {
    for (int i = 0; i < 4; ++i) out[i] = sum(a[i]);
  }
  static void sum16(const F (&a)[4][4], float* const (&out)[4]) {
    for (int i = 0; i < 4; ++i) sum4(a[i], out[i]);
  }
  static float max_lane(F a) {
    const float low = a[0] > a[1] ? a[0] : a[1], high = a[2] > a[3] ? a[2] : a[3];
    return low > high ? low : high;
  }

  // ---- quantised blocks
  static Block load_block(const void* p) {
    Block b;
    memcpy(b.v, p, sizeof b.v);
    return b;
  }
  static Block flip_sign(Block a) {  // signed bytes to unsigned ones with a bias of 128
    return each_byte([&](int i) { return a.v[i] ^ 0x80; });
  }
  static Block merge(Block a, Block b) {
    return each_byte([&](int i) { return a.v[i] | b.v[i]; });
  }
  static Block nibbles(const uint8_t* p) {  // 16 low nibbles, then 16 high ones
    return each_byte([&](int i) { return i < 16 ? p[i] & 15 : p[i - 16] >> 4; });
  }
  static Block bit_flags(const uint8_t* p) {  // byte i is 16 where bit i of the four bytes is set, else 0
    return each_byte([&](int i) { return ((p[i / 8] >> (i % 8)) & 1) * 16; });
  }
  static Block field(Block a, int shift, int mask) {  // (byte >> shift) & mask
    return each_byte([&](int i) { return (a.v[i] >> shift) & mask; });
  }
  static Block times16(Block a) {  // precondition: every byte < 16
    return each_byte([&](int i) { return a.v[i] << 4; });
  }

  // ---- packed weights: four columns of kLanes rows in a Bytes
  static Bytes load_bytes(const void* p) {
    Bytes b;
    memcpy(&b, p, sizeof b);
    return b;
  }
  static Bytes broadcast4(const int8_t* p) {  // the same four values of x in every lane
    int32_t four;
    memcpy(&four, p, sizeof four);
    return as<Bytes>(I{four, four, four, four});
  }
  static void nibbles_of(Bytes a, Bytes& low, Bytes& high) {
    low = a & 15;
    high = a >> 4;
  }
  static Bytes flags(const void* p) {  // byte i is 16 where bit i of the bytes at p is set, else 0
    constexpr Bytes kBit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8_t b[2];
    memcpy(b, p, sizeof b);
    const Bytes bits = {b[0], b[0], b[0], b[0], b[0], b[0], b[0], b[0], b[1], b[1], b[1], b[1], b[1], b[1], b[1], b[1]};
    return as<Bytes>((bits & kBit) != 0) & 16;
  }
  static Bytes twice(Bytes a) { return a + a; }  // precondition: every byte < 128
  static Bytes merge_bytes(Bytes a, Bytes b) { return a | b; }

  // start, and then dot for all columns: Σ (w − kBias)·x in each lane, exactly; w unsigned, x signed. `sum` is Σ x of
  // what follows: where the instructions multiply without the bias, its part depends on x alone and is put in first.
  template <int kBias>
  static I start(int32_t) {
    return I{};
  }
  template <int kBias>
  static I dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, I sum) {
    if constexpr (kBias == 128) return sum + pair_sums(products<kBias>(w0, x0)) + pair_sums(products<kBias>(w1, x1));
    // Up to 6 bits: four products of at most 63 · 127 fit in 16 bits.
    return sum + pair_sums(products<kBias>(w0, x0) + products<kBias>(w1, x1));
  }
  static F to_float(I a) { return __builtin_convertvector(a, F); }
  // out[i] = x[i] · inverse rounded to the nearest integer, for 16 values; returns their sum.
  static int quantise16(const float* x, float inverse, int8_t* out) {
    int sum = 0;
    for (int i = 0; i < 16; ++i) {
      const float scaled = (x[i] * inverse + kRounder) - kRounder;
      out[i] = static_cast<int8_t>(scaled > 127.0f ? 127.0f : scaled >= -128.0f ? scaled : -128.0f);
      sum += out[i];
    }
    return sum;
  }
  static void widen(Block a, F out[32 / kLanes]) {  // the 32 quants as floats
    for (int i = 0; i < 32; ++i) out[i / kLanes][i % kLanes] = static_cast<float>(a.v[i]);
  }

 private:
  // 1.5 · 2²³: beside it the floats lie 1 apart, so that adding it rounds.
  static constexpr float kRounder = 12582912.0f;

  using Words = uint16_t __attribute__((vector_size(16)));  // two in each lane; they wrap around
  using SignedWords = int16_t __attribute__((vector_size(16)));

  template <class To, class From>
  static To as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
  }
  // Of each two neighbouring bytes the sum of (w − kBias)·x: at most 2 · 128 · 127.
  template <int kBias>
  static Words products(Bytes w, Bytes x) {
    const auto low_x = as<Words>(as<SignedWords>(as<Words>(x) << 8) >> 8), high_x = as<Words>(as<SignedWords>(x) >> 8);
    return ((as<Words>(w) & 255) - uint16_t{kBias}) * low_x + ((as<Words>(w) >> 8) - uint16_t{kBias}) * high_x;
  }
  static I pair_sums(Words a) {  // the two words of each lane, as signed numbers
    return (as<I>(as<U>(a) << 16) >> 16) + (as<I>(a) >> 16);
  }

  static float bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  static float half_at(const char* p) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return f16(bits);
  }
  static uint32_t float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
  }
  template <class Value>
  static F each(Value value) {
    F result;
    for (int i = 0; i < kLanes; ++i) result[i] = value(i);
    return result;
  }
  template <class Value>
  static Block each_byte(Value value) {
    Block result;
    for (int i = 0; i < 32; ++i) result.v[i] = static_cast<uint8_t>(value(i));
    return result;
  }
};

}  // namespace glassbox::cpu
