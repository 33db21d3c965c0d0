// What the AVX2 and AVX-512 wrappers share: the bytes of one quantised block in a 256-bit register, and the ends of
// sums. A template over the wrapper, so that each instruction set's file has functions of its own: the linker must
// never pick an AVX-512 copy of a function for a processor that has only AVX2.
#pragma once

#include <immintrin.h>

#include <stdint.h>
#include <string.h>

#include "kernels/cpu/simd_tags.h"

namespace glassbox::cpu {

template <class Isa>
struct Avx2Blocks {
  using Block = __m256i;  // 32 unsigned bytes

  static float f16(uint16_t bits) { return _cvtsh_ss(bits); }

  static void four_halves(const void* p, int64_t stride, float* out) {
    const char* at = static_cast<const char*>(p);
    __m128i v = _mm_loadu_si16(at);
    v = _mm_insert_epi16(v, word(at + stride), 1);
    v = _mm_insert_epi16(v, word(at + 2 * stride), 2);
    v = _mm_insert_epi16(v, word(at + 3 * stride), 3);
    _mm_storeu_ps(out, _mm_cvtph_ps(v));
  }
  static void four_pairs(const void* p, int64_t stride, float* first, float* second) {
    const char* at = static_cast<const char*>(p);
    __m128i v = _mm_loadu_si32(at);
    v = _mm_insert_epi32(v, double_word(at + stride), 1);
    v = _mm_insert_epi32(v, double_word(at + 2 * stride), 2);
    v = _mm_insert_epi32(v, double_word(at + 3 * stride), 3);
    const __m256 pairs = _mm256_cvtph_ps(v);
    const __m128 low = _mm256_castps256_ps128(pairs), high = _mm256_extractf128_ps(pairs, 1);
    _mm_storeu_ps(first, _mm_shuffle_ps(low, high, 0x88));
    _mm_storeu_ps(second, _mm_shuffle_ps(low, high, 0xDD));
  }

  static Block load_block(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Block flip_sign(Block v) { return _mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(0x80))); }
  static Block merge(Block a, Block b) { return _mm256_or_si256(a, b); }
  static Block nibbles(const uint8_t* p) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
  }
  static Block bit_flags(const uint8_t* p) {
    // Each byte gets the byte that holds its bit, then is tested against that bit.
    const __m256i word =
        _mm256_set1_epi32(static_cast<int>(p[0] | (p[1] << 8) | (p[2] << 16) | (static_cast<uint32_t>(p[3]) << 24)));
    const __m256i which =
        _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    const __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(word, which), bit);
    return _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit), _mm256_set1_epi8(16));
  }
  static Block field(Block v, int shift, int mask) {
    return _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static Block times16(Block v) { return _mm256_slli_epi16(v, 4); }  // precondition: every byte < 16

  static float max_lanes(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static int sum_bytes(__m128i v) {  // of sixteen signed bytes
    const __m128i sums = _mm_sad_epu8(_mm_xor_si128(v, _mm_set1_epi8(static_cast<char>(0x80))), _mm_setzero_si128());
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4) - 16 * 128;
  }

 private:
  static int word(const char* p) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
  }
  static int double_word(const char* p) {
    int bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
  }
};

}  // namespace glassbox::cpu
