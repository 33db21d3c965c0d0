// What a device reports when it cannot go on: no driver, a failed launch, a card that is gone. Thrown by backends with a
// memory of their own; core/model's forward turns it into an Error.
#pragma once

#include <stdexcept>

namespace glassbox {

class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class DeviceMemoryError : public DeviceError {
 public:
  DeviceMemoryError() : DeviceError("its memory is full") {}
};

}  // namespace glassbox
