// cuBLAS in the emulator: the functions that kernels/cuda/blas.cpp looks for, which it finds in the program itself.
// They queue their work as kernels are queued, and it does what the manual says of the library and no more: it uses the
// workspace that it was given, and refuses a capture without one.
#include <driver_types.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "tests/gpu/emulator/machine.h"
#include "tests/gpu/emulator/streams.h"

namespace glassbox::emulator {
namespace {

constexpr int kSuccess = 0, kNotInitialised = 1, kAllocationFailed = 3, kInvalidValue = 7, kExecutionFailed = 13,
              kNotSupported = 15;
constexpr int kAsItIs = 0, kTransposed = 1, kFloat = 0, kPedanticFp32 = 69, kTf32 = 77, kDefaultAlgorithm = -1;
constexpr int kVersion = 130000;

struct Handle {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  size_t workspace_bytes = 0;
};

// C[m, n] = alpha · Aᵀ B + beta · C by columns, `count` times.
struct Product {
  int m, n, k;
  float alpha, beta;
  const float* a;
  int64_t a_pitch, a_stride;
  const float* b;
  int64_t b_pitch, b_stride;
  float* c;
  int64_t c_pitch, c_stride;
  int count;
  bool tf32;
};

// The allocation that holds a matrix of `columns` columns; a fault where none does, or where it is read and nobody has
// written it.
Region* find_matrix(const char* name, const float* p, int rows, int columns, int64_t pitch, bool is_read) {
  const size_t bytes = static_cast<size_t>((columns - 1) * pitch + rows) * sizeof(float);
  Region* region = device_memory().find(p);
  const auto* first = reinterpret_cast<const std::byte*>(p);
  if (region == nullptr || static_cast<size_t>(region->begin + region->bytes - first) < bytes) {
    note_fault(FaultKind::bounds, std::string("cuBLAS: matrix ") + name + " of " + std::to_string(bytes) + " bytes " +
                                      (region == nullptr ? "outside of all live allocations of the device"
                                                         : "runs over the end of " + region->name));
    return nullptr;
  }
  if (!is_read || region->cells == nullptr) return region;
  const Cell* cells = region->cells.get() + (first - region->begin);
  for (int column = 0; column < columns; ++column) {
    for (size_t i = 0; i < static_cast<size_t>(rows) * sizeof(float); ++i) {
      if (cells[static_cast<size_t>(column * pitch) * sizeof(float) + i].written) continue;
      note_fault(FaultKind::uninitialised, std::string("cuBLAS: matrix ") + name + " holds what nobody has written");
      return nullptr;
    }
  }
  return region;
}

// What the tensor cores use of a value. They may round it instead; without that the error is the larger one.
float as_tf32(float value) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xffffe000u);
}

void multiply(const Product& p, int64_t which) {
  const float *a = p.a + which * p.a_stride, *b = p.b + which * p.b_stride;
  float* c = p.c + which * p.c_stride;
  Region* target = nullptr;
  if (find_matrix("A", a, p.k, p.m, p.a_pitch, true) == nullptr ||
      find_matrix("B", b, p.k, p.n, p.b_pitch, true) == nullptr ||
      (target = find_matrix("C", c, p.m, p.n, p.c_pitch, p.beta != 0)) == nullptr) {
    return;
  }
  for (int column = 0; column < p.n; ++column) {
    for (int row = 0; row < p.m; ++row) {
      const float *left = a + row * p.a_pitch, *right = b + column * p.b_pitch;
      float sum = 0;
      if (p.tf32) {
        for (int i = 0; i < p.k; ++i) sum += as_tf32(left[i]) * as_tf32(right[i]);
      } else {
        for (int i = 0; i < p.k; ++i) sum += left[i] * right[i];
      }
      float& out = c[column * p.c_pitch + row];
      out = p.beta == 0 ? p.alpha * sum : p.alpha * sum + p.beta * out;  // with beta 0, C may hold anything
    }
    DeviceMemory::mark_written(*target, c + column * p.c_pitch, static_cast<size_t>(p.m) * sizeof(float));
  }
}

// The library's own numbers lie there.
void use_workspace(void* workspace, size_t bytes) {
  if (workspace == nullptr) return;
  const Region* region = device_memory().find(workspace);
  if (region == nullptr ||
      static_cast<size_t>(region->begin + region->bytes - static_cast<std::byte*>(workspace)) < bytes) {
    note_fault(FaultKind::bounds, "cuBLAS: its workspace is no device memory, or not any more");
    return;
  }
  constexpr size_t kSome = 256;
  std::memset(workspace, 0xab, std::min(bytes, kSome));
  std::memset(static_cast<std::byte*>(workspace) + bytes - std::min(bytes, kSome), 0xab, std::min(bytes, kSome));
}

int queue(const Handle* handle, const Product& p) {
  const std::scoped_lock lock(runtime_lock());
  if (handle == nullptr) return kNotInitialised;
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.count < 0 || p.a_pitch < std::max(1, p.k) || p.b_pitch < std::max(1, p.k) ||
      p.c_pitch < std::max(1, p.m)) {
    return kInvalidValue;
  }
  if (handle->stream != nullptr && handle->stream->device != current_device()) return kExecutionFailed;
  if (p.m == 0 || p.n == 0 || p.count == 0) return kSuccess;
  if (p.k == 0) return kNotSupported;
  if (is_capturing(handle->stream) && handle->workspace == nullptr) return kAllocationFailed;
  const cudaError_t error =
      finish(enqueue(handle->stream, {[p, workspace = handle->workspace, bytes = handle->workspace_bytes] {
                                        count_launch();
                                        use_workspace(workspace, bytes);
                                        for (int i = 0; i < p.count && !any_fault(); ++i) multiply(p, i);
                                      },
                                      nullptr, 0}));
  return error == cudaSuccess ? kSuccess : kExecutionFailed;
}

bool is_supported(int a_form, int b_form, int a_type, int b_type, int c_type, int compute_type, int algorithm) {
  return a_form == kTransposed && b_form == kAsItIs && a_type == kFloat && b_type == kFloat && c_type == kFloat &&
         (compute_type == kPedanticFp32 || compute_type == kTf32) && algorithm == kDefaultAlgorithm;
}

}  // namespace
}  // namespace glassbox::emulator

using namespace glassbox::emulator;

extern "C" {

int cublasCreate_v2(void** handle) {
  const std::scoped_lock lock(runtime_lock());
  *handle = nullptr;
  if (failure() != cudaSuccess) return kNotInitialised;
  *handle = new Handle;
  return kSuccess;
}

int cublasDestroy_v2(void* handle) {
  const std::scoped_lock lock(runtime_lock());
  drain_all();
  delete static_cast<Handle*>(handle);
  return kSuccess;
}

int cublasGetVersion_v2(void*, int* version) {
  *version = kVersion;
  return kSuccess;
}

int cublasSetStream_v2(void* handle, cudaStream_t stream) {
  auto& own = *static_cast<Handle*>(handle);
  own = {stream, nullptr, 0};
  return kSuccess;
}

int cublasSetWorkspace_v2(void* handle, void* workspace, size_t bytes) {
  auto& own = *static_cast<Handle*>(handle);
  if (workspace == nullptr || reinterpret_cast<uintptr_t>(workspace) % 256 != 0) return kInvalidValue;
  own.workspace = workspace;
  own.workspace_bytes = bytes;
  return kSuccess;
}

int cublasGemmEx(void* handle, int a_form, int b_form, int m, int n, int k, const void* alpha, const void* a,
                 int a_type, int a_pitch, const void* b, int b_type, int b_pitch, const void* beta, void* c, int c_type,
                 int c_pitch, int compute_type, int algorithm) {
  if (!is_supported(a_form, b_form, a_type, b_type, c_type, compute_type, algorithm)) return kNotSupported;
  return queue(static_cast<const Handle*>(handle),
               {m, n, k, *static_cast<const float*>(alpha), *static_cast<const float*>(beta),
                static_cast<const float*>(a), a_pitch, 0, static_cast<const float*>(b), b_pitch, 0,
                static_cast<float*>(c), c_pitch, 0, 1, compute_type == kTf32});
}

int cublasGemmStridedBatchedEx(void* handle, int a_form, int b_form, int m, int n, int k, const void* alpha,
                               const void* a, int a_type, int a_pitch, long long a_stride, const void* b, int b_type,
                               int b_pitch, long long b_stride, const void* beta, void* c, int c_type, int c_pitch,
                               long long c_stride, int count, int compute_type, int algorithm) {
  if (!is_supported(a_form, b_form, a_type, b_type, c_type, compute_type, algorithm)) return kNotSupported;
  if (a_stride < 0 || b_stride < 0 || c_stride < 0) return kInvalidValue;
  return queue(static_cast<const Handle*>(handle),
               {m, n, k, *static_cast<const float*>(alpha), *static_cast<const float*>(beta),
                static_cast<const float*>(a), a_pitch, a_stride, static_cast<const float*>(b), b_pitch, b_stride,
                static_cast<float*>(c), c_pitch, c_stride, count, compute_type == kTf32});
}

}  // extern "C"
