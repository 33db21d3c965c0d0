#include "kernels/cpu/rope_table.h"

#include <algorithm>
#include <cmath>

namespace glassbox::cpu {

bool RopeTable::fits(const float* frequency, int half, float factor) const {
  return static_cast<size_t>(half) == frequency_.size() && factor == factor_ &&
         std::equal(frequency_.begin(), frequency_.end(), frequency);
}

void RopeTable::prepare(int32_t position) {
  const size_t index = page(position);
  if (index >= pages_.size()) pages_.resize(index + 1);
  if (pages_[index] != nullptr) return;
  const size_t half = frequency_.size();
  pages_[index] = std::make_unique<float[]>(kPage * 2 * half);
  float* out = pages_[index].get();
  for (int32_t i = 0; i < kPage; ++i, out += 2 * half) {
    const double p = static_cast<double>(index) * kPage + i;
    for (size_t d = 0; d < half; ++d) {
      const double angle = p * static_cast<double>(frequency_[d]);
      out[d] = static_cast<float>(std::cos(angle)) * factor_;
      out[half + d] = static_cast<float>(std::sin(angle)) * factor_;
    }
  }
}

}  // namespace glassbox::cpu
