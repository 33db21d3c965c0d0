#include "core/model/step_inputs.h"

#include <algorithm>
#include <atomic>

namespace glassbox {

uint64_t fresh_number() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

void StepInputs::begin(size_t bytes) {
  used_ = 0;
  if (bytes <= host_.bytes()) return;
  const size_t size = std::max(bytes, 2 * host_.bytes());
  generation_ = fresh_number();
  host_ = {};
  placed_ = {};
  if (!ops_.on_host()) placed_ = ops_.allocate(size);
  host_ = ops_.allocate_staging(size);
}

void StepInputs::send() {
  if (!ops_.on_host()) ops_.upload(host_.data(), used_, placed_.data());
}

}  // namespace glassbox
