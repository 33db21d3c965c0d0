// The small wrapper that every kernel of this backend is written in, and its plain C++ version, which runs anywhere.
// simd_avx2.h and simd_avx512.h are the same list of functions over registers. Kernels are templates over the wrapper's
// type: one text, and functions of their own for each instruction set.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/simd_tags.h"
#include "kernels/tensor.h"

namespace glassbox::cpu {

struct Portable {
  static constexpr const char* kName = "portable";
  static constexpr int kLanes = 8;
  static constexpr int kStepBlocks = 2;   // quantised blocks of 32 in a pair of Bytes
  static constexpr int kTileWeights = 2;  // weight rows and rows of x that one pass of a product works on
  static constexpr int kTileRows = 2;
  static constexpr int kTileSlab = 4;  // registers of a value vector that attention sums at a time

  struct F {  // kLanes floats
    float v[kLanes];
  };
  struct I {  // kLanes 32-bit integers
    int32_t v[kLanes];
  };
  struct Block {  // the 32 quants of one block, unsigned
    uint8_t v[32];
  };
  struct Bytes {  // 16 quants of each of kStepBlocks blocks
    uint8_t v[32];
  };

  // ---- floats. `partial`: the first n < kLanes lanes; a load puts 0 in the others.
  static F zero() { return set1(0.0f); }
  static F set1(float value) {
    return each([&](int) { return value; });
  }
  static F load(const float* p) {
    return each([&](int i) { return p[i]; });
  }
  static F load_partial(const float* p, int n) {
    return each([&](int i) { return i < n ? p[i] : 0.0f; });
  }
  static void store(float* p, F a) { store_partial(p, kLanes, a); }
  static void store_partial(float* p, int n, F a) {
    for (int i = 0; i < n; ++i) p[i] = a.v[i];
  }
  static F load(const uint16_t* p, F16Tag) {
    return each([&](int i) { return f16_to_f32(p[i]); });
  }
  static F load_partial(const uint16_t* p, int n, F16Tag) {
    return each([&](int i) { return i < n ? f16_to_f32(p[i]) : 0.0f; });
  }
  static F load(const uint16_t* p, Bf16Tag) {
    return each([&](int i) { return bf16_to_f32(p[i]); });
  }
  static F load_partial(const uint16_t* p, int n, Bf16Tag) {
    return each([&](int i) { return i < n ? bf16_to_f32(p[i]) : 0.0f; });
  }
  static void store_f16(uint16_t* p, F a) { store_f16_partial(p, kLanes, a); }
  static void store_f16_partial(uint16_t* p, int n, F a) {
    for (int i = 0; i < n; ++i) p[i] = f32_to_f16(a.v[i]);
  }
  static float f16(uint16_t bits) { return f16_to_f32(bits); }

  static F add(F a, F b) {
    return each([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F sub(F a, F b) {
    return each([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F mul(F a, F b) {
    return each([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F div(F a, F b) {
    return each([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F fma(F a, F b, F c) {  // a·b + c; fused where there is an instruction for it
    return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  // Where one of the two is no number the result is the second one.
  static F max(F a, F b) {
    return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F min(F a, F b) {
    return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F abs(F a) {
    return each([&](int i) { return fabsf(a.v[i]); });
  }
  static F copy_sign(F magnitude, F sign) {  // precondition: magnitude ≥ 0
    return each([&](int i) { return copysignf(magnitude.v[i], sign.v[i]); });
  }
  static F round(F a) {  // to the nearest integer, ties to even
    return each([&](int i) { return nearbyintf(a.v[i]); });
  }
  static F pow2(F n) {  // 2ⁿ for integers −126 ≤ n ≤ 127
    return each([&](int i) {
      if (!(n.v[i] >= -126.0f && n.v[i] <= 127.0f)) return n.v[i];  // no number: hand it on
      const uint32_t bits = static_cast<uint32_t>(static_cast<int>(n.v[i]) + 127) << 23;
      float power;
      memcpy(&power, &bits, sizeof power);
      return power;
    });
  }

  // Sums of the lanes, in one order: sum4 gives the bits of four sums.
  static float sum(F a) { return ((a.v[0] + a.v[1]) + (a.v[2] + a.v[3])) + ((a.v[4] + a.v[5]) + (a.v[6] + a.v[7])); }
  static void sum4(const F (&a)[4], float* out) {
    for (int i = 0; i < 4; ++i) out[i] = sum(a[i]);
  }
  static float max_lane(F a) {
    float largest = a.v[0];
    for (int i = 1; i < kLanes; ++i) largest = a.v[i] > largest ? a.v[i] : largest;
    return largest;
  }

  // ---- quantised blocks
  static Block block_zero() { return {}; }
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
  // The step of a product: the first halves of kStepBlocks blocks side by side, and their second halves. So four
  // products land in each 32-bit lane, and four lanes in a row belong to one block.
  static void join(const Block* block, Bytes& first_halves, Bytes& second_halves) {
    for (int i = 0; i < 32; ++i) {
      first_halves.v[i] = block[i / 16].v[i % 16];
      second_halves.v[i] = block[i / 16].v[16 + i % 16];
    }
  }
  static F expand(const float* p) {  // each of kStepBlocks scales into the four lanes of its block
    return each([&](int i) { return p[i / 4]; });
  }
  static Bytes load_bytes(const void* p) {
    Bytes b;
    memcpy(b.v, p, sizeof b.v);
    return b;
  }
  static void store_bytes(void* p, Bytes b) { memcpy(p, b.v, sizeof b.v); }

  // dot = Σ (w − kBias)·x over the four bytes of each lane, exactly; w unsigned, x signed, over one pair of Bytes or
  // two. `correction` is what a bias needs that depends on x alone, so that it is made once for several weight rows.
  template <int kBias>
  static I correction(Bytes) {
    return {};
  }
  template <int kBias>
  static I correction(Bytes, Bytes) {
    return {};
  }
  template <int kBias>
  static I dot(Bytes w, Bytes x, I correction) {
    I sum = correction;
    for (int i = 0; i < 32; ++i) sum.v[i / 4] += (w.v[i] - kBias) * static_cast<int8_t>(x.v[i]);
    return sum;
  }
  template <int kBias>
  static I dot(Bytes w0, Bytes w1, Bytes x0, Bytes x1, I correction) {
    return dot<kBias>(w1, x1, dot<kBias>(w0, x0, correction));
  }
  static F to_float(I a) {
    return each([&](int i) { return static_cast<float>(a.v[i]); });
  }
  // out[i] = x[i] · inverse rounded to the nearest integer, for 16 values; returns their sum.
  static int quantise16(const float* x, float inverse, int8_t* out) {
    int sum = 0;
    for (int i = 0; i < 16; ++i) {
      const float scaled = nearbyintf(x[i] * inverse);
      out[i] = static_cast<int8_t>(scaled > 127.0f ? 127.0f : scaled >= -128.0f ? scaled : -128.0f);
      sum += out[i];
    }
    return sum;
  }
  static void widen(Block a, F out[32 / kLanes]) {  // the 32 quants as floats
    for (int i = 0; i < 32; ++i) out[i / kLanes].v[i % kLanes] = static_cast<float>(a.v[i]);
  }

 private:
  template <class Value>
  static F each(Value value) {
    F result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = value(i);
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
