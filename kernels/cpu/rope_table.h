// Cosines and sines of rotary positions. They are made in double precision, once for each position that comes up, and
// kept: a model asks for the same few tables (one a set of frequencies) in every layer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace glassbox::cpu {

class RopeTable {
 public:
  RopeTable(const float* frequency, int half, float factor)
      : frequency_(frequency, frequency + half), factor_(factor) {}

  bool fits(const float* frequency, int half, float factor) const;
  // Makes the position's entries if they are not there. Precondition: position ≥ 0.
  void prepare(int32_t position);
  // [D/2] each. Precondition: prepared.
  const float* cosine(int32_t position) const { return pages_[page(position)].get() + offset(position); }
  const float* sine(int32_t position) const { return cosine(position) + frequency_.size(); }

 private:
  static constexpr int32_t kPage = 64;  // positions that are made together
  static size_t page(int32_t position) { return static_cast<size_t>(position / kPage); }
  size_t offset(int32_t position) const { return static_cast<size_t>(position % kPage) * 2 * frequency_.size(); }

  std::vector<float> frequency_;
  float factor_;
  std::vector<std::unique_ptr<float[]>> pages_;
};

}  // namespace glassbox::cpu
