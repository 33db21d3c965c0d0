#include "core/run/device.h"

#include <algorithm>
#include <charconv>
#include <new>

#include "core/model/transformer.h"
#include "kernels/device_error.h"

namespace glassbox {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
// The driver's own, what the cache reserves ahead, and pages on their way.
constexpr size_t kSpareBytes = 256 * kMiB;

std::string mebibytes(size_t bytes) {
  return std::to_string((bytes + kMiB - 1) / kMiB) + " MiB";
}

std::string memory_of(const CudaDevice& device, size_t needed) {
  return "needs " + mebibytes(needed) + ", " + mebibytes(device.free_bytes) + " of " + mebibytes(device.total_bytes) +
         " are free";
}

Error no_cuda(const DeviceChoice& choice, const CudaDevices& found) {
  return Error{ErrorKind::usage, "There is no such device: " + found.problem + ".", "--device " + to_string(choice),
               found.devices.empty() ? "auto or cpu" : "cuda:0 to cuda:" + std::to_string(found.devices.back().index),
               found.built_in ? "Is NVIDIA's driver installed, and new enough for CUDA 13 (580 or later)?"
                              : "Build it where there is a CUDA toolkit, or leave --device out."};
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
  size_t per_position = 0, per_row = 0;
  for (const LayerConfig& layer : config.layers) {
    const auto keys = static_cast<size_t>(layer.kv_heads * layer.head_dim);
    const auto queries = static_cast<size_t>(layer.heads * layer.head_dim);
    per_position += 2 * keys * sizeof(uint16_t);
    per_row = std::max(per_row, 2 * queries + 2 * keys + 2 * static_cast<size_t>(layer.ff));
  }
  per_row += 3 * static_cast<size_t>(config.width);
  constexpr size_t kRows = kDeviceRowsPerCall, kLogitRows = 32;  // of a session's calls
  return model.weight_bytes() + lost_to_granularity(model) + per_position * static_cast<size_t>(config.context) +
         (kRows * per_row + kLogitRows * static_cast<size_t>(config.vocab)) * sizeof(float) + kSpareBytes;
}

Result<DeviceChoice> decide_device(const DeviceChoice& choice, const CudaDevices& found, size_t needed,
                                   std::string& note) {
  constexpr DeviceChoice kCpu{DeviceChoice::Kind::cpu};
  note.clear();
  if (choice.kind == DeviceChoice::Kind::cpu) return choice;
  if (choice.kind == DeviceChoice::Kind::cuda) {
    const auto device = std::find_if(found.devices.begin(), found.devices.end(),
                                     [&](const CudaDevice& d) { return d.index == choice.index; });
    if (device == found.devices.end()) return no_cuda(choice, found);
    if (device->free_bytes >= needed) return choice;
    return Error{ErrorKind::failed, "The model does not fit into the GPU's memory.",
                 device->name + ": " + memory_of(*device, needed), "",
                 "Close what else uses the GPU, take a smaller model, or --device cpu."};
  }
  for (const CudaDevice& device : found.devices) {
    if (device.free_bytes >= needed) return DeviceChoice{DeviceChoice::Kind::cuda, device.index};
  }
  if (!found.devices.empty()) {
    note = "On the CPU, because the model does not fit into the GPU's memory: " +
           memory_of(found.devices.front(), needed) + ".";
  }
  return kCpu;
}

Result<OpenDevice> open_device(const DeviceChoice& choice, const CpuOptions& cpu, const Model& model) {
  OpenDevice device;
  if (choice.kind != DeviceChoice::Kind::cpu) device.found = find_cuda_devices();
  const Result<DeviceChoice> decided = decide_device(choice, device.found, device_bytes(model), device.note);
  if (!decided) return decided.error();
  if (decided->kind == DeviceChoice::Kind::cuda) {
    std::string problem;
    try {
      device.ops = make_cuda_ops(decided->index);
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
    device.note = "On the CPU, because the GPU does not start: " + problem + ".";
  }
  device.ops = make_cpu_ops(cpu);
  if (!device.ops) return no_instruction_set();
  return device;
}

Error no_instruction_set() {
  return Error{ErrorKind::usage, "This machine does not have the instruction set asked for.", "$GLASSBOX_CPU",
               "portable, avx2 or avx512, as far as the processor has it", "Unset GLASSBOX_CPU."};
}

}  // namespace glassbox
