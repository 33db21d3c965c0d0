// What a kernel of a decoder layer stores for those who look. Where to, lies in device memory with what was sent for
// the step, and not among the kernel's arguments, so that one recording of the step serves every mix of outputs. A
// block fetches it before it waits for the launches before, into shared memory: read when it is needed, it would come a
// trip to memory later, and registers for all of it would be taken through the products.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/reductions.h"
#include "kernels/decoder_layer.h"

namespace glassbox::cuda {

// As a launch is told.
struct WantedOutputs {
  const LayerOutputs* outputs = nullptr;  // in device memory; null: nothing is wanted
  int first_row = 0;                      // which of the outputs' rows is the launch's first
};

// As a block has it.
class SeenOutputs {
 public:
  // Both must outlive it; `shared` is the block's.
  __device__ SeenOutputs(const WantedOutputs& wanted, LayerOutputs& shared) : wanted_(wanted), shared_(shared) {}

  // By all threads, before the launches before are waited for. What follows, after the block's next barrier.
  __device__ void fetch() const {
    constexpr unsigned kWords = sizeof(LayerOutputs) / sizeof(uint64_t);
    static_assert(kWords <= kWarp, "a word a thread");
    if (!any() || threadIdx.x >= kWords) return;
    reinterpret_cast<uint64_t*>(&shared_)[threadIdx.x] =
        reinterpret_cast<const uint64_t*>(wanted_.outputs)[threadIdx.x];
  }

  __device__ bool any() const { return wanted_.outputs != nullptr; }
  // The launch's rows of an output, [rows, width]; null: it is not wanted.
  __device__ float* rows(float* LayerOutputs::*output, int64_t width) const {
    float* const first = any() ? shared_.*output : nullptr;
    return first == nullptr ? nullptr : first + wanted_.first_row * width;
  }
  __device__ const KeyRow* rows(const KeyRow* LayerOutputs::*output) const {
    const KeyRow* const first = any() ? shared_.*output : nullptr;
    return first == nullptr ? nullptr : first + wanted_.first_row;
  }
  // Value n of the launch's row r, where it is wanted.
  __device__ void store(float* LayerOutputs::*output, int64_t width, int r, int n, float value) const {
    if (float* const out = rows(output, width)) out[r * width + n] = value;
  }

 private:
  const WantedOutputs& wanted_;
  LayerOutputs& shared_;
};

}  // namespace glassbox::cuda
