// What the operations of one forward read of its rows: tokens, positions, tables of blocks. The host lays them out one
// after the other and sends them to the backend's memory in one copy. The same sizes in the same order get the same
// addresses, so that what was recorded with them (Ops::repeat) finds the next step's there.
#pragma once

#include <span>

#include "kernels/ops.h"

namespace glassbox {

// A number that the process has not had before. What recorded operations depend on is told apart by these.
uint64_t fresh_number();

class StepInputs {
 public:
  explicit StepInputs(Ops& ops) : ops_(ops) {}

  template <class T>
  static constexpr size_t room(size_t count) {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }
  // Forgets what was there and makes room; waits for the backend where there is too little. Throws std::bad_alloc.
  // Precondition: what was sent the time before the last has been copied.
  void begin(size_t bytes);
  // The next `count` values, to be filled before send(). Precondition: there is room.
  template <class T>
  std::span<T> add(size_t count) {
    T* const values = reinterpret_cast<T*>(half() + used_);
    used_ += room<T>(count);
    return {values, count};
  }
  // Where the operations find them.
  template <class T>
  const T* placed(const T* host) const {
    return ops_.on_host()
               ? host
               : reinterpret_cast<const T*>(placed_.data() + (reinterpret_cast<const std::byte*>(host) - half()));
  }
  template <class T>
  std::span<const T> placed(std::span<T> host) const {
    return {placed(static_cast<const T*>(host.data())), host.size()};
  }
  void send();
  // Another one when the addresses have changed.
  uint64_t generation() const { return generation_; }

 private:
  static constexpr size_t kAlignment = 16;
  // The host fills one half while the other is still being copied.
  std::byte* half() const { return host_.data() + (second_half_ ? host_.bytes() / 2 : 0); }
  Ops& ops_;
  Buffer host_, placed_;
  bool second_half_ = false;
  size_t used_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace glassbox
