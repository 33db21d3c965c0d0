#include "kernels/cuda/blas.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdlib>
#include <limits>

namespace glassbox::cuda {

// Names, types and numbers are those of the library's binary interface (cublas_api.h of CUDA 12 and 13; the handle is a
// pointer, an enumeration an int).
namespace {
constexpr int kSuccess = 0, kAllocationFailed = 3, kInvalidValue = 7, kExecutionFailed = 13, kNotSupported = 15;
constexpr int kAsItIs = 0, kTransposed = 1;    // cublasOperation_t
constexpr int kFloat = 0;                      // cudaDataType_t, CUDA_R_32F
constexpr int kPedanticFp32 = 69, kTf32 = 77;  // cublasComputeType_t
constexpr int kDefaultAlgorithm = -1;          // cublasGemmAlgo_t
}  // namespace

struct BlasFunctions {
  int (*create)(void** handle) = nullptr;
  int (*destroy)(void* handle) = nullptr;
  int (*get_version)(void* handle, int* version) = nullptr;
  int (*set_stream)(void* handle, cudaStream_t stream) = nullptr;
  int (*set_workspace)(void* handle, void* workspace, size_t bytes) = nullptr;
  // C = alpha · A·B + beta · C, all stored by columns.
  int (*multiply)(void* handle, int a_form, int b_form, int m, int n, int k, const void* alpha, const void* a,
                  int a_type, int a_pitch, const void* b, int b_type, int b_pitch, const void* beta, void* c,
                  int c_type, int c_pitch, int compute_type, int algorithm) = nullptr;
  int (*multiply_batch)(void* handle, int a_form, int b_form, int m, int n, int k, const void* alpha, const void* a,
                        int a_type, int a_pitch, long long a_stride, const void* b, int b_type, int b_pitch,
                        long long b_stride, const void* beta, void* c, int c_type, int c_pitch, long long c_stride,
                        int count, int compute_type, int algorithm) = nullptr;
};

namespace {

// False if the library lacks one of them.
bool look_up(void* library, BlasFunctions& found) {
  const auto find = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    return function != nullptr;
  };
  return find("cublasCreate_v2", found.create) && find("cublasDestroy_v2", found.destroy) &&
         find("cublasGetVersion_v2", found.get_version) && find("cublasSetStream_v2", found.set_stream) &&
         find("cublasSetWorkspace_v2", found.set_workspace) && find("cublasGemmEx", found.multiply) &&
         find("cublasGemmStridedBatchedEx", found.multiply_batch);
}

// It stays loaded: its kernels are registered with the runtime.
bool load(const char* file, BlasFunctions& found) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  return library != nullptr && look_up(library, found);
}

cudaError_t as_cuda_error(int status) {
  switch (status) {
    case kSuccess:
      return cudaSuccess;
    case kAllocationFailed:
      return cudaErrorMemoryAllocation;
    case kInvalidValue:
      return cudaErrorInvalidValue;
    case kExecutionFailed:
      return cudaErrorLaunchFailure;
    case kNotSupported:
      return cudaErrorNotSupported;
    default:
      return cudaErrorUnknown;
  }
}

// What the library's manual recommends for an architecture.
size_t workspace_bytes(int major) {
  return size_t{major >= 9 ? 32u : 4u} << 20;
}

std::string named(int version) {
  return "cuBLAS " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

}  // namespace

const BlasFunctions* find_blas() {
  static const struct Search {
    BlasFunctions functions;
    bool found = false;
    Search() {
      const char* wish = std::getenv("GLASSBOX_CUBLAS");
      if (wish != nullptr && *wish != '\0') {
        found = std::string_view(wish) != "off" && load(wish, functions);
      } else {
        found = look_up(RTLD_DEFAULT, functions) || load("libcublas.so.13", functions) ||
                load("libcublas.so.12", functions);
      }
    }
  } search;
  return search.found ? &search.functions : nullptr;
}

std::unique_ptr<Blas> Blas::start(cudaStream_t stream) {
  std::unique_ptr<Blas> blas(new Blas);
  blas->library_ = find_blas();
  if (blas->library_ == nullptr) return nullptr;
  const BlasFunctions& library = *blas->library_;
  int device = 0, major = 0, version = 0;
  void* memory = nullptr;
  const auto allocate = [&] {
    const size_t bytes = workspace_bytes(major);
    if (cudaMalloc(&memory, bytes) != cudaSuccess) return false;
    blas->workspace_ = {static_cast<std::byte*>(memory), bytes, [](std::byte* p) { cudaFree(p); }};
    return true;
  };
  // The stream first: setting it gives the library its own workspace back.
  const bool started = cudaGetDevice(&device) == cudaSuccess &&
                       cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
                       library.create(&blas->handle_) == kSuccess &&
                       library.get_version(blas->handle_, &version) == kSuccess &&
                       library.set_stream(blas->handle_, stream) == kSuccess && allocate() &&
                       library.set_workspace(blas->handle_, memory, blas->workspace_.bytes()) == kSuccess;
  if (!started) {
    (void)cudaGetLastError();  // it would be taken for the next call's
    return nullptr;
  }
  blas->name_ = named(version);
  return blas;
}

Blas::~Blas() {
  if (handle_ != nullptr) library_->destroy(handle_);
}

bool Blas::can_multiply(int64_t rows, int64_t outputs, int64_t columns) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  return rows <= kMost && outputs <= kMost && columns <= kMost;
}

// Our rows are the library's columns: out by rows is outᵀ by columns, and outᵀ = W xᵀ, where W by rows is Wᵀ by
// columns.
cudaError_t Blas::multiply(const Product& p) {
  const float alpha = 1.0f, beta = p.accumulate ? 1.0f : 0.0f;
  const int m = static_cast<int>(p.outputs), n = static_cast<int>(p.rows), k = static_cast<int>(p.columns);
  const int weight_pitch = static_cast<int>(p.weight_pitch), x_pitch = static_cast<int>(p.x_pitch),
            out_pitch = static_cast<int>(p.out_pitch);
  const int type = p.tf32 ? kTf32 : kPedanticFp32;
  if (p.count == 1) {
    return as_cuda_error(library_->multiply(handle_, kTransposed, kAsItIs, m, n, k, &alpha, p.weights, kFloat,
                                            weight_pitch, p.x, kFloat, x_pitch, &beta, p.out, kFloat, out_pitch, type,
                                            kDefaultAlgorithm));
  }
  return as_cuda_error(library_->multiply_batch(handle_, kTransposed, kAsItIs, m, n, k, &alpha, p.weights, kFloat,
                                                weight_pitch, p.weight_stride, p.x, kFloat, x_pitch, 0, &beta, p.out,
                                                kFloat, out_pitch, p.out_stride, p.count, type, kDefaultAlgorithm));
}

}  // namespace glassbox::cuda
