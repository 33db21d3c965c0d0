// Where a model is computed: the choice of a user, and the backend that comes of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/model/model.h"
#include "kernels/cuda_devices.h"
#include "kernels/ops.h"

namespace glassbox {

struct DeviceChoice {
  enum class Kind : uint8_t { automatic, cpu, cuda };
  Kind kind = Kind::automatic;
  int index = 0;  // of the CUDA device
  bool operator==(const DeviceChoice&) const = default;
};

// "auto", "cpu", "cuda" (the first one), "cuda:1". Error (usage): anything else.
Result<DeviceChoice> parse_device(const std::string& text);
std::string to_string(const DeviceChoice& choice);

// What a device must have free for a model: its weights, the cache for a full context, the activations of a call.
size_t device_bytes(const Model& model);

struct OpenDevice {
  std::shared_ptr<Ops> ops;
  CudaDevices found;  // what was looked at; nothing where the CPU was chosen
  std::string note;   // why it is not the GPU that the machine has; empty where there is nothing to say
};
// automatic: the first GPU with enough free memory, else the CPU. Errors: usage for a device or an instruction set that
// is not there, failed for a GPU that is too small or does not start (only where it was chosen).
Result<OpenDevice> open_device(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model);
// The same on what find_cuda_devices() said; for tests.
Result<DeviceChoice> decide_device(const DeviceChoice& choice, const CudaDevices& found, size_t needed,
                                   std::string& note);
// The error for an instruction set that make_cpu_ops() does not have.
Error no_instruction_set();

}  // namespace glassbox
