#include "kernels/cuda/recordings.h"

#include <algorithm>

#include "kernels/cuda/overlap.h"
#include "kernels/device_error.h"

namespace glassbox::cuda {
namespace {

// One for each range of lengths, with what layers show and without, and with what is copied by itself; a graph takes a
// few hundred KB.
constexpr size_t kMost = 16;
constexpr int kMostFailures = 3;

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
    recordings_.push_back({key});
    return;
  }
  std::rotate(found, found + 1, recordings_.end());
  Recording& recording = recordings_.back();
  if (recording.graph == nullptr && recording.failures < kMostFailures) try_to_record(recording, stream, operations);
  if (recording.graph == nullptr) return operations();
  check(cudaGraphLaunch(recording.graph, stream), "starting a recorded step");
}

// What spoils a recording need not be the device's end: another thread may have waited for the whole device meanwhile,
// a driver may not record early launches, or there is no memory for a graph. The operations run without it then; if it
// is the device after all, they say so. The last try is without early launches, which stay away if that helps.
void Recordings::try_to_record(Recording& recording, cudaStream_t stream, const std::function<void()>& operations) {
  try {
    recording.graph = record(stream, operations);
  } catch (const DeviceMemoryError&) {
    ++recording.failures;
  } catch (const DeviceError&) {
    (void)cudaGetLastError();  // it would be taken for the next call's
    ++recording.failures;
    allow_early_launches(recording.failures != kMostFailures - 1);
  }
}

void Recordings::clear() {
  for (const Recording& recording : recordings_) {
    if (recording.graph != nullptr) cudaGraphExecDestroy(recording.graph);
  }
  recordings_.clear();
}

}  // namespace glassbox::cuda
