// Device memory of a test, freed at its end.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace glassbox::testing {

// Throws what a test should not have to ask for.
inline void must(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// cudaMemcpy() may return before what it has read has come to the device, and a stream of one's own does not wait for
// that.
inline void copy_to_device(void* to, const void* from, size_t bytes) {
  must(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
  must(cudaStreamSynchronize(nullptr));
}

template <class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t n) : n_(n) {
    void* p = nullptr;
    must(cudaMalloc(&p, std::max<size_t>(1, n * sizeof(T))));
    data_ = static_cast<T*>(p);
  }
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(values.size()) { write(values); }
  ~DeviceBuffer() { cudaFree(data_); }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  T* data() const { return data_; }
  size_t size() const { return n_; }
  void write(const std::vector<T>& values) { copy_to_device(data_, values.data(), values.size() * sizeof(T)); }
  std::vector<T> read() const {
    std::vector<T> values(n_);
    must(cudaMemcpy(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t n_;
};

}  // namespace glassbox::testing
