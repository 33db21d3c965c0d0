// AVX2 with FMA and F16C: eight lanes. simd_portable.h says what each function means.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/simd_blocks_avx2.h"

namespace glassbox::cpu {

struct Avx2 : Avx2Blocks<Avx2> {
  static constexpr const char* kName = "avx2";
  static constexpr int kLanes = 8;
  static constexpr int kTileWeights = 2;  // sixteen registers in all
  static constexpr int kTileRows = 2;
  static constexpr int kPackedRows = 4;
  static constexpr int kAttentionQueries = 6;
  static constexpr int kAttentionRegisters = 2;  // with six queries twelve sums

  using F = __m256;
  using I = __m256i;
  using Bytes = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float v) { return _mm256_set1_ps(v); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load_partial(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static void store_partial(float* p, int n, F v) { _mm256_maskstore_ps(p, first(n), v); }

  static F load(const uint16_t* p, F16Tag) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F load_partial(const uint16_t* p, int n, F16Tag) { return _mm256_cvtph_ps(load_words(p, n)); }
  static F load(const uint16_t* p, Bf16Tag) { return widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static F load_partial(const uint16_t* p, int n, Bf16Tag) { return widen_bf16(load_words(p, n)); }
  static void store_f16(uint16_t* p, F v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_f16_partial(uint16_t* p, int n, F v) {
    uint16_t words[kLanes];
    store_f16(words, v);
    memcpy(p, words, static_cast<size_t>(n) * sizeof(uint16_t));
  }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F copy_sign(F magnitude, F sign) {
    return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
  }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F pow2(F n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
  }

  static F times_pow2(F a, F n) {
    const F n1 = round(mul(n, set1(0.5f)));
    return mul(mul(a, pow2(n1)), pow2(sub(n, n1)));
  }

  static float sum(F v) {
    const __m256 pairs = _mm256_hadd_ps(v, v);
    const __m256 fours = _mm256_hadd_ps(pairs, pairs);
    return _mm_cvtss_f32(_mm_add_ss(_mm256_castps256_ps128(fours), _mm256_extractf128_ps(fours, 1)));
  }
  // Four sums with the additions of sum in the same order.
  static void sum4(const F (&v)[4], float* out) {
    const __m256 fours = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(fours), _mm256_extractf128_ps(fours, 1)));
  }
  static void sum16(const F (&v)[4][4], float* const (&out)[4]) {
    for (int i = 0; i < 4; ++i) sum4(v[i], out[i]);
  }
  static float max_lane(F v) { return Avx2::max_lanes(v); }

  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }

  static Bytes load_bytes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Bytes broadcast4(const int8_t* p) {
    int word;
    memcpy(&word, p, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static void nibbles_of(Bytes v, Bytes& low, Bytes& high) {
    low = _mm256_and_si256(v, _mm256_set1_epi8(15));
    high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
  }
  static Bytes flags(const void* p) { return Avx2::bit_flags(static_cast<const uint8_t*>(p)); }
  static Bytes twice(Bytes v) { return _mm256_add_epi8(v, v); }
  static Bytes merge_bytes(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }

  // Weights of 8 bits need no correction, see dot_pairs.
  template <int kBias>
  static I start(int32_t sum) {
    if constexpr (kBias == 0 || kBias == 128) return _mm256_setzero_si256();
    return _mm256_set1_epi32(-kBias * sum);
  }
  template <int kBias>
  static I dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, I sum) {
    const __m256i ones = _mm256_set1_epi16(1);
    if constexpr (kBias == 128) {
      const __m256i first = _mm256_madd_epi16(dot_pairs<kBias>(w0, x0), ones);
      return add(sum, add(first, _mm256_madd_epi16(dot_pairs<kBias>(w1, x1), ones)));
    }
    // Up to 6 bits: four products of at most 63 · 128 fit in 16 bits.
    return add(sum, _mm256_madd_epi16(_mm256_add_epi16(dot_pairs<kBias>(w0, x0), dot_pairs<kBias>(w1, x1)), ones));
  }

  static int quantise16(const float* x, float inverse, int8_t* out) {
    const F scale = set1(inverse);
    const __m256i a = _mm256_cvtps_epi32(mul(load(x), scale));
    const __m256i b = _mm256_cvtps_epi32(mul(load(x + 8), scale));
    const __m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    const __m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
    const __m128i q = _mm_packs_epi16(low, high);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), q);
    return Avx2::sum_bytes(q);
  }
  static void widen(Block v, F out[4]) {
    const __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)));
    out[2] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high));
    out[3] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(high, 8)));
  }

 private:
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static __m128i load_words(const uint16_t* p, int n) {
    uint16_t words[kLanes] = {};
    memcpy(words, p, static_cast<size_t>(n) * sizeof(uint16_t));
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(words));
  }
  static F widen_bf16(__m128i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16)); }

  // Sums of neighbouring products in 16 bits. maddubs saturates: two products of 8-bit weights would not fit. So these
  // are made signed, and their sign is moved to x: |w| · sign(w)x is at most 128 · 127 twice.
  template <int kBias>
  static __m256i dot_pairs(Bytes w, Bytes x) {
    if constexpr (kBias != 128) return _mm256_maddubs_epi16(w, x);
    const __m256i signed_w = Avx2::flip_sign(w);
    return _mm256_maddubs_epi16(_mm256_abs_epi8(signed_w), _mm256_sign_epi8(x, signed_w));
  }
};

}  // namespace glassbox::cpu
