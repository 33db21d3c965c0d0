// Streams, events, graphs, copies and errors of the emulated runtime.
#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/gpu/device_buffer.h"
#include "tests/gpu/emulator/emulator.h"
#include "tests/gpu/planted_faults.h"

namespace glassbox::testing {
namespace {

constexpr size_t kValues = kPlantedValues;
const size_t kBytes = kValues * sizeof(float);

// out = in, which is the sound form of this kernel.
void copy_on(cudaStream_t stream, const DeviceBuffer<float>& in, const DeviceBuffer<float>& out) {
  must(run_planted(Planted::global_index_too_large, false, in.data(), nullptr, out.data(), stream));
}

struct Stream {
  Stream() { must(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(handle); }
  cudaStream_t handle = nullptr;
};
struct Event {
  Event() { must(cudaEventCreateWithFlags(&handle, cudaEventDisableTiming)); }
  ~Event() { cudaEventDestroy(handle); }
  cudaEvent_t handle = nullptr;
};

std::vector<float> counting(float first) {
  std::vector<float> values(kValues);
  for (size_t i = 0; i < kValues; ++i) values[i] = first + static_cast<float>(i);
  return values;
}

TEST_CASE("work on a stream is done when it was waited for, not before") {
  emulator::set_schedule({});
  Stream stream;
  const DeviceBuffer<float> in(counting(1)), out(std::vector<float>(kValues, 0.0f));
  emulator::reset_counters();
  copy_on(stream.handle, in, out);
  CHECK(emulator::counters().launches == 0);
  CHECK(cudaStreamQuery(stream.handle) == cudaErrorNotReady);
  must(cudaStreamSynchronize(stream.handle));
  CHECK(emulator::counters().launches == 1);
  CHECK(out.read() == counting(1));
}

TEST_CASE("a copy from pinned memory reads it late, one from other memory at once") {
  emulator::set_schedule({});
  Stream stream;
  const DeviceBuffer<float> target(std::vector<float>(kValues, 0.0f));
  void* pinned_memory = nullptr;
  must(cudaHostAlloc(&pinned_memory, kBytes, cudaHostAllocDefault));
  auto* pinned = static_cast<float*>(pinned_memory);
  std::fill_n(pinned, kValues, 1.0f);
  must(cudaMemcpyAsync(target.data(), pinned, kBytes, cudaMemcpyHostToDevice, stream.handle));
  std::fill_n(pinned, kValues, 2.0f);
  must(cudaStreamSynchronize(stream.handle));
  CHECK(target.read() == std::vector<float>(kValues, 2.0f));

  std::vector<float> pageable(kValues, 3.0f);
  must(cudaMemcpyAsync(target.data(), pageable.data(), kBytes, cudaMemcpyHostToDevice, stream.handle));
  pageable.assign(kValues, 4.0f);
  must(cudaMemcpyAsync(pinned, target.data(), kBytes, cudaMemcpyDeviceToHost, stream.handle));
  CHECK(pinned[0] == 2.0f);
  must(cudaStreamSynchronize(stream.handle));
  CHECK(pinned[0] == 3.0f);
  must(cudaFreeHost(pinned));
}

TEST_CASE("a stream does not wait for a copy that the default stream has begun") {
  for (const bool waits : {true, false}) {
    int wrong = 0;
    for (const emulator::Schedule& schedule : emulator::schedules(10)) {
      emulator::set_schedule(schedule);
      Stream stream;
      const DeviceBuffer<float> in(std::vector<float>(kValues, 0.0f)), out(kValues);
      must(cudaMemcpy(in.data(), counting(5).data(), kBytes, cudaMemcpyHostToDevice));
      if (waits) must(cudaStreamSynchronize(nullptr));
      copy_on(stream.handle, in, out);
      must(cudaStreamSynchronize(stream.handle));
      wrong += out.read() == counting(5) ? 0 : 1;
    }
    INFO(wrong << " schedules gave a wrong result");
    CHECK((wrong > 0) == !waits);
  }
}

TEST_CASE("an event orders two streams under every schedule, and its lack shows under one") {
  for (const bool with_event : {true, false}) {
    int wrong = 0;
    for (const emulator::Schedule& schedule : emulator::schedules(10)) {
      emulator::set_schedule(schedule);
      Stream first, second;
      Event event;
      const DeviceBuffer<float> in(counting(5)), middle(std::vector<float>(kValues, 0.0f)), out(kValues);
      copy_on(first.handle, in, middle);
      must(cudaEventRecord(event.handle, first.handle));
      if (with_event) must(cudaStreamWaitEvent(second.handle, event.handle, 0));
      copy_on(second.handle, middle, out);
      must(cudaStreamSynchronize(second.handle));
      wrong += out.read() == counting(5) ? 0 : 1;
      must(cudaStreamSynchronize(first.handle));
    }
    INFO(wrong << " schedules gave a wrong result");
    CHECK((wrong > 0) == !with_event);
  }
}

TEST_CASE("a graph keeps what was captured and runs it as often as it is launched") {
  emulator::set_schedule({});
  Stream stream, side;
  Event fork, join;
  const DeviceBuffer<float> in(counting(1)), middle(std::vector<float>(kValues, 0.0f)), out(kValues), more(kValues);
  emulator::reset_counters();
  must(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeGlobal));
  copy_on(stream.handle, in, middle);
  must(cudaEventRecord(fork.handle, stream.handle));
  must(cudaStreamWaitEvent(side.handle, fork.handle, 0));
  copy_on(side.handle, middle, more);
  must(cudaEventRecord(join.handle, side.handle));
  must(cudaStreamWaitEvent(stream.handle, join.handle, 0));
  copy_on(stream.handle, middle, out);
  cudaGraph_t graph = nullptr;
  must(cudaStreamEndCapture(stream.handle, &graph));
  cudaGraphExec_t executable = nullptr;
  must(cudaGraphInstantiate(&executable, graph, 0));
  must(cudaGraphDestroy(graph));
  must(cudaDeviceSynchronize());
  CHECK(emulator::counters().launches == 0);
  for (const float first : {10.0f, 20.0f}) {
    must(cudaMemcpyAsync(in.data(), counting(first).data(), kBytes, cudaMemcpyHostToDevice, stream.handle));
    must(cudaGraphLaunch(executable, stream.handle));
    must(cudaStreamSynchronize(stream.handle));
    CHECK(out.read() == counting(first));
    CHECK(more.read() == counting(first));
  }
  CHECK(emulator::counters().launches == 6);
  CHECK(emulator::counters().graph_launches == 2);
  must(cudaGraphExecDestroy(executable));
}

TEST_CASE("what may wait for the device spoils a capture: that of the own thread, and one that is global") {
  emulator::set_schedule({});
  struct Call {
    const char* name;
    std::function<cudaError_t()> run;
    bool of_all = false;  // also that of another thread
  };
  Stream side;
  Event event;
  void *memory = nullptr, *pinned = nullptr;
  must(cudaEventRecord(event.handle, side.handle));
  const Call calls[] = {
      {"cudaMalloc", [&] { return cudaMalloc(&memory, 16); }},
      {"cudaFree", [&] { return cudaFree(memory); }},
      {"cudaHostAlloc", [&] { return cudaHostAlloc(&pinned, 16, cudaHostAllocDefault); }},
      {"cudaFreeHost", [&] { return cudaFreeHost(pinned); }},
      {"cudaMemcpy", [&] { return cudaMemcpy(memory, &pinned, sizeof pinned, cudaMemcpyHostToDevice); }},
      {"cudaStreamQuery", [&] { return cudaStreamQuery(side.handle); }},
      {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(side.handle); }},
      {"cudaEventQuery", [&] { return cudaEventQuery(event.handle); }},
      {"cudaEventSynchronize", [&] { return cudaEventSynchronize(event.handle); }},
      {"cudaDeviceSynchronize", [&] { return cudaDeviceSynchronize(); }, true},
  };
  for (const bool global : {true, false}) {
    for (const bool own_thread : {true, false}) {
      for (const Call& call : calls) {
        INFO(call.name << (global ? ", global" : ", of a thread") << (own_thread ? "" : ", on another thread"));
        must(cudaMalloc(&memory, 16));
        must(cudaHostAlloc(&pinned, 16, cudaHostAllocDefault));
        void *const old_memory = memory, *const old_pinned = pinned;
        Stream stream;
        must(cudaStreamBeginCapture(stream.handle,
                                    global ? cudaStreamCaptureModeGlobal : cudaStreamCaptureModeThreadLocal));
        cudaError_t error = cudaSuccess;
        if (own_thread) {
          error = call.run();
        } else {
          std::thread([&] { error = call.run(); }).join();
        }
        const bool refused = global || own_thread || call.of_all;
        CHECK(error == (refused ? cudaErrorStreamCaptureUnsupported : cudaSuccess));
        cudaGraph_t graph = nullptr;
        CHECK(cudaStreamEndCapture(stream.handle, &graph) ==
              (refused ? cudaErrorStreamCaptureInvalidated : cudaSuccess));
        CHECK((graph == nullptr) == refused);
        if (graph != nullptr) must(cudaGraphDestroy(graph));
        (void)cudaFree(old_memory);
        (void)cudaFreeHost(old_pinned);
        if (memory != old_memory) (void)cudaFree(memory);
        if (pinned != old_pinned) (void)cudaFreeHost(pinned);
      }
    }
  }
  emulator::take_faults();
}

TEST_CASE("a stream that captures may not be waited for, nor an event of it, nor may it wait for what is outside") {
  emulator::set_schedule({});
  for (int call = 0; call < 4; ++call) {
    INFO("call " << call);
    Stream stream, side;
    Event inside, outside;
    must(cudaEventRecord(outside.handle, side.handle));
    must(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeThreadLocal));
    must(cudaEventRecord(inside.handle, stream.handle));
    cudaError_t error = cudaSuccess;
    std::thread([&] {
      error = call == 0   ? cudaStreamSynchronize(stream.handle)
              : call == 1 ? cudaEventSynchronize(inside.handle)
              : call == 2 ? cudaEventQuery(inside.handle)
                          : cudaStreamWaitEvent(stream.handle, outside.handle, 0);
    }).join();
    CHECK(error != cudaSuccess);
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream.handle, &graph);
    CHECK(ended == (call == 0 || call == 3 ? cudaErrorStreamCaptureInvalidated : cudaSuccess));
    if (graph != nullptr) must(cudaGraphDestroy(graph));
    CHECK(cudaStreamWaitEvent(side.handle, inside.handle, 0) == cudaErrorCapturedEvent);
  }
  emulator::take_faults();
}

TEST_CASE("impossible calls are refused") {
  const DeviceBuffer<float> buffer(kValues);
  std::vector<float> host(2 * kValues);
  void* p = nullptr;
  CHECK(cudaMalloc(&p, size_t{1} << 40) == cudaErrorMemoryAllocation);
  CHECK(p == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  emulator::set_memory_limit(kBytes + 100);
  CHECK(cudaMalloc(&p, 200) == cudaErrorMemoryAllocation);
  emulator::set_memory_limit(0);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  CHECK(cudaMemcpy(buffer.data(), host.data(), kBytes, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaFree(buffer.data() + 1) == cudaErrorInvalidValue);
  emulator::take_faults();

  CHECK(cudaMemcpy(buffer.data(), host.data(), kBytes + 4, cudaMemcpyHostToDevice) == cudaErrorLaunchFailure);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);  // as on a GPU, it stays so
  const std::vector<emulator::Fault> faults = emulator::take_faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].kind == emulator::FaultKind::transfer);
  CHECK(faults[0].text == "a copy to of 516 bytes runs over the end of the device allocation of 512 bytes");
  CHECK(cudaDeviceSynchronize() == cudaSuccess);
}

TEST_CASE("a stream is its device's, and a thread's choice of device is its own") {
  emulator::set_schedule({});
  emulator::set_device_count(2);
  Stream of_first;
  const DeviceBuffer<float> in(counting(1)), out(kValues);
  must(cudaSetDevice(1));
  Event of_second;
  CHECK(run_planted(Planted::global_index_too_large, false, in.data(), nullptr, out.data(), of_first.handle) ==
        cudaErrorInvalidResourceHandle);
  CHECK(cudaEventRecord(of_second.handle, of_first.handle) == cudaErrorInvalidResourceHandle);
  std::thread([&] { copy_on(of_first.handle, in, out); }).join();
  must(cudaSetDevice(0));
  copy_on(of_first.handle, in, out);
  must(cudaStreamSynchronize(of_first.handle));
  emulator::set_device_count(1);
  emulator::take_faults();
}

TEST_CASE("a device that is lost fails every call, and runs nothing more") {
  emulator::set_schedule({});
  Stream stream;
  const DeviceBuffer<float> in(counting(1)), out(std::vector<float>(kValues, 0.0f));
  copy_on(stream.handle, in, out);
  emulator::reset_counters();
  emulator::set_failure(cudaErrorDevicesUnavailable);
  int count = 1;
  void* p = nullptr;
  CHECK(cudaStreamSynchronize(stream.handle) == cudaErrorDevicesUnavailable);
  CHECK(cudaMalloc(&p, 16) == cudaErrorDevicesUnavailable);
  CHECK(p == nullptr);
  CHECK(cudaGetLastError() == cudaErrorDevicesUnavailable);
  CHECK(cudaGetDeviceCount(&count) == cudaErrorDevicesUnavailable);
  CHECK(count == 0);
  CHECK(emulator::counters().launches == 0);
  emulator::set_failure(cudaSuccess);
  CHECK(emulator::take_faults().empty());
  CHECK(out.read() == std::vector<float>(kValues, 0.0f));
}

}  // namespace
}  // namespace glassbox::testing
