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
  second_half_ = !second_half_;
  if (2 * bytes <= host_.bytes()) return;
  const size_t size = room<std::byte>(std::max(bytes, host_.bytes()));
  generation_ = fresh_number();
  ops_.wait();  // for what reads the old memory
  host_ = {};
  placed_ = {};
  if (!ops_.on_host()) placed_ = ops_.allocate(size);
  host_ = ops_.allocate_staging(2 * size);
}

void StepInputs::send() {
  if (!ops_.on_host()) ops_.upload(half(), used_, placed_.data());
}

}  // namespace glassbox
