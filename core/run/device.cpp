#include "core/run/device.h"

#include <algorithm>
#include <charconv>
#include <new>
#include <tuple>

#include "core/model/transformer.h"
#include "kernels/device_error.h"

namespace glassbox {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + kMiB - 1) / kMiB) + " MiB";
}

std::string memory_of(const CudaDevice& device, size_t needed) {
  return device.name + " needs " + mebibytes(needed) + " for it, and " + mebibytes(device.free_bytes.value_or(0)) +
         " of " + mebibytes(device.total_bytes) + " are free";
}

std::string name_of(const CudaDevice& device) {
  return "cuda:" + std::to_string(device.index) + " " + device.name;
}

CudaDevice* find_device(CudaDevices& found, int index) {
  const auto at = std::find_if(found.devices.begin(), found.devices.end(),
                               [&](const CudaDevice& device) { return device.index == index; });
  return at == found.devices.end() ? nullptr : &*at;
}

// Those without a problem, the best first.
std::vector<CudaDevice*> rank_devices(CudaDevices& found) {
  std::vector<CudaDevice*> best;
  for (CudaDevice& device : found.devices) {
    if (device.problem.empty()) best.push_back(&device);
  }
  std::stable_sort(best.begin(), best.end(), [](const CudaDevice* a, const CudaDevice* b) {
    return std::tuple(a->major, a->minor, a->total_bytes) > std::tuple(b->major, b->minor, b->total_bytes);
  });
  return best;
}

}  // namespace

Result<DeviceChoice> parse_device(const std::string& text) {
  if (text == "auto") return DeviceChoice{};
  if (text == "cpu") return DeviceChoice{DeviceChoice::Kind::cpu};
  if (text == "cuda") return DeviceChoice{DeviceChoice::Kind::cuda};
  if (text.starts_with("cuda:")) {
    int index = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    if (error == std::errc() && stop == end && index >= 0) return DeviceChoice{DeviceChoice::Kind::cuda, index};
  }
  return Error{ErrorKind::usage, "There is no device \"" + text + "\".", "--device", "auto, cpu, cuda or cuda:N", ""};
}

std::string to_string(const DeviceChoice& choice) {
  if (choice.kind == DeviceChoice::Kind::automatic) return "auto";
  return choice.kind == DeviceChoice::Kind::cpu ? "cpu" : "cuda:" + std::to_string(choice.index);
}

namespace {

// A driver hands out large pieces of memory in multiples of this, and each weight is a piece.
constexpr size_t kGranularity = 2 * kMiB;
// What the backend has for itself: cuBLAS's workspace, and the weights that are unpacked for it.
constexpr size_t kBackendBytes = (32 + 32) * kMiB;
// cuBLAS's handle and the kernels, which come when they are first used; captures on their way; the end of the cache's
// last slab.
constexpr size_t kSpareBytes = 192 * kMiB;

size_t lost_to_granularity(const Model& model) {
  size_t lost = 0;
  const auto add = [&lost](const Tensor& weight) {
    const size_t bytes = weight.empty() ? 0 : static_cast<size_t>(weight.rows() * weight.row_bytes);
    if (bytes > kGranularity / 2) lost += (kGranularity - bytes % kGranularity) % kGranularity;
  };
  const Weights& weights = model.weights();
  add(weights.embedding);
  add(weights.positions);
  if (weights.head.weight.data != weights.embedding.data) add(weights.head.weight);
  for (const LayerWeights& layer : weights.layers) {
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      add(linear->weight);
    }
  }
  return lost;
}

}  // namespace

size_t device_bytes(const Model& model) {
  const ModelConfig& config = model.config();
  size_t per_position = 0, per_row = 0, heads = 0;
  for (const LayerConfig& layer : config.layers) {
    const auto keys = static_cast<size_t>(layer.kv_heads * layer.head_dim);
    const auto queries = static_cast<size_t>(layer.heads * layer.head_dim);
    per_position += 2 * keys * sizeof(float);  // as in exact precision; fast takes half of it
    heads = std::max(heads, static_cast<size_t>(layer.heads));
    per_row = std::max(per_row, 2 * queries + 2 * keys + 2 * static_cast<size_t>(layer.ff));
  }
  // The latter: of the pattern of the layer that is looked at, and of one that is summarised.
  const auto positions = static_cast<size_t>(std::min(config.context, kUsefulContext));
  per_row += 3 * static_cast<size_t>(config.width) + 2 * heads * positions;
  constexpr size_t kRows = kDeviceRowsPerCall, kLogitRows = 32;  // of a session's calls
  return model.weight_bytes() + lost_to_granularity(model) + per_position * positions +
         (kRows * per_row + kLogitRows * static_cast<size_t>(config.vocab)) * sizeof(float) + kBackendBytes +
         kSpareBytes;
}

DeviceNeeds device_needs(const Model& model) {
  DeviceNeeds needs{device_bytes(model)};
  for (const LayerConfig& layer : model.config().layers) {
    if (needs.misfit.empty()) needs.misfit = find_cuda_misfit(layer.heads, layer.head_dim);
  }
  return needs;
}

Result<void> check_device(const DeviceChoice& choice, const CudaDevices& found) {
  if (choice.kind != DeviceChoice::Kind::cuda) return {};
  const std::string where = "--device " + to_string(choice);
  if (found.devices.empty()) {
    return Error{ErrorKind::usage, "There is no such device: " + found.problem + ".", where, "auto or cpu",
                 found.built_in ? "Is NVIDIA's driver installed, and new enough for CUDA 13 (580 or later)?"
                                : "Build it where there is a CUDA toolkit, or leave --device out."};
  }
  std::string usable;
  for (const CudaDevice& device : found.devices) {
    if (device.problem.empty()) usable += (usable.empty() ? "" : ", ") + name_of(device);
    if (device.index != choice.index || device.problem.empty()) continue;
    return Error{ErrorKind::usage, "This GPU cannot be used: " + device.name + " " + device.problem + ".", where, "",
                 "Leave --device out: it takes what can be used."};
  }
  for (const CudaDevice& device : found.devices) {
    if (device.index == choice.index) return {};
  }
  return Error{ErrorKind::usage, "There is no such device.", where, usable.empty() ? "auto or cpu" : usable,
               "Take one that is there. $CUDA_VISIBLE_DEVICES, where it is set, says which of the machine's GPUs a "
               "program sees, and they are counted anew."};
}

Result<DeviceChoice> decide_device(const DeviceChoice& choice, CudaDevices& found, const DeviceNeeds& needs,
                                   const std::function<void(CudaDevice&)>& ask, std::string& note) {
  constexpr DeviceChoice kCpu{DeviceChoice::Kind::cpu};
  note.clear();
  if (choice.kind == DeviceChoice::Kind::cpu) return choice;
  if (choice.kind == DeviceChoice::Kind::cuda) {
    if (const Result<void> there = check_device(choice, found); !there) return there.error();
    CudaDevice& device = *find_device(found, choice.index);
    if (!needs.misfit.empty()) {
      return Error{ErrorKind::failed, "The GPU cannot run this model: " + needs.misfit + ".", name_of(device), "",
                   "Leave --device out: the CPU runs it."};
    }
    ask(device);
    if (const Result<void> answers = check_device(choice, found); !answers) return answers.error();
    if (device.free_bytes.value_or(0) >= needs.bytes) return choice;
    return Error{ErrorKind::failed, "The model does not fit into the GPU's memory.", memory_of(device, needs.bytes), "",
                 "Close what else uses the GPU, take a smaller model, or --device cpu."};
  }
  const std::vector<CudaDevice*> best = rank_devices(found);
  if (best.empty()) {
    if (found.surprising) note = "On the CPU, because " + found.problem + ".";
    return kCpu;
  }
  if (!needs.misfit.empty()) {
    note = "On the CPU, because the GPU cannot run this model: " + needs.misfit + ".";
    return kCpu;
  }
  for (CudaDevice* device : best) {
    ask(*device);
    if (device->problem.empty() && device->free_bytes.value_or(0) >= needs.bytes) {
      note.clear();
      return DeviceChoice{DeviceChoice::Kind::cuda, device->index};
    }
    if (!note.empty()) continue;  // it tells of the best one
    note = !device->problem.empty() ? "On the CPU, because " + device->name + " " + device->problem + "."
                                    : "On the CPU, because the model does not fit into the GPU's memory: " +
                                          memory_of(*device, needs.bytes) + ".";
  }
  return kCpu;
}

Result<OpenDevice> open_device(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  OpenDevice device;
  if (choice.kind != DeviceChoice::Kind::cpu) device.found = find_cuda_devices();
  const DeviceNeeds needs = device_needs(model);
  std::string failure;  // of the best one that was tried
  while (true) {
    const Result<DeviceChoice> decided = decide_device(choice, device.found, needs, ask_cuda_device, device.note);
    if (!decided) return decided.error();
    if (decided->kind != DeviceChoice::Kind::cuda) break;
    std::string problem;
    try {
      device.ops = make_cuda_ops(decided->index);
      device.index = decided->index;
      return device;
    } catch (const DeviceError& error) {
      problem = error.what();
    } catch (const std::bad_alloc&) {
      problem = "it has no memory left";
    }
    if (choice.kind == DeviceChoice::Kind::cuda) {
      return Error{ErrorKind::failed, "The GPU does not start: " + problem + ".", "--device " + to_string(choice), "",
                   "Leave --device out: it runs on the CPU then."};
    }
    if (failure.empty()) failure = "On the CPU, because the GPU does not start: " + problem + ".";
    find_device(device.found, decided->index)->problem = "does not start: " + problem;  // so the next one is tried
  }
  if (!failure.empty()) device.note = failure;
  device.ops = make_cpu_ops(cpu);
  if (!device.ops) return no_instruction_set();
  return device;
}

Error no_instruction_set() {
  return Error{ErrorKind::usage, "This machine does not have the instruction set asked for.", "$GLASSBOX_CPU",
               "portable, avx2 or avx512, as far as the processor has it", "Unset GLASSBOX_CPU."};
}

}  // namespace glassbox
