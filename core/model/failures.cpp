#include "core/model/failures.h"

#include <new>

#include "kernels/device_error.h"

namespace glassbox {

Error error_of_exception() {
  try {
    throw;
  } catch (const DeviceMemoryError& error) {
    return {ErrorKind::device_memory, "The GPU has not enough memory for this step.", error.what(), "",
            "Use a shorter text, show fewer panels, or run it on the CPU (--device cpu)."};
  } catch (const DeviceError& error) {
    return {ErrorKind::device, "The GPU has failed.", error.what(), "",
            "Run it on the CPU (--device cpu). If it happens again, look at the system's log for NVIDIA's messages."};
  } catch (const std::bad_alloc&) {
    return {ErrorKind::failed, "There is not enough memory for this step.", "", "",
            "Use a shorter text, or show fewer panels."};
  }
}

}  // namespace glassbox
