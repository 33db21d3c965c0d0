// The engine thread: owns the sessions, runs what it is asked for, and publishes steps. It never waits for the window.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/run/row_finder.h"
#include "core/run/session.h"

namespace glassbox {

// What the window wants to see now. A newer one replaces a waiting one, and cancels a running one between two layers.
struct ViewRequest {
  uint64_t id = 0;  // increases; a published view carries the id that it answers
  StepRequest step;
  bool with_baseline = false;  // also the same tokens without what the edits do, for before and after
};

struct EngineView {
  uint64_t id = 0;
  std::shared_ptr<const Step> step;      // null when there was an error
  std::shared_ptr<const Step> baseline;  // null unless asked for
  std::optional<Error> error;
};

struct EngineStatus {
  bool busy = false;
  float progress = 0;       // of the running request, 0 … 1
  double busy_seconds = 0;  // how long it has been running
  size_t kv_bytes = 0, page_bytes = 0;
  DeviceMemory device;      // of the GPU, whoever takes it; asked for now and then
  double prefill_rate = 0;  // tok/s, of the last call with 16 rows or more; 0: none yet
  double decode_rate = 0;   // tok/s, of the last calls with one row
  std::string kernel_path;  // Ops::description() of the backend in use
  bool on_host = true;      // it is the CPU
};

// Work that is not for the shown step (for example the random sequence behind the induction badges) runs when nothing
// interactive waits, and is interrupted between layers and begun again when something does.
struct BackgroundJob {
  StepRequest request;
  std::function<void(Result<std::shared_ptr<const Step>>)> done;  // called on the engine thread
};

class Engine {
 public:
  // Called from the engine thread: `wake` whenever something has ended, it must only notify; before it `published` with
  // each view that was published, for what is to follow at once. Neither may wait.
  Engine(std::unique_ptr<SessionStore> sessions, std::function<void()> wake,
         std::function<void(const EngineView&)> published = {});
  ~Engine();  // cancels what runs, joins

  void request(ViewRequest request);
  void add_background(BackgroundJob job);
  void cancel();              // the running interactive request ends with an error of kind cancelled
  EngineView latest() const;  // the newest published view; never waits for the engine
  EngineStatus status() const;
  // Null where the backend does not look for neighbours by itself. It outlives the engine.
  std::shared_ptr<RowFinder> row_finder() const;
  // True when no interactive request waits or runs. (Background work may.)
  bool idle() const;
  bool background_idle() const;

  static constexpr size_t kPageBudget = size_t{1} << 30;  // bytes; pages of what is not shown are dropped above

 private:
  void loop();
  EngineView answer(const ViewRequest& request);
  void note_speed(const StepTiming& timing);
  void ask_device();
  void note_backend();
  std::unique_ptr<SessionStore> store_;
  std::function<void()> wake_;
  std::function<void(const EngineView&)> published_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<ViewRequest> waiting_;
  std::deque<BackgroundJob> background_;
  EngineView latest_;
  EngineStatus status_;
  std::shared_ptr<RowFinder> finder_;
  double device_asked_ = 0;  // when; the engine's thread alone
  double started_ = 0;
  std::atomic<bool> cancel_{false};      // by the user
  std::atomic<bool> superseded_{false};  // by a newer request
  std::atomic<bool> stop_{false};
  bool running_ = false, running_background_ = false;
  std::thread thread_;
};

}  // namespace glassbox
