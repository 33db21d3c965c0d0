// The device, its memory and its launches: the functions of the CUDA runtime that are not about streams.
#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/gpu/emulator/emulated_device.h"
#include "tests/gpu/emulator/machine.h"
#include "tests/gpu/emulator/sanitizers.h"
#include "tests/gpu/emulator/streams.h"

namespace glassbox::emulator {

std::vector<Fault> exchange_faults();  // faults.cpp

namespace {

struct State {
  Schedule schedule;
  Counters counters;
  cudaError_t last_error = cudaSuccess, failure = cudaSuccess;
  std::map<uintptr_t, size_t> pinned;  // host memory that copies may read and write later
  size_t pinned_limit = 0;             // 0: none
  int devices = 1, broken_device = -1;
  int compute_capability = 0, driver_version = 0;  // 0: what the schedule says, and the runtime's own
  bool without_code = false;
  std::map<const void*, int> most_shared;  // cudaFuncSetAttribute
  // Of each stream the segment up to which all is done and seen before anything new in it begins, launched early or
  // not: what lies before its last launch that was not early, or its last copy, with that.
  std::map<cudaStream_t, uint32_t> settled;
  uint32_t settled_everywhere = 0;  // the last segment when the host knew that nothing ran
};
State& state() {
  static State instance;
  return instance;
}

thread_local int chosen_device = 0;

bool is_pinned(const void* p, size_t bytes) {
  auto found = state().pinned.upper_bound(reinterpret_cast<uintptr_t>(p));
  if (found == state().pinned.begin()) return false;
  --found;
  return reinterpret_cast<uintptr_t>(p) + bytes <= found->first + found->second;
}

// The allocation that holds all the bytes; a fault if one does not.
Region* find_whole(const char* function, const void* p, size_t bytes) {
  Region* region = device_memory().find(p);
  if (region != nullptr &&
      static_cast<size_t>(region->begin + region->bytes - static_cast<const std::byte*>(p)) >= bytes) {
    return region;
  }
  note_fault(FaultKind::transfer, std::string(function) + " of " + std::to_string(bytes) + " bytes " +
                                      (region == nullptr ? "outside of all live allocations of the device"
                                                         : "runs over the end of " + region->name));
  return nullptr;
}

void copy(void* to, const void* from, size_t bytes) {
  DeviceMemory& memory = device_memory();
  Region* target = nullptr;
  if (memory.in_arena(from) && find_whole("a copy from", from, bytes) == nullptr) return;
  if (memory.in_arena(to) && (target = find_whole("a copy to", to, bytes)) == nullptr) return;
  std::memmove(to, from, bytes);
  if (target != nullptr) DeviceMemory::mark_written(*target, to, bytes);
}

// Copies to `to` what is at `from` now.
Operation copy_of_now(void* to, const void* from, size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(from);
  const auto kept = std::make_shared<const std::vector<std::byte>>(begin, begin + bytes);
  return {[=] { copy(to, kept->data(), bytes); }, nullptr, 0};
}

Operation settling(cudaStream_t stream, const Operation& operation) {
  return {[=] {
            operation.run();
            state().settled[stream] = running().segment;
          },
          nullptr, 0};
}

cudaError_t enqueue_copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const bool to_device = device_memory().in_arena(to), from_device = device_memory().in_arena(from);
  if ((kind == cudaMemcpyHostToDevice && (!to_device || from_device)) ||
      (kind == cudaMemcpyDeviceToHost && (to_device || !from_device)) ||
      (kind == cudaMemcpyDeviceToDevice && (!to_device || !from_device))) {
    return cudaErrorInvalidValue;
  }
  if (bytes == 0) return cudaSuccess;
  const Operation later = settling(stream, {[=] { copy(to, from, bytes); }, nullptr, 0});
  if (is_capturing(stream)) return enqueue(stream, later);
  // As the documentation has it: memory that is not pinned is read before the call returns, and is written then too.
  if (!from_device && !is_pinned(from, bytes)) return enqueue(stream, settling(stream, copy_of_now(to, from, bytes)));
  const cudaError_t error = enqueue(stream, later);
  if (error == cudaSuccess && !to_device && !is_pinned(to, bytes)) drain(stream_of(stream));
  return error;
}

Operation set_later(void* p, int value, size_t bytes) {
  return {[=] {
            Region* region = find_whole("cudaMemset", p, bytes);
            if (region == nullptr) return;
            std::memset(p, value, bytes);
            DeviceMemory::mark_written(*region, p, bytes);
          },
          nullptr, 0};
}

bool has_shape(const Launch& launch) {
  const uint64_t threads = uint64_t{launch.block.x} * launch.block.y * launch.block.z;
  return threads > 0 && threads <= kMostThreads && launch.block.z <= 64 && launch.grid.x > 0 && launch.grid.y > 0 &&
         launch.grid.z > 0 && launch.grid.x <= 0x7fffffff && launch.grid.y <= 65535 && launch.grid.z <= 65535;
}

}  // namespace

std::recursive_mutex& runtime_lock() {
  static std::recursive_mutex lock;
  return lock;
}

cudaError_t finish(cudaError_t error) {
  if (any_fault()) error = cudaErrorLaunchFailure;  // as on a GPU, nothing works after a kernel failed
  if (state().failure != cudaSuccess) error = state().failure;
  if (error != cudaSuccess) state().last_error = error;
  return error;
}

cudaError_t enqueue_kernel(bool early, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                           cudaStream_t stream, const void* call, size_t call_bytes, void (*invoke)(const void*)) {
  const std::scoped_lock lock(runtime_lock());
  catch_sanitizers();
  const auto* bytes = static_cast<const std::byte*>(call);
  const Launch launch{kernel,       grid,  block,
                      shared_bytes, early, std::make_shared<const std::vector<std::byte>>(bytes, bytes + call_bytes),
                      invoke};
  if (!has_shape(launch)) return finish(cudaErrorInvalidConfiguration);
  if (stream != nullptr && stream->device != chosen_device) return finish(cudaErrorInvalidResourceHandle);
  const auto most = state().most_shared.find(kernel);
  if (shared_bytes > (most == state().most_shared.end() ? kSharedBytes : static_cast<size_t>(most->second))) {
    return finish(cudaErrorInvalidValue);
  }
  return finish(enqueue(stream, {[=] {
                                   ++state().counters.launches;
                                   state().counters.early_launches += launch.early ? 1 : 0;
                                   uint32_t& settled = state().settled[stream];
                                   if (!launch.early) settled = running().segment;
                                   running().settled_segment = std::max(settled, state().settled_everywhere);
                                   run_launch(launch);
                                 },
                                 nullptr, 0}));
}

int compute_capability() {
  if (state().compute_capability > 0) return state().compute_capability;
  return schedule().launches_early ? 90 : 80;
}

const Schedule& schedule() {
  return state().schedule;
}

void set_schedule(const Schedule& schedule) {
  state().schedule = schedule;
}

std::string Schedule::name() const {
  const char* orders[] = {"forwards", "backwards", "priorities "};
  const char* fills[] = {"zeros", "ones", "noise"};
  return orders[static_cast<int>(order)] + (order == Order::priorities ? std::to_string(seed) : std::string()) +
         ", filled with " + fills[static_cast<int>(fill)] + (launches_early ? "" : ", no early launches");
}

std::vector<Schedule> schedules(int seeds) {
  std::vector<Schedule> all = {{Order::forwards, Fill::ones, 1}, {Order::backwards, Fill::zeros, 2, false}};
  for (int seed = 1; seed <= seeds; ++seed) {
    all.push_back({Order::priorities, static_cast<Fill>(2 - seed % 3), static_cast<uint32_t>(seed), true});
  }
  return all;
}

std::vector<Fault> take_faults() {
  const std::scoped_lock lock(runtime_lock());
  if (any_fault()) drop_queues();
  state().last_error = cudaSuccess;
  return exchange_faults();
}

Build build() {
  return accesses_are_checked()                   ? Build::access
         : __asan_poison_memory_region != nullptr ? Build::address
                                                  : Build::plain;
}

Counters counters() {
  const std::scoped_lock lock(runtime_lock());
  Counters now = state().counters;
  now.allocations = static_cast<int64_t>(device_memory().count());
  now.allocated_bytes = static_cast<int64_t>(device_memory().used());
  return now;
}
void reset_counters() {
  state().counters = {};
}
void count_recording() {
  ++state().counters.recordings;
}
void count_graph_launch(size_t nodes) {
  ++state().counters.graph_launches;
  state().counters.graph_nodes += static_cast<int64_t>(nodes);
}
void count_launch() {
  ++state().counters.launches;
}

Traffic traffic(const void* allocation) {
  const Region* region = device_memory().find(allocation);
  return region == nullptr ? Traffic{} : region->traffic;
}
void reset_traffic(const void* allocation) {
  if (Region* region = device_memory().find(allocation); region != nullptr) region->traffic = {};
}

std::vector<Allocation> allocations() {
  std::vector<Allocation> all;
  for (const auto& [begin, region] : device_memory().regions())
    all.push_back({region.begin, region.bytes, region.traffic});
  return all;
}

void set_failure(cudaError_t error) {
  state().failure = error;
}
cudaError_t failure() {
  return state().failure;
}

void set_memory_limit(size_t bytes) {
  device_memory().set_limit(bytes);
}

void set_pinned_limit(size_t bytes) {
  state().pinned_limit = bytes;
}

void set_device_count(int count) {
  state().devices = count;
}
void set_broken_device(int device) {
  state().broken_device = device;
}
bool is_broken(int device) {
  return device == state().broken_device;
}
void settle_everywhere() {
  state().settled_everywhere = running().segment;
}
void set_compute_capability(int both) {
  state().compute_capability = both;
}
void set_without_code(bool without) {
  state().without_code = without;
}
void set_driver_version(int version) {
  state().driver_version = version;
}
int current_device() {
  return chosen_device;
}

}  // namespace glassbox::emulator

using namespace glassbox::emulator;

extern "C" {

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const std::scoped_lock lock(runtime_lock());
  *p = nullptr;
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  if (bytes == 0) return finish(cudaSuccess);
  if (failure() != cudaSuccess) return finish(failure());
  const Region* region = device_memory().allocate(bytes);
  if (region == nullptr) return finish(cudaErrorMemoryAllocation);
  *p = region->begin;
  return finish(cudaSuccess);
}

cudaError_t cudaFree(void* p) {
  const std::scoped_lock lock(runtime_lock());
  if (p == nullptr) return finish(cudaSuccess);
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  drain_all();  // cudaFree waits for the device
  return finish(device_memory().release(p) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  const std::scoped_lock lock(runtime_lock());
  *p = nullptr;
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  size_t pinned = bytes;
  for (const auto& [begin, size] : state().pinned) pinned += size;
  if (state().pinned_limit > 0 && pinned > state().pinned_limit) return finish(cudaErrorMemoryAllocation);
  *p = std::malloc(bytes == 0 ? 1 : bytes);
  if (*p == nullptr) return finish(cudaErrorMemoryAllocation);
  state().pinned[reinterpret_cast<uintptr_t>(*p)] = bytes;
  return finish(cudaSuccess);
}
cudaError_t cudaMallocHost(void** p, size_t bytes) {
  return cudaHostAlloc(p, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void* p) {
  const std::scoped_lock lock(runtime_lock());
  if (p == nullptr) return finish(cudaSuccess);
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  drain_all();
  if (state().pinned.erase(reinterpret_cast<uintptr_t>(p)) == 0) return finish(cudaErrorInvalidValue);
  std::free(p);
  return finish(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  return finish(enqueue_copy(to, from, bytes, kind, stream));
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const std::scoped_lock lock(runtime_lock());
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  const bool staged = kind == cudaMemcpyHostToDevice && bytes > 0 && device_memory().in_arena(to) &&
                      !device_memory().in_arena(from) && !is_pinned(from, bytes);
  if (!staged) return finish(enqueue_copy(to, from, bytes, kind, nullptr));
  // From memory that is not pinned the call only waits until it has been read.
  if (find_whole("a copy to", to, bytes) == nullptr) return finish(cudaSuccess);
  return finish(enqueue_late(copy_of_now(to, from, bytes)));
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  if (!device_memory().in_arena(p)) return finish(cudaErrorInvalidValue);
  return finish(enqueue(stream, set_later(p, value, bytes)));
}
cudaError_t cudaMemset(void* p, int value, size_t bytes) {
  const std::scoped_lock lock(runtime_lock());
  if (!device_memory().in_arena(p)) return finish(cudaErrorInvalidValue);
  return finish(enqueue_late(set_later(p, value, bytes)));
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const std::scoped_lock lock(runtime_lock());
  *total = device_memory().limit();
  *free = *total - std::min(*total, device_memory().used());
  return finish(cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = failure() == cudaSuccess ? state().devices : 0;
  return finish(cudaSuccess);
}
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= state().devices) return finish(cudaErrorInvalidDevice);
  chosen_device = device;
  return finish(cudaSuccess);
}
cudaError_t cudaGetDevice(int* device) {
  *device = chosen_device;
  return finish(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= state().devices) return finish(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "emulated");
  properties->totalGlobalMem = device_memory().limit();
  properties->sharedMemPerBlock = kSharedBytes;
  properties->sharedMemPerBlockOptin = kMostSharedBytes;
  properties->sharedMemPerMultiprocessor = kMostSharedBytes + 1024;
  properties->warpSize = static_cast<int>(kWarp);
  properties->maxThreadsPerBlock = static_cast<int>(kMostThreads);
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->multiProcessorCount = 132;
  properties->regsPerBlock = 65536;
  properties->major = compute_capability() / 10;
  properties->minor = compute_capability() % 10;
  return finish(cudaSuccess);
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int, size_t) {
  *blocks = 4;
  return finish(cudaSuccess);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (device < 0 || device >= state().devices) return finish(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = 132;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(kMostSharedBytes);
      break;
    case cudaDevAttrL2CacheSize:
      *value = 32 << 20;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = compute_capability() / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = compute_capability() % 10;
      break;
    default:
      return finish(cudaErrorNotSupported);
  }
  return finish(cudaSuccess);
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return finish(cudaSuccess);
}
cudaError_t cudaDriverGetVersion(int* version) {
  if (state().driver_version == 0) return cudaRuntimeGetVersion(version);
  *version = state().driver_version;  // it answers where nothing else does
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const std::scoped_lock lock(runtime_lock());
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) {
    return finish(value >= -1 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue);
  }
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return finish(cudaErrorNotSupported);
  if (value < 0 || static_cast<size_t>(value) > kMostSharedBytes) return finish(cudaErrorInvalidValue);
  state().most_shared[kernel] = value;
  return finish(cudaSuccess);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  if (state().without_code) return finish(cudaErrorNoKernelImageForDevice);
  attributes->maxThreadsPerBlock = static_cast<int>(kMostThreads);
  attributes->binaryVersion = attributes->ptxVersion = compute_capability();
  return finish(cudaSuccess);
}

cudaError_t cudaPeekAtLastError() {
  return any_fault() ? cudaErrorLaunchFailure : state().last_error;
}
cudaError_t cudaGetLastError() {
  const std::scoped_lock lock(runtime_lock());
  const cudaError_t error = cudaPeekAtLastError();
  state().last_error = cudaSuccess;
  return error;
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInsufficientDriver:
      return "the driver is missing or too old";
    case cudaErrorDevicesUnavailable:
      return "the device is not available";
    case cudaErrorLaunchFailure:
      return "the kernel failed; see emulator::take_faults()";
    default:
      return "an error of the emulated runtime";
  }
}
const char* cudaGetErrorName(cudaError_t error) {
  return cudaGetErrorString(error);
}

}  // extern "C"
