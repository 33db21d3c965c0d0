// Norms, rotation and elementwise operations over rows, for one instruction set.
#pragma once

#include <math.h>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/vector_math.h"

namespace glassbox::cpu {

template <class S>
struct RowKernels {
  using F = typename S::F;

  static void rmsnorm(const float* x, const float* weight, float eps, int64_t n, float* out) {
    const float square = sum(n, [&](int64_t i, int count) {
      const F v = load(x + i, count);
      return S::mul(v, v);
    });
    const F scale = S::set1(1.0f / sqrtf(square / static_cast<float>(n) + eps));
    map(n, out,
        [&](int64_t i, int count) { return S::mul(S::mul(load(x + i, count), scale), load(weight + i, count)); });
  }

  static void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t n, float* out) {
    const float total = sum(n, [&](int64_t i, int count) { return load(x + i, count); });
    const F mean = S::set1(total / static_cast<float>(n));
    const float square = sum(n, [&](int64_t i, int count) {
      F v = S::sub(load(x + i, count), mean);
      if (count < S::kLanes) {  // the lanes past the end hold −mean
        float lanes[S::kLanes];
        S::store(lanes, v);
        v = S::load_partial(lanes, count);
      }
      return S::mul(v, v);
    });
    const F scale = S::set1(1.0f / sqrtf(square / static_cast<float>(n) + eps));
    map(n, out, [&](int64_t i, int count) {
      const F v = S::mul(S::mul(S::sub(load(x + i, count), mean), scale), load(weight + i, count));
      return bias == nullptr ? v : S::add(v, load(bias + i, count));
    });
  }

  static void rotate(const float* x, const float* cosine, const float* sine, int heads, int head_dim, float* out) {
    const int half = head_dim / 2;
    for (int h = 0; h < heads; ++h) {
      const float* in = x + static_cast<int64_t>(h) * head_dim;
      float* to = out + static_cast<int64_t>(h) * head_dim;
      for (int i = 0; i < half; i += S::kLanes) {
        const int count = half - i < S::kLanes ? half - i : S::kLanes;
        const F a = load(in + i, count), b = load(in + half + i, count);
        const F c = load(cosine + i, count), s = load(sine + i, count);
        store(to + i, count, S::sub(S::mul(a, c), S::mul(b, s)));
        store(to + half + i, count, S::add(S::mul(b, c), S::mul(a, s)));
      }
    }
  }

  static void to_f16(const float* x, int64_t n, uint16_t* out) {
    int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) S::store_f16(out + i, S::load(x + i));
    const int rest = static_cast<int>(n - i);
    if (rest > 0) S::store_f16_partial(out + i, rest, S::load_partial(x + i, rest));
  }

  static void add(const float* a, const float* b, int64_t n, float* out) {
    map(n, out, [&](int64_t i, int count) { return S::add(load(a + i, count), load(b + i, count)); });
  }
  static void multiply(const float* a, const float* b, int64_t n, float* out) {
    map(n, out, [&](int64_t i, int count) { return S::mul(load(a + i, count), load(b + i, count)); });
  }
  static void silu(const float* x, int64_t n, float* out) {
    map(n, out, [&](int64_t i, int count) { return VectorMath<S>::silu(load(x + i, count)); });
  }
  static void gelu_tanh(const float* x, int64_t n, float* out) {
    map(n, out, [&](int64_t i, int count) { return VectorMath<S>::gelu_tanh(load(x + i, count)); });
  }

 private:
  static F load(const float* p, int count) { return count == S::kLanes ? S::load(p) : S::load_partial(p, count); }
  static void store(float* p, int count, F v) {
    if (count == S::kLanes) {
      S::store(p, v);
    } else {
      S::store_partial(p, count, v);
    }
  }

  // value(i, count) gives the register of elements i … i + count.
  template <class Value>
  static void map(int64_t n, float* out, Value value) {
    int64_t i = 0;
    for (; i + S::kLanes <= n; i += S::kLanes) S::store(out + i, value(i, S::kLanes));
    const int rest = static_cast<int>(n - i);
    if (rest > 0) S::store_partial(out + i, rest, value(i, rest));
  }
  // Precondition: value(i, count) has 0 in the lanes from count on.
  template <class Value>
  static float sum(int64_t n, Value value) {
    F even = S::zero(), odd = S::zero();
    int64_t i = 0;
    for (; i + 2 * S::kLanes <= n; i += 2 * S::kLanes) {
      even = S::add(even, value(i, S::kLanes));
      odd = S::add(odd, value(i + S::kLanes, S::kLanes));
    }
    if (i + S::kLanes <= n) {
      even = S::add(even, value(i, S::kLanes));
      i += S::kLanes;
    }
    const int rest = static_cast<int>(n - i);
    if (rest > 0) odd = S::add(odd, value(i, rest));
    return S::sum(S::add(even, odd));
  }
};

}  // namespace glassbox::cpu
