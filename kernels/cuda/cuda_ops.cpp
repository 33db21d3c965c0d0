#include "kernels/cuda/cuda_ops.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <thread>
#include <utility>

#include "kernels/cuda/code_check.h"
#include "kernels/cuda/wide_layer.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_error.h"

namespace glassbox::cuda {

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  if (error == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();  // it stays otherwise, and is taken for the next call's
    throw DeviceMemoryError();
  }
  throw DeviceError(std::string(what) + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")");
}

namespace {

constexpr int kOldestMajor = 7, kOldestMinor = 5;  // the oldest architecture that the kernels are compiled for
constexpr int kMostHeads = 65535;                  // a launch has a block for each in the second dimension of its grid

// Which device a thread works on is its own setting. Only this function sets it, so it knows when it need not.
cudaError_t choose_device(int device) {
  thread_local int chosen = -1;
  if (chosen == device) return cudaSuccess;
  const cudaError_t error = cudaSetDevice(device);
  chosen = error == cudaSuccess ? device : -1;
  return error;
}

// Nothing to copy may come with null pointers.
void copy_async(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream, const char* what) {
  if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, stream), what);
}

// The runtime says the same of an old driver and of none.
void tell_of_driver(CudaDevices& found) {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) {
    found.problem = "there is no NVIDIA driver";
    return;
  }
  const auto named = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  found.problem = "the NVIDIA driver is for CUDA " + named(version) + ", this program needs " + named(CUDART_VERSION);
  found.surprising = true;
}

std::string capability(int major, int minor) {
  return "compute capability " + std::to_string(major) + "." + std::to_string(minor);
}

std::string why_unusable(cudaError_t error, int major, int minor) {
  if (error == cudaErrorNoKernelImageForDevice) {
    return "has " + capability(major, minor) + ", and this program was built without code for that";
  }
  return std::string("does not answer: ") + cudaGetErrorString(error);
}

}  // namespace

CudaOps::CudaOps(int device, BlasChoice blas) : device_(device) {
  check(choose_device(device), "choosing the GPU");
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "asking the GPU what it is");
  if (const cudaError_t error = check_code(); error != cudaSuccess) {
    (void)cudaGetLastError();
    throw DeviceError("it " + why_unusable(error, properties.major, properties.minor));
  }
  description_ = "cuda " + std::string(properties.name);
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "starting a stream");
  for (cudaEvent_t& event : marks_) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  side_copies_ = std::make_unique<SideCopies>();
  products_ = std::make_unique<Products>(stream_, blas);
  description_ += ", " + products_->description();
}

CudaOps::~CudaOps() {
  (void)choose_device(device_);
  cudaStreamSynchronize(stream_);
  recordings_.clear();
  products_.reset();
  for (const cudaEvent_t event : marks_) cudaEventDestroy(event);
  side_copies_.reset();
  cudaStreamDestroy(stream_);
}

cudaStream_t CudaOps::stream() const {
  check(choose_device(device_), "choosing the GPU");
  return stream_;
}

Buffer CudaOps::allocate(size_t bytes) {
  (void)stream();
  void* data = nullptr;
  check(cudaMalloc(&data, std::max<size_t>(bytes, 1)), "allocating memory of the GPU");
  return {static_cast<std::byte*>(data), bytes, [](std::byte* p) { cudaFree(p); }};
}

Buffer CudaOps::allocate_staging(size_t bytes) {
  (void)stream();
  void* data = nullptr;
  const cudaError_t error = cudaMallocHost(&data, std::max<size_t>(bytes, 1));
  if (error == cudaErrorMemoryAllocation) {  // the system pins no more: copies are slower then, and wait for their end
    (void)cudaGetLastError();
    return Buffer(bytes);
  }
  check(error, "allocating pinned memory");
  return {static_cast<std::byte*>(data), bytes, [](std::byte* p) { cudaFreeHost(p); }};
}

void CudaOps::upload(const void* host, size_t bytes, void* to) {
  copy_async(to, host, bytes, cudaMemcpyHostToDevice, stream(), "copying to the GPU");
}

void CudaOps::download(const void* from, size_t bytes, void* host) {
  copy_async(host, from, bytes, cudaMemcpyDeviceToHost, stream(), "copying from the GPU");
}

void CudaOps::copy(const void* from, size_t bytes, void* to) {
  copy_async(to, from, bytes, cudaMemcpyDeviceToDevice, stream(), "copying on the GPU");
}

void CudaOps::download_beside(const void* from, size_t bytes, void* host) {
  if (bytes > 0) side_copies_->download(stream(), from, bytes, host);
}

void CudaOps::mark_downloads(int mark) {
  (void)stream();
  side_copies_->mark(mark);
}

void CudaOps::await_downloads(int mark) {
  side_copies_->await(stream(), mark);
}

void CudaOps::wait() {
  check(cudaStreamSynchronize(stream()), "waiting for the GPU");
  side_copies_->wait();
}

void CudaOps::mark(int which) {
  check(cudaEventRecord(marks_[static_cast<size_t>(which)], stream()), "recording an event");
}

void CudaOps::wait_for(int which) {
  (void)stream();
  check(cudaEventSynchronize(marks_[static_cast<size_t>(which)]), "waiting for the GPU");
}

DeviceMemory CudaOps::memory() const {
  (void)stream();
  DeviceMemory memory;
  check(cudaMemGetInfo(&memory.free_bytes, &memory.total_bytes), "asking the GPU for its memory");
  return memory;
}

std::shared_ptr<Ops> CudaOps::beside() const {
  return std::make_shared<CudaOps>(device_, BlasChoice::never);
}

void CudaOps::repeat(const RepeatKey& key, const std::function<void()>& operations) {
  recordings_.run(key, stream(), operations);
}

bool CudaOps::decoder_layer(const DecoderLayer& layer, const AttentionArgs& args, Precision precision, float* resid,
                            const LayerScratch& scratch, const LayerOutputs& outputs,
                            const LayerOutputs* placed_outputs) {
  if (!fits_decoder_layer(layer, args)) {
    if (args.row_count <= kMostFusedRows || !fits_wide_layer(*products_, layer, args)) return false;
    check(wide_layer(*products_, layer, args, precision, resid, scratch, outputs, stream()), "wide_layer");
    return true;
  }
  const size_t bytes =
      decoder_scratch_floats(args.heads, args.head_dim, static_cast<int>(layer.up.weight.rows())) * sizeof(float);
  // What there was stays: recorded steps of another model may use it.
  if (scratch_.empty() || scratch_.back().bytes() < bytes) scratch_.push_back(allocate(bytes));
  check(cuda::decoder_layer(layer, args, resid, scratch_.back().f32(), placed_outputs, stream()), "decoder_layer");
  return true;
}

bool CudaOps::reads_placed_outputs(const DecoderLayer& layer, const AttentionArgs& args) const {
  return fits_decoder_layer(layer, args);
}

bool CudaOps::head(const Norm& norm, const Linear& layer, float soft_cap, const float* resid, int64_t rows,
                   std::span<const int32_t> logit_rows, float* logits, float* final_norm) {
  const auto count = static_cast<int64_t>(logit_rows.size());
  if (!fits_head(layer, count)) return false;
  check(cuda::head(norm, layer, soft_cap, resid, rows, count == rows ? nullptr : logit_rows.data(), count, logits,
                   final_norm, stream()),
        "head");
  return true;
}

void CudaOps::draw(const float* logits, int64_t vocab, std::span<const DrawRow> rows) {
  check(cuda::draw(logits, vocab, rows.data(), static_cast<int64_t>(rows.size()), stream()), "draw");
}

void CudaOps::nearest_rows(const Tensor& table, const float* query, float query_norm, int32_t leave_out, int count,
                           RowCloseness* closeness, NearestRow* out) {
  check(cuda::nearest_rows(table, query, query_norm, leave_out, count, closeness, out, stream()), "nearest_rows");
}

void CudaOps::embed(const Tensor& table, std::span<const int32_t> ids, float* out) {
  check(cuda::embed(table, ids.data(), static_cast<int64_t>(ids.size()), out, stream()), "embed");
}

void CudaOps::rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) {
  check(cuda::rmsnorm(x, weight, eps, rows, n, out, stream()), "rmsnorm");
}

void CudaOps::layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                        float* out) {
  check(cuda::layernorm(x, weight, bias, eps, rows, n, out, stream()), "layernorm");
}

void CudaOps::linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) {
  (void)stream();
  check(products_->linears(x, layers, precision, rows), "linears");
}

void CudaOps::rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
                   float attention_factor, float* out) {
  check(cuda::rope(x, rows.data(), static_cast<int>(rows.size()), heads, head_dim, frequency, attention_factor, out,
                   stream()),
        "rope");
}

void CudaOps::kv_store(const AttentionArgs& args, const float* k, const float* v) {
  check(cuda::kv_store(args, k, v, stream()), "kv_store");
}

void CudaOps::attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                        std::span<const KeyRow> pattern, const PatternSummary& summary) {
  check(cuda::attention(args, q, z, scores.data(), pattern.data(), stream()), "attention");
  if (summary.wanted()) summarise_pattern(args, pattern, summary);
}

void CudaOps::attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) {
  check(cuda::attention_scores(args, q, scores.data(), stream()), "attention_scores");
}

void CudaOps::attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                                std::span<const KeyRow> pattern) {
  check(cuda::attention_softmax(args, scores.data(), pattern.data(), stream()), "attention_softmax");
}

void CudaOps::attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) {
  check(cuda::attention_mix(args, pattern.data(), z, stream()), "attention_mix");
}

void CudaOps::add(const float* a, const float* b, int64_t n, float* out) {
  check(cuda::add(a, b, n, out, stream()), "add");
}

void CudaOps::multiply(const float* a, const float* b, int64_t n, float* out) {
  check(cuda::multiply(a, b, n, out, stream()), "multiply");
}

void CudaOps::silu(const float* x, int64_t n, float* out) {
  check(cuda::silu(x, n, out, stream()), "silu");
}

void CudaOps::gelu_tanh(const float* x, int64_t n, float* out) {
  check(cuda::gelu_tanh(x, n, out, stream()), "gelu_tanh");
}

void CudaOps::summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                                const PatternSummary& summary) {
  check(cuda::summarise_pattern(args, pattern.data(), summary, stream()), "summarise_pattern");
}

void CudaOps::heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out) {
  check(cuda::heads_alone(z, rows, heads, head_dim, out, stream()), "heads_alone");
}

void CudaOps::gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out) {
  check(cuda::gather_rows(x, rows.data(), static_cast<int64_t>(rows.size()), columns, out, stream()), "gather_rows");
}

void CudaOps::scale(const float* x, float factor, int64_t n, float* out) {
  check(cuda::scale(x, factor, n, out, stream()), "scale");
}

void CudaOps::soft_cap(const float* x, float cap, int64_t n, float* out) {
  check(cuda::soft_cap(x, cap, n, out, stream()), "soft_cap");
}

void CudaOps::round_to_f16(const float* x, int64_t n, float* out) {
  check(cuda::round_to_f16(x, n, out, stream()), "round_to_f16");
}

}  // namespace glassbox::cuda

namespace glassbox {

CudaDevices find_cuda_devices() {
  CudaDevices found;
  found.built_in = true;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver) {
      cuda::tell_of_driver(found);
    } else {
      found.problem = cudaGetErrorString(error);
      found.surprising = error != cudaErrorNoDevice;
    }
    return found;
  }
  bool usable = false;
  for (int i = 0; i < count; ++i) {
    CudaDevice device;
    device.index = i;
    cudaDeviceProp properties;
    if (const cudaError_t error = cudaGetDeviceProperties(&properties, i); error != cudaSuccess) {
      (void)cudaGetLastError();
      device.name = "GPU " + std::to_string(i);
      device.problem = cuda::why_unusable(error, 0, 0);
    } else {
      device.name = properties.name;
      device.major = properties.major;
      device.minor = properties.minor;
      device.total_bytes = properties.totalGlobalMem;
      if (std::pair(device.major, device.minor) < std::pair(cuda::kOldestMajor, cuda::kOldestMinor)) {
        device.problem = "is older than " + cuda::capability(cuda::kOldestMajor, cuda::kOldestMinor);
      }
    }
    usable |= device.problem.empty();
    found.devices.push_back(std::move(device));
  }
  if (found.devices.empty()) {
    found.problem = "there is no NVIDIA GPU";
  } else if (!usable) {
    found.problem = found.devices.front().name + " " + found.devices.front().problem;
    found.surprising = true;
  }
  return found;
}

void ask_cuda_device(CudaDevice& device) {
  // On a thread of its own: to set the current device back would make a context on that one too.
  std::thread([&device] {
    size_t free = 0, total = 0;
    cudaError_t error = cuda::choose_device(device.index);
    if (error == cudaSuccess) error = cuda::check_code();
    if (error == cudaSuccess) error = cudaMemGetInfo(&free, &total);
    if (error == cudaSuccess) {
      device.free_bytes = free;
    } else {
      (void)cudaGetLastError();
      device.problem = cuda::why_unusable(error, device.major, device.minor);
    }
  }).join();
}

std::string find_cuda_misfit(int heads, int head_dim) {
  if (head_dim > cuda::kMostHeadDim) {
    return "its heads have " + std::to_string(head_dim) + " dimensions, and the kernels take at most " +
           std::to_string(cuda::kMostHeadDim);
  }
  if (heads > cuda::kMostHeads) return "it has more than " + std::to_string(cuda::kMostHeads) + " heads";
  return {};
}

std::shared_ptr<Ops> make_cuda_ops(int device) {
  return std::make_shared<cuda::CudaOps>(device);
}

}  // namespace glassbox
