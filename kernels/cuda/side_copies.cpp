#include "kernels/cuda/side_copies.h"

#include "kernels/cuda/recordings.h"

namespace glassbox::cuda {
namespace {

cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return event;
}

}  // namespace

SideCopies::SideCopies() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "starting a stream");
  computed_ = make_event();
  for (cudaEvent_t& mark : marks_) mark = make_event();
}

SideCopies::~SideCopies() {
  cudaStreamSynchronize(stream_);
  for (const cudaEvent_t mark : marks_) cudaEventDestroy(mark);
  cudaEventDestroy(computed_);
  cudaStreamDestroy(stream_);
}

void SideCopies::download(cudaStream_t after, const void* from, size_t bytes, void* host) {
  check(cudaEventRecord(computed_, after), "marking what is computed");
  check(cudaStreamWaitEvent(stream_, computed_, 0), "waiting for what is computed");
  running_ = true;
  check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, stream_), "copying from the GPU");
}

void SideCopies::mark(int mark) {
  check(cudaEventRecord(marks_[static_cast<size_t>(mark)], stream_), "marking copies");
}

void SideCopies::await(cudaStream_t stream, int mark) {
  check(cudaStreamWaitEvent(stream, marks_[static_cast<size_t>(mark)], 0), "waiting for copies");
}

void SideCopies::wait() {
  if (!running_) return;
  check(cudaStreamSynchronize(stream_), "waiting for copies from the GPU");
  running_ = false;
}

}  // namespace glassbox::cuda
