#include "kernels/cuda/recordings.h"

#include <algorithm>

namespace glassbox::cuda {
namespace {

constexpr size_t kMost = 16;  // one for each mix of panels and each range of lengths; a graph takes a few hundred KB

cudaGraphExec_t record(cudaStream_t stream, const std::function<void()>& operations) {
  // Other threads go on with their own streams meanwhile.
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "recording a step");
  cudaGraph_t graph = nullptr;
  try {
    operations();
  } catch (...) {
    cudaStreamEndCapture(stream, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(stream, &graph), "recording a step");
  cudaGraphExec_t made = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&made, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "making a graph of a step");
  return made;
}

}  // namespace

void Recordings::run(const Ops::RepeatKey& key, cudaStream_t stream, const std::function<void()>& operations) {
  const auto found =
      std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) { return r.key == key; });
  if (found == recordings_.end()) {
    operations();
    if (recordings_.size() == kMost) {
      if (recordings_.front().graph != nullptr) {
        check(cudaStreamSynchronize(stream), "waiting for the GPU");
        cudaGraphExecDestroy(recordings_.front().graph);
      }
      recordings_.erase(recordings_.begin());
    }
    recordings_.push_back({key, nullptr});
    return;
  }
  std::rotate(found, found + 1, recordings_.end());
  Recording& recording = recordings_.back();
  if (recording.graph == nullptr) recording.graph = record(stream, operations);
  check(cudaGraphLaunch(recording.graph, stream), "starting a recorded step");
}

void Recordings::clear() {
  for (const Recording& recording : recordings_) {
    if (recording.graph != nullptr) cudaGraphExecDestroy(recording.graph);
  }
  recordings_.clear();
}

}  // namespace glassbox::cuda
