// Where a model is computed: the choice of a user, and the backend that comes of it.
#pragma once

#include <functional>
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

// What a model wants of a GPU.
struct DeviceNeeds {
  size_t bytes = 0;         // of its memory, see device_bytes()
  std::string misfit = {};  // why it cannot be run there at all, see find_cuda_misfit(); empty: it can
};
DeviceNeeds device_needs(const Model& model);

// What a device must have free for it to be worth beginning there: the weights, the cache of a useful context, the
// activations of a call with the patterns that are looked at, and what the backend has for itself. A longer text takes
// more; what does not fit then is SessionStore's affair.
size_t device_bytes(const Model& model);
inline constexpr int kUsefulContext = 8192;  // positions; or the model's whole context where that is less

struct OpenDevice {
  std::shared_ptr<Ops> ops;
  CudaDevices found;  // what was looked at; nothing where the CPU was chosen
  std::string note;   // why it is not the GPU that the machine has; empty where there is nothing to say
  int index = -1;     // of the GPU that was taken
};
// automatic: the best GPU with enough free memory, else the CPU. Errors: usage for a device or an instruction set that
// is not there, failed for a GPU that cannot run the model, is too small or does not start (only where it was chosen).
Result<OpenDevice> open_device(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model);

// Whether a GPU that was chosen is there and of use. Errors (usage): it is not; with those that are.
Result<void> check_device(const DeviceChoice& choice, const CudaDevices& found);
// What open_device() takes of those that were found. Of these `ask` (ask_cuda_device, or a test's) is asked about the
// ones that are considered, the best first: the newest architecture, of these the largest memory.
Result<DeviceChoice> decide_device(const DeviceChoice& choice, CudaDevices& found, const DeviceNeeds& needs,
                                   const std::function<void(CudaDevice&)>& ask, std::string& note);
// The error for an instruction set that make_cpu_ops() does not have.
Error no_instruction_set();

}  // namespace glassbox
