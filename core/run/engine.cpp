#include "core/run/engine.h"

#include <chrono>
#include <new>
#include <utility>

#include "kernels/device_error.h"

namespace glassbox {
namespace {

// A call of this many rows says something about prefill; one with a single row about decode.
constexpr int kPrefillRows = 16;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Engine::Engine(std::unique_ptr<SessionStore> sessions, std::function<void()> wake,
               std::function<void(const EngineView&)> published)
    : store_(std::move(sessions)), wake_(std::move(wake)), published_(std::move(published)) {
  store_->set_page_budget(kPageBudget);
  // Without its own search the device still computes, and the host looks for neighbours.
  try {
    finder_ = RowFinder::make(store_->placed(), store_->ops());
  } catch (const DeviceError&) {
  } catch (const std::bad_alloc&) {
  }
  note_backend();
  thread_ = std::thread([this] { loop(); });
}

Engine::~Engine() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Engine::request(ViewRequest request) {
  {
    std::lock_guard lock(mutex_);
    waiting_ = std::move(request);
    superseded_ = true;
    cancel_ = false;
  }
  changed_.notify_all();
}

void Engine::add_background(BackgroundJob job) {
  {
    std::lock_guard lock(mutex_);
    background_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Engine::cancel() {
  std::lock_guard lock(mutex_);
  if (running_) cancel_ = true;
}

std::shared_ptr<RowFinder> Engine::row_finder() const {
  std::lock_guard lock(mutex_);
  return finder_;
}

// The sessions may have left their device, which then finds no rows either. Precondition: the lock is held, or nobody
// else is there yet.
void Engine::note_backend() {
  const std::string path = store_->ops().description();
  if (status_.kernel_path == path) return;
  status_.kernel_path = path;
  status_.on_host = store_->ops().on_host();
  status_.device = {};
  status_.prefill_rate = status_.decode_rate = 0;
  if (status_.on_host) finder_.reset();
}

EngineView Engine::latest() const {
  std::lock_guard lock(mutex_);
  return latest_;
}

EngineStatus Engine::status() const {
  std::lock_guard lock(mutex_);
  EngineStatus status = status_;
  if (running_) status.busy_seconds = seconds_now() - started_;
  return status;
}

bool Engine::idle() const {
  std::lock_guard lock(mutex_);
  return !waiting_ && !running_;
}

bool Engine::background_idle() const {
  std::lock_guard lock(mutex_);
  return background_.empty() && !running_background_;
}

EngineView Engine::answer(const ViewRequest& request) {
  EngineView view;
  view.id = request.id;
  const auto progress = [this](double done) {
    if (stop_ || cancel_ || superseded_) return false;
    std::lock_guard lock(mutex_);
    status_.progress = static_cast<float>(done);
    return true;
  };
  if (request.with_baseline) {
    Result<Comparison> both = store_->compare(request.step, progress);
    if (!both) {
      view.error = both.error();
      return view;
    }
    note_speed(both->step->timing);
    view.step = both->step;
    view.baseline = both->baseline;
    return view;
  }
  Result<std::shared_ptr<const Step>> step = store_->run(request.step, progress);
  if (!step) {
    view.error = step.error();
    return view;
  }
  note_speed((*step)->timing);
  view.step = step.take();
  return view;
}

void Engine::note_speed(const StepTiming& timing) {
  if (timing.rows == 0 || timing.seconds <= 0) return;
  const double rate = timing.rows / timing.seconds;
  std::lock_guard lock(mutex_);
  if (timing.rows >= kPrefillRows) status_.prefill_rate = rate;
  if (timing.rows == 1) status_.decode_rate = rate;
}

void Engine::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || waiting_ || !background_.empty(); });
    if (stop_) return;
    if (waiting_) {
      const ViewRequest request = std::move(*waiting_);
      waiting_.reset();
      running_ = true;
      superseded_ = false;
      cancel_ = false;
      started_ = seconds_now();
      status_.busy = true;
      status_.progress = 0;
      lock.unlock();
      EngineView view = answer(request);
      store_->trim_pages();
      lock.lock();
      note_backend();
      // A newer request has taken this one's place: it publishes, not we.
      const bool replaced = view.error && view.error->kind == ErrorKind::cancelled && waiting_;
      if (!replaced) latest_ = view;
      running_ = false;
      status_.busy = false;
      if (!replaced && published_) {
        lock.unlock();
        published_(view);
        lock.lock();
      }
    } else {
      BackgroundJob job = std::move(background_.front());
      background_.pop_front();
      running_background_ = true;
      superseded_ = false;
      lock.unlock();
      Result<std::shared_ptr<const Step>> step =
          store_->run(job.request, [this](double) { return !stop_ && !superseded_; });
      const bool interrupted = !step && step.error().kind == ErrorKind::cancelled;
      if (!interrupted) job.done(std::move(step));
      lock.lock();
      note_backend();
      if (interrupted) background_.push_front(std::move(job));
      running_background_ = false;
    }
    status_.kv_bytes = store_->kv_bytes();
    status_.page_bytes = store_->page_bytes();
    lock.unlock();
    ask_device();
    wake_();
    lock.lock();
  }
}

void Engine::ask_device() {
  constexpr double kBetween = 1.0;  // seconds
  if (store_->ops().on_host() || (device_asked_ > 0 && seconds_now() - device_asked_ < kBetween)) return;
  device_asked_ = seconds_now();
  try {
    const DeviceMemory memory = store_->ops().memory();
    std::lock_guard lock(mutex_);
    status_.device = memory;
  } catch (const DeviceError&) {  // the next step meets it and says so
  }
}

}  // namespace glassbox
