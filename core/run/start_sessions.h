// Sessions on the device that was chosen, which go on on the CPU when it fails: the one way in for the window and the
// command line.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/run/device.h"
#include "core/run/session.h"

namespace glassbox {

struct SessionStart {
  DeviceChoice device = {};
  CpuOptions cpu = {};
  // A GPU that was chosen and fails while the model goes there is an error; else that too goes on on the CPU.
  bool insist = false;
  // The device was left while it ran; `note` is a sentence that says why. Called by the thread that computes.
  std::function<void(const std::string& note)> left = {};
  decltype(&glassbox::open_device) open_device = &glassbox::open_device;  // tests have devices that fail
};

struct StartedSessions {
  std::unique_ptr<SessionStore> sessions;
  CudaDevices found;  // these as in OpenDevice
  std::string note;
  int index = -1;
};

// Errors: those of open_device(); device and failed (memory).
Result<StartedSessions> start_sessions(const std::shared_ptr<const Model>& model, const SessionStart& start);

}  // namespace glassbox
