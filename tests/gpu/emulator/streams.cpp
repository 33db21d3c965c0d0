// Streams, events and graphs. A graph keeps its operations in the order in which they were captured.
#include "tests/gpu/emulator/streams.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <set>

#include "tests/gpu/emulator/machine.h"

namespace glassbox::emulator {
namespace {

struct Streams {
  CUstream_st standard;  // the default stream
  std::set<CUstream_st*> others;
  std::set<CUgraph_st*> captures;
  std::minstd_rand random{1};
};
Streams& streams() {
  static Streams state;
  return state;
}

bool known(cudaStream_t stream) {
  return stream == nullptr || streams().others.contains(stream);
}

void run_first(CUstream_st& stream) {
  const Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  while (operation.awaited != nullptr && operation.awaited->done < operation.ticket &&
         operation.awaited->stream != nullptr && !operation.awaited->stream->queue.empty()) {
    run_first(*operation.awaited->stream);
  }
  if (operation.run && !any_fault() && failure() == cudaSuccess) operation.run();
}

// Sometimes a stream is quick.
void run_some() {
  if (schedule().order != Order::priorities) return;
  const auto run_few = [](CUstream_st& stream) {
    for (unsigned n = static_cast<unsigned>(streams().random()) % 3; n > 0 && !stream.queue.empty(); --n) {
      run_first(stream);
    }
  };
  run_few(streams().standard);
  for (CUstream_st* stream : streams().others) run_few(*stream);
}

double now_in_milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

CUstream_st& stream_of(cudaStream_t stream) {
  return stream == nullptr ? streams().standard : *stream;
}

bool is_capturing(cudaStream_t stream) {
  return stream_of(stream).capture != nullptr;
}

cudaError_t refuse_in_capture() {
  cudaError_t error = cudaSuccess;
  for (CUgraph_st* graph : streams().captures) {
    if (graph->mode == cudaStreamCaptureModeRelaxed ||
        (graph->mode == cudaStreamCaptureModeThreadLocal && graph->thread != std::this_thread::get_id())) {
      continue;
    }
    graph->broken = true;
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

void drain(CUstream_st& stream) {
  while (!stream.queue.empty()) run_first(stream);
}

void drain_all() {
  drain(streams().standard);
  std::vector<CUstream_st*> all(streams().others.begin(), streams().others.end());
  if (schedule().order == Order::backwards) std::reverse(all.begin(), all.end());
  for (CUstream_st* stream : all) drain(*stream);
}

void drop_queues() {
  for (CUstream_st* stream : streams().others) {
    stream->queue.clear();
    stream->capture = nullptr;
  }
  streams().standard.queue.clear();
  streams().captures.clear();
}

cudaError_t enqueue(cudaStream_t stream, Operation operation) {
  if (!known(stream)) return cudaErrorInvalidResourceHandle;
  CUstream_st& queue = stream_of(stream);
  if (queue.capture != nullptr) {
    queue.capture->operations.push_back(std::move(operation));
    return cudaSuccess;
  }
  if (stream == nullptr) {
    const cudaError_t error = enqueue_late(std::move(operation));
    drain(queue);
    return error;
  }
  if (queue.blocking) drain(streams().standard);
  queue.queue.push_back(std::move(operation));
  run_some();
  return cudaSuccess;
}

// It runs after all that was queued in the others, and they go on after it: those of them that are blocking.
cudaError_t enqueue_late(Operation operation) {
  for (CUstream_st* other : streams().others) {
    if (!other->blocking) continue;
    if (other->capture != nullptr) {
      other->capture->broken = true;
      return cudaErrorStreamCaptureImplicit;
    }
    drain(*other);
  }
  streams().standard.queue.push_back(std::move(operation));
  return cudaSuccess;
}

}  // namespace glassbox::emulator

using namespace glassbox::emulator;

// Nor may anybody wait for a stream that captures, or for the whole device then, or ask how far they are.
static cudaError_t refuse_for(CUgraph_st* capture) {
  if (capture == nullptr) return refuse_in_capture();
  capture->broken = true;
  return cudaErrorStreamCaptureUnsupported;
}

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  const std::scoped_lock lock(runtime_lock());
  if (is_broken(current_device())) return finish(cudaErrorDevicesUnavailable);
  *stream = new CUstream_st;
  (*stream)->device = current_device();
  (*stream)->blocking = (flags & cudaStreamNonBlocking) == 0;
  streams().others.insert(*stream);
  return finish(cudaSuccess);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  if (stream == nullptr || !known(stream)) return finish(cudaErrorInvalidResourceHandle);
  drain(*stream);
  streams().others.erase(stream);
  delete stream;
  return finish(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  if (!known(stream)) return finish(cudaErrorInvalidResourceHandle);
  if (const cudaError_t error = refuse_for(stream_of(stream).capture); error != cudaSuccess) return finish(error);
  if (stream == nullptr) {
    for (CUstream_st* other : streams().others) {
      if (other->blocking) drain(*other);
    }
  }
  drain(stream_of(stream));
  const auto empty = [](const CUstream_st* other) { return other->queue.empty(); };
  if (stream_of(nullptr).queue.empty() && std::ranges::all_of(streams().others, empty)) settle_everywhere();
  return finish(cudaSuccess);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  if (!known(stream)) return finish(cudaErrorInvalidResourceHandle);
  CUstream_st& queue = stream_of(stream);
  if (const cudaError_t error = refuse_for(queue.capture); error != cudaSuccess) return finish(error);
  if (queue.queue.empty()) return finish(cudaSuccess);
  run_first(queue);  // who asks again and again gets there
  return any_fault() || failure() != cudaSuccess ? finish(cudaSuccess) : cudaErrorNotReady;
}

cudaError_t cudaDeviceSynchronize() {
  const std::scoped_lock lock(runtime_lock());
  for (CUgraph_st* graph : streams().captures) {
    if (const cudaError_t error = refuse_for(graph); error != cudaSuccess) return finish(error);
  }
  drain_all();
  return finish(cudaSuccess);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const std::scoped_lock lock(runtime_lock());
  return finish(enqueue(stream, {[=] { function(data); }, nullptr, 0}));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const std::scoped_lock lock(runtime_lock());
  *event = new CUevent_st;
  (*event)->device = current_device();
  return finish(cudaSuccess);
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::scoped_lock lock(runtime_lock());
  delete event;
  return finish(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  const std::shared_ptr<EventState> state = event->state;
  const int device = stream == nullptr ? current_device() : known(stream) ? stream->device : -1;
  if (device != event->device) return finish(cudaErrorInvalidResourceHandle);
  state->capture = stream_of(stream).capture;
  if (state->capture != nullptr) return finish(cudaSuccess);  // the order of the graph tells it
  state->stream = &stream_of(stream);
  const uint64_t ticket = ++state->recorded;
  return finish(enqueue(stream, {[=] {
                                   state->done = std::max(state->done, ticket);
                                   state->milliseconds = now_in_milliseconds();
                                 },
                                 nullptr, 0}));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const std::scoped_lock lock(runtime_lock());
  const EventState& state = *event->state;
  if (state.capture != nullptr) return finish(cudaErrorCapturedEvent);
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  while (state.done < state.recorded && !state.stream->queue.empty()) run_first(*state.stream);
  return finish(cudaSuccess);
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::scoped_lock lock(runtime_lock());
  const EventState& state = *event->state;
  if (state.capture != nullptr) return finish(cudaErrorCapturedEvent);
  if (const cudaError_t error = refuse_in_capture(); error != cudaSuccess) return finish(error);
  if (state.done >= state.recorded) return finish(cudaSuccess);
  if (!state.stream->queue.empty()) run_first(*state.stream);
  return any_fault() || failure() != cudaSuccess ? finish(cudaSuccess) : cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const std::scoped_lock lock(runtime_lock());
  for (const cudaEvent_t event : {start, end}) {
    if (event->state->recorded == 0) return finish(cudaErrorInvalidResourceHandle);
    if (event->state->done < event->state->recorded) return finish(cudaErrorNotReady);
  }
  *milliseconds = static_cast<float>(end->state->milliseconds - start->state->milliseconds);
  return finish(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(runtime_lock());
  if (!known(stream)) return finish(cudaErrorInvalidResourceHandle);
  CUgraph_st* const capture = event->state->capture;
  if (capture != nullptr) {  // the stream joins the capture
    if (!streams().captures.contains(capture)) return finish(cudaErrorCapturedEvent);
    stream_of(stream).capture = capture;
    return finish(cudaSuccess);
  }
  if (is_capturing(stream) && event->state->recorded > 0) {  // nothing outside orders what is in a graph
    stream_of(stream).capture->broken = true;
    return finish(cudaErrorStreamCaptureIsolation);
  }
  return finish(enqueue(stream, {nullptr, event->state, event->state->recorded}));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const std::scoped_lock lock(runtime_lock());
  if (stream == nullptr || !known(stream) || is_capturing(stream)) return finish(cudaErrorStreamCaptureUnsupported);
  if (failure() != cudaSuccess) return finish(failure());  // nobody would end it
  stream->capture = new CUgraph_st;
  stream->capture->origin = stream;
  stream->capture->mode = mode;
  stream->capture->thread = std::this_thread::get_id();
  streams().captures.insert(stream->capture);
  return finish(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::scoped_lock lock(runtime_lock());
  *graph = nullptr;
  if (stream == nullptr || !known(stream) || !is_capturing(stream)) return finish(cudaErrorIllegalState);
  CUgraph_st* captured = stream->capture;
  if (captured->origin != stream) return finish(cudaErrorStreamCaptureUnmatched);
  if (captured->mode != cudaStreamCaptureModeRelaxed && captured->thread != std::this_thread::get_id()) {
    captured->broken = true;
    return finish(cudaErrorStreamCaptureWrongThread);
  }
  for (CUstream_st* other : streams().others) {
    if (other->capture == captured) other->capture = nullptr;
  }
  streams().captures.erase(captured);
  if (captured->broken) {
    delete captured;
    return finish(cudaErrorStreamCaptureInvalidated);
  }
  *graph = captured;
  return finish(cudaSuccess);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::scoped_lock lock(runtime_lock());
  *status = is_capturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return finish(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const std::scoped_lock lock(runtime_lock());
  *executable = new CUgraphExec_st{graph->operations};
  count_recording();
  return finish(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const std::scoped_lock lock(runtime_lock());
  const auto operations = std::make_shared<const std::vector<Operation>>(executable->operations);
  return finish(enqueue(stream, {[=] {
                                   count_graph_launch(operations->size());
                                   for (const Operation& operation : *operations) {
                                     if (operation.run && !any_fault()) operation.run();
                                   }
                                 },
                                 nullptr, 0}));
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return finish(cudaSuccess);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return finish(cudaSuccess);
}

}  // extern "C"
