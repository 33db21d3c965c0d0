// What the engine's memory and devices throw, as errors for the user.
#pragma once

#include "core/base/result.h"

namespace glassbox {

// Another device may go on with the work.
inline bool is_of_device(const Error& error) {
  return error.kind == ErrorKind::device || error.kind == ErrorKind::device_memory;
}

// Of the exception that is being handled. Throws it again if it is none of these: device (DeviceError),
// device_memory, failed (std::bad_alloc).
Error error_of_exception();

template <class Work>
Result<void> report_failures(const Work& work) {
  try {
    return work();
  } catch (...) {
    return error_of_exception();
  }
}

}  // namespace glassbox
