// What the tests of operations share: the backends of this machine, guarded buffers, errors, random weights.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace glassbox::testing {

// The names of the CPU backends that this machine can run; under ThreadSanitizer the best of them, because they share the
// threads' work in the same way.
inline std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const char* name : {"portable", "avx2", "avx512"}) {
    if (make_cpu_ops({.threads = 1, .isa = name}) != nullptr) names.emplace_back(name);
  }
#ifdef __SANITIZE_THREAD__
  names.erase(names.begin(), names.end() - 1);
#endif
  return names;
}

// An output buffer that is poisoned with NaN and has sentinels on both sides, so that a value that was not written and
// a write outside are both seen.
class Guarded {
 public:
  explicit Guarded(size_t n) : values_(n + 2 * kGuard, kSentinel) {
    std::fill(values_.begin() + kGuard, values_.end() - kGuard, std::numeric_limits<float>::quiet_NaN());
  }
  float* data() { return values_.data() + kGuard; }
  size_t size() const { return values_.size() - 2 * kGuard; }
  std::vector<float> values() const { return {values_.begin() + kGuard, values_.end() - kGuard}; }
  bool intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (values_[i] != kSentinel || values_[values_.size() - 1 - i] != kSentinel) return false;
    }
    return true;
  }

 private:
  static constexpr size_t kGuard = 64;
  static constexpr float kSentinel = -98765.5f;
  std::vector<float> values_;
};

// Σ (a − b)² / Σ b²; infinite where a value is no number. b is the truth.
inline double nmse(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double error = 0, power = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    power += double{b[i]} * b[i];
  }
  if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
  return power > 0 ? error / power : error;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::vector<float> random_floats(size_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(random);
  return values;
}

// A weight matrix of any type. Quantised ones have random quants, and scales as real files have them.
struct RandomWeights {
  RandomWeights(DType type, int64_t outputs, int64_t columns, uint32_t seed)
      : buffer(static_cast<size_t>(row_bytes(type, columns) * outputs)),
        tensor(make_tensor(buffer.data(), type, {outputs, columns})) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0f, 0.05f);
    const DTypeInfo& info = dtype_info(type);
    if (!info.quantised()) {
      for (int64_t i = 0; i < outputs * columns; ++i) set_plain(type, i, normal(random));
      return;
    }
    for (size_t i = 0; i < buffer.bytes(); ++i) buffer.data()[i] = static_cast<std::byte>(random() >> 8);
    std::uniform_real_distribution<float> scale(0.002f, 0.01f);
    for (size_t b = 0; b < buffer.bytes(); b += static_cast<size_t>(info.block_bytes)) {
      const float s = (random() & 1u) != 0 ? scale(random) : -scale(random);  // files have negative scales too
      if (type == DType::q6_k) {
        set_half(b + 208, s / 32);
        continue;
      }
      set_half(b, type == DType::q4_k || type == DType::q5_k ? s / 32 : type == DType::q8_0 ? s / 16 : s);
      if (type == DType::q4_1 || type == DType::q5_1) set_half(b + 2, -9 * s + scale(random));
      if (type == DType::q4_k || type == DType::q5_k) set_half(b + 2, s / 4);
    }
  }

  Buffer buffer;
  Tensor tensor;

 private:
  void set_half(size_t at, float value) {
    const uint16_t bits = f32_to_f16(value);
    std::memcpy(buffer.data() + at, &bits, sizeof bits);
  }
  void set_plain(DType type, int64_t i, float value) {
    if (type == DType::f32) {
      buffer.f32()[i] = value;
    } else if (type == DType::f16) {
      set_half(static_cast<size_t>(2 * i), value);
    } else {
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      const uint16_t high = static_cast<uint16_t>(bits >> 16);
      std::memcpy(buffer.data() + 2 * i, &high, sizeof high);
    }
  }
};

// Rows in the host's memory, of which the arguments tell how many there are and how far they reach.
inline void set_rows(AttentionArgs& args, std::span<const RowPosition> rows) {
  args.rows = rows.data();
  args.row_count = static_cast<int>(rows.size());
  args.longest = 0;
  for (const RowPosition& row : rows) args.longest = std::max(args.longest, row.position + 1);
}

}  // namespace glassbox::testing
