// Queues of work, as the emulated runtime keeps them. What is queued runs when somebody waits for it; with drawn
// priorities some of it also runs earlier, so that an order that only happened to hold shows.
#pragma once

#include <driver_types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace glassbox::emulator {

struct EventState {
  uint64_t recorded = 0, done = 0;  // how many records were queued, and how many have run
  CUstream_st* stream = nullptr;    // of the last one
  CUgraph_st* capture = nullptr;    // it was recorded while this graph was captured
  double milliseconds = 0;          // when it was done
};

struct Operation {
  std::function<void()> run;
  std::shared_ptr<EventState> awaited;  // it may run when this event was done `ticket` times
  uint64_t ticket = 0;
};

// Queues the operation, or adds it to the graph that the stream captures.
cudaError_t enqueue(cudaStream_t stream, Operation operation);
// The default stream's, of a call that may return before it is done.
cudaError_t enqueue_late(Operation operation);
void drain(CUstream_st& stream);
void drain_all();
bool is_capturing(cudaStream_t stream);
// What may wait for the device is not allowed to a thread that captures, nor to any while a capture is global, and
// spoils the capture.
cudaError_t refuse_in_capture();
CUstream_st& stream_of(cudaStream_t stream);  // the default stream for null
void drop_queues();
void settle_everywhere();  // nothing is queued any more, and the host has waited for it
void count_recording();
void count_graph_launch(size_t nodes);
void count_launch();   // of a library's kernel
int current_device();  // of the calling thread
bool is_broken(int device);

// Every function of the runtime holds it.
std::recursive_mutex& runtime_lock();
// Keeps an error for cudaGetLastError(), and puts the device's fault in the place of success.
cudaError_t finish(cudaError_t error);

}  // namespace glassbox::emulator

struct CUstream_st {
  int device = 0;
  std::deque<glassbox::emulator::Operation> queue;
  bool blocking = true;           // the default stream waits for it
  CUgraph_st* capture = nullptr;  // what is queued goes there
};
struct CUevent_st {
  int device = 0;
  std::shared_ptr<glassbox::emulator::EventState> state = std::make_shared<glassbox::emulator::EventState>();
};
struct CUgraph_st {
  std::vector<glassbox::emulator::Operation> operations;
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;  // that began it
  bool broken = false;     // something was done that a capture does not allow
};
struct CUgraphExec_st {
  std::vector<glassbox::emulator::Operation> operations;
};
