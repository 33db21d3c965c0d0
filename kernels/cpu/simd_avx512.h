// AVX-512 (F, BW, VL, DQ, VNNI): sixteen lanes, four quantised blocks a step. simd_portable.h says what each function
// means.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/simd_blocks_avx2.h"

namespace glassbox::cpu {

struct Avx512 : Avx2Blocks<Avx512> {
  static constexpr const char* kName = "avx512";
  static constexpr int kLanes = 16;
  static constexpr int kStepBlocks = 4;
  static constexpr int kTileWeights = 4;  // 16 sums, 8 registers of x, 4 of its scales and 4 to work with make 32
  static constexpr int kTileRows = 4;
  static constexpr int kTileSlab = 4;

  using F = __m512;
  using I = __m512i;
  using Bytes = __m512i;
  using Mask = __mmask16;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load_partial(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static void store_partial(float* p, int n, F v) { _mm512_mask_storeu_ps(p, first(n), v); }

  static F load(const uint16_t* p, F16Tag) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_partial(const uint16_t* p, int n, F16Tag) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
  }
  static F load(const uint16_t* p, Bf16Tag) {
    return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_partial(const uint16_t* p, int n, Bf16Tag) { return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p)); }
  static void store_f16(uint16_t* p, F v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_f16_partial(uint16_t* p, int n, F v) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F copy_sign(F magnitude, F sign) {
    return _mm512_or_ps(magnitude, _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
  }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F pow2(F n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
  }

  // Halves are added again and again: 16 lanes, 8, 4, 2, 1. Several sums share the registers of each level.
  static float sum(F v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static void sum4(const F (&v)[4], float* out) {
    const F four = fold_to_fours(v);
    const F two = add(four, _mm512_permute_ps(four, 0x4E));
    const F one = add(two, _mm512_permute_ps(two, 0xB1));
    const __m512i firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, one)));
  }
  static void sum16(const F (&v)[4][4], float* const (&out)[4]) {
    F four[4];
    for (int i = 0; i < 4; ++i) {
      const F column[4] = {v[0][i], v[1][i], v[2][i], v[3][i]};
      four[i] = fold_to_fours(column);
    }
    const F two01 = add(_mm512_shuffle_ps(four[0], four[1], 0x44), _mm512_shuffle_ps(four[0], four[1], 0xEE));
    const F two23 = add(_mm512_shuffle_ps(four[2], four[3], 0x44), _mm512_shuffle_ps(four[2], four[3], 0xEE));
    const F one = add(_mm512_shuffle_ps(two01, two23, 0x88), _mm512_shuffle_ps(two01, two23, 0xDD));
    _mm_storeu_ps(out[0], _mm512_castps512_ps128(one));
    _mm_storeu_ps(out[1], _mm512_extractf32x4_ps(one, 1));
    _mm_storeu_ps(out[2], _mm512_extractf32x4_ps(one, 2));
    _mm_storeu_ps(out[3], _mm512_extractf32x4_ps(one, 3));
  }
  static float max_lane(F v) {
    return max_lanes(_mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
  }

  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static F expand(const float* p) {
    const __m512i lane = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(lane, _mm512_castps128_ps512(_mm_loadu_ps(p)));
  }
  static void join(const Block* block, Bytes& first_halves, Bytes& second_halves) {
    const __m512i b01 = _mm512_inserti64x4(_mm512_castsi256_si512(block[0]), block[1], 1);
    const __m512i b23 = _mm512_inserti64x4(_mm512_castsi256_si512(block[2]), block[3], 1);
    first_halves = _mm512_shuffle_i64x2(b01, b23, 0x88);
    second_halves = _mm512_shuffle_i64x2(b01, b23, 0xDD);
  }
  static void nibble_step(const uint8_t* p, int64_t stride, Bytes& first_halves, Bytes& second_halves) {
    const auto at = [&](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i * stride)); };
    const __m256i b01 = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
    const __m256i b23 = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
    const __m512i all = _mm512_inserti64x4(_mm512_castsi256_si512(b01), b23, 1);
    first_halves = _mm512_and_si512(all, _mm512_set1_epi8(15));
    second_halves = _mm512_and_si512(_mm512_srli_epi16(all, 4), _mm512_set1_epi8(15));
  }
  static Bytes load_bytes(const void* p) { return _mm512_loadu_si512(p); }
  static void store_bytes(void* p, Bytes v) { _mm512_storeu_si512(p, v); }

  template <int kBias>
  static I correction(Bytes x) {
    if constexpr (kBias == 0) return _mm512_setzero_si512();
    const __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(static_cast<char>(kBias)), x);
    return _mm512_sub_epi32(_mm512_setzero_si512(), dot);
  }
  template <int kBias>
  static I correction(Bytes x0, Bytes x1) {
    if constexpr (kBias == 0) return _mm512_setzero_si512();
    const __m512i bias = _mm512_set1_epi8(static_cast<char>(kBias));
    const __m512i dot = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), bias, x0), bias, x1);
    return _mm512_sub_epi32(_mm512_setzero_si512(), dot);
  }
  template <int kBias>
  static I dot(Bytes w, Bytes x, I correction) {
    return _mm512_dpbusd_epi32(correction, w, x);
  }
  template <int kBias>
  static I dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, I correction) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(correction, w0, x0), w1, x1);
  }

  static int quantise16(const float* x, float inverse, int8_t* out) {
    const __m128i q = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(load(x), _mm512_set1_ps(inverse))));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), q);
    return sum_bytes(q);
  }
  static void widen(Block v, F out[2]) {
    out[0] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(v)));
    out[1] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(v, 1)));
  }

 private:
  static Mask first(int n) { return static_cast<Mask>((1u << n) - 1u); }
  // Each of four registers down to four lanes, side by side.
  static F fold_to_fours(const F (&v)[4]) {
    const F eight01 = add(_mm512_shuffle_f32x4(v[0], v[1], 0x44), _mm512_shuffle_f32x4(v[0], v[1], 0xEE));
    const F eight23 = add(_mm512_shuffle_f32x4(v[2], v[3], 0x44), _mm512_shuffle_f32x4(v[2], v[3], 0xEE));
    return add(_mm512_shuffle_f32x4(eight01, eight23, 0x88), _mm512_shuffle_f32x4(eight01, eight23, 0xDD));
  }
  static F widen_bf16(__m256i v) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16)); }
};

}  // namespace glassbox::cpu
