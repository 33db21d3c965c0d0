// AVX-512 (F, BW, VL, DQ, VNNI): sixteen lanes. simd_portable.h says what each function
// means.
#pragma once

#include <immintrin.h>

#include "kernels/cpu/simd_blocks_avx2.h"

namespace glassbox::cpu {

struct Avx512 : Avx2Blocks<Avx512> {
  static constexpr const char* kName = "avx512";
  static constexpr int kLanes = 16;
  static constexpr int kTileWeights = 4;
  static constexpr int kTileRows = 4;
  static constexpr int kPackedRows = 8;  // 8 registers of weights, 8 sums, their factors and some to work with make 32
  static constexpr int kAttentionQueries = 6;
  static constexpr int kAttentionRegisters = 4;  // with six queries 24 sums

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
  static F times_pow2(F a, F n) { return _mm512_scalef_ps(a, n); }

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

  static Bytes load_bytes(const void* p) { return _mm512_loadu_si512(p); }
  static Bytes broadcast4(const int8_t* p) {
    int word;
    memcpy(&word, p, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static void nibbles_of(Bytes v, Bytes& low, Bytes& high) {
    low = _mm512_and_si512(v, _mm512_set1_epi8(15));
    high = _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
  }
  static Bytes flags(const void* p) {
    uint64_t bits;
    memcpy(&bits, p, sizeof bits);
    return _mm512_maskz_set1_epi8(bits, 16);
  }
  static Bytes twice(Bytes v) { return _mm512_add_epi8(v, v); }
  static Bytes merge_bytes(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }

  template <int kBias>
  static I start(int32_t sum) {
    if constexpr (kBias == 0) return _mm512_setzero_si512();
    return _mm512_set1_epi32(-kBias * sum);
  }
  template <int kBias>
  static I dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, I sum) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, w0, x0), w1, x1);
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
