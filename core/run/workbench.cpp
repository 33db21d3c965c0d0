#include "core/run/workbench.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "core/run/random.h"
#include "core/run/start_sessions.h"
#include "core/run/view_analyses.h"

namespace glassbox {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_now() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

View make_view(const EngineView& published) {
  View view;
  view.id = published.id;
  view.step = published.step;
  view.baseline = published.baseline;
  if (view.step) view.tokens = view.step->recipe.tokens;
  return view;
}

// What wakes settle(), and the user's wake-up besides.
struct Bell {
  std::mutex mutex;
  std::condition_variable rung;
  bool pending = false;
  std::function<void()> forward;

  void ring() {
    {
      std::lock_guard lock(mutex);
      pending = true;
    }
    rung.notify_all();
    forward();
  }
};

// What an engine's thread has to tell of its device.
struct DeviceNews {
  std::mutex mutex;
  std::string left;  // why it has left it; taken once

  std::string take() {
    std::lock_guard lock(mutex);
    return std::exchange(left, {});
  }
};

struct StartedEngine {
  std::shared_ptr<const Model> model;
  std::unique_ptr<Engine> engine;
  std::shared_ptr<DeviceNews> news;
  std::string note;
  CudaDevices found;
  int gpu;
};

Result<StartedEngine> start_engine(std::shared_ptr<const Model> model, const DeviceChoice& device,
                                   const WorkbenchOptions& options, const std::shared_ptr<Bell>& bell,
                                   ViewAnalyses& analyses) {
  auto news = std::make_shared<DeviceNews>();
  SessionStart start{.device = device,
                     .cpu = {options.threads, "", false},
                     .left =
                         [news](const std::string& note) {
                           std::lock_guard lock(news->mutex);
                           news->left = note;
                         },
                     .open_device = options.open_device};
  Result<StartedSessions> started = start_sessions(model, start);
  if (!started) return started.error();
  auto engine = std::make_unique<Engine>(
      std::move(started->sessions), [bell] { bell->ring(); },
      [&analyses](const EngineView& published) {
        // The analyses begin at once, while the window's thread may be waiting for its screen.
        View view = make_view(published);
        if (view.step) (void)analyses.fill(view);
      });
  return StartedEngine{std::move(model),         std::move(engine),         std::move(news),
                       std::move(started->note), std::move(started->found), started->index};
}

}  // namespace

void Needs::merge(const Needs& other) {
  probe.merge(other.probe);
  chain |= other.chain;
  change |= other.change;
  thumbnails |= other.thumbnails;
  heads |= other.heads;
  cosines |= other.cosines;
  neighbours |= other.neighbours;
}

struct Workbench::Impl {
  explicit Impl(WorkbenchOptions given) : options(std::move(given)) { bell->forward = options.wake; }

  WorkbenchOptions options;
  std::shared_ptr<Bell> bell = std::make_shared<Bell>();
  std::unique_ptr<ViewAnalyses> analyses;
  std::unique_ptr<Engine> engine;
  std::shared_ptr<DeviceNews> news;  // of the engine
  DeviceChoice device = options.device, device_in_use = options.device;

  // Looking for GPUs.
  struct Look {
    std::mutex mutex;
    std::optional<CudaDevices> found;
    std::thread thread;
    ~Look() {
      if (thread.joinable()) thread.join();
    }
  };
  std::unique_ptr<Look> look;
  bool looked = false;

  // Loading.
  struct Load {
    std::atomic<float> progress{0};
    std::atomic<bool> cancel{false};
    std::mutex mutex;
    std::optional<Result<StartedEngine>> result;
    std::thread thread;
    ~Load() {
      cancel = true;
      if (thread.joinable()) thread.join();
    }
  };
  std::unique_ptr<Load> load;

  // The step.
  uint64_t next_id = 1;
  uint64_t posted_id = 0, taken_id = 0;
  std::optional<StepRequest> posted;  // what posted_id asks for
  bool posted_baseline = false;
  View staged;  // the newest step, until its analyses are there

  bool induction_asked = false;  // once a model
  std::string model_key;         // so that results of an older model are not taken
};

Workbench::Workbench(WorkbenchOptions options, Document document)
    : impl_(std::make_unique<Impl>(std::move(options))), document_(std::move(document)) {
  impl_->analyses = std::make_unique<ViewAnalyses>([bell = impl_->bell] { bell->ring(); });
}

Workbench::~Workbench() {
  impl_->load.reset();
  impl_->look.reset();
  impl_->engine.reset();
  impl_->analyses.reset();
}

// ---- the model ----

void Workbench::load_model(const std::string& path) {
  load([path](const LoadProgress& progress) { return Model::load(path, progress); });
}

void Workbench::choose_device(const DeviceChoice& choice) {
  impl_->device = choice;
  // It is in use already, and has perhaps no memory for the model a second time.
  const auto usable = [](const CudaDevice& device) { return device.problem.empty(); };
  const bool only_one = std::count_if(gpus_.devices.begin(), gpus_.devices.end(), usable) == 1;
  const bool same = choice == impl_->device_in_use ||
                    (choice.kind == DeviceChoice::Kind::cuda && choice.index == gpu_in_use_) ||
                    (choice.kind == DeviceChoice::Kind::automatic && only_one);
  if (!loading() && gpu_in_use_ >= 0 && same) {
    impl_->device_in_use = choice;
    return;
  }
  if (model_) load([model = model_](const LoadProgress&) -> Result<std::shared_ptr<const Model>> { return model; });
}

// Gets the model and starts an engine for it, both beside this thread: a GPU takes its time to wake.
void Workbench::load(ModelSource source) {
  impl_->load = std::make_unique<Impl::Load>();
  load_error_.reset();
  Impl::Load* load = impl_->load.get();
  const auto start = [device = impl_->device, options = impl_->options, bell = impl_->bell,
                      analyses = impl_->analyses.get()](std::shared_ptr<const Model> model) {
    return start_engine(std::move(model), device, options, bell, *analyses);
  };
  load->thread = std::thread([load, source = std::move(source), start, bell = impl_->bell] {
    float told = 0;
    Result<std::shared_ptr<const Model>> model = source([&](float progress) {
      load->progress = progress;
      if (progress > told + 0.02f) {
        told = progress;
        bell->ring();
      }
      return !load->cancel.load();
    });
    Result<StartedEngine> started = model ? start(model.take()) : Result<StartedEngine>(model.error());
    {
      std::lock_guard lock(load->mutex);
      load->result = std::move(started);
    }
    bell->ring();
  });
}

bool Workbench::loading() const {
  return impl_->load != nullptr;
}
float Workbench::load_progress() const {
  return impl_->load ? impl_->load->progress.load() : 1.0f;
}

void Workbench::cancel_load() {
  if (impl_->load) impl_->load->cancel = true;
}

void Workbench::clear_errors() {
  error_.reset();
  load_error_.reset();
}

bool Workbench::take_model() {
  if (!impl_->load) return false;
  std::optional<Result<StartedEngine>> result;
  {
    std::lock_guard lock(impl_->load->mutex);
    result.swap(impl_->load->result);
  }
  if (!result) return false;
  impl_->load.reset();
  if (!*result) {
    load_error_ = result->error();
    impl_->device = impl_->device_in_use;
    return true;
  }
  // The old engine went on until now.
  impl_->device_in_use = impl_->device;
  StartedEngine started = result->take();
  impl_->engine = std::move(started.engine);
  impl_->news = std::move(started.news);
  device_note_ = std::move(started.note);
  gpu_in_use_ = started.gpu;
  if (impl_->device.kind != DeviceChoice::Kind::cpu) {
    gpus_ = std::move(started.found);
    impl_->looked = true;
  }
  impl_->induction_asked = false;
  impl_->posted.reset();
  if (started.model == model_) {  // on another device: what is shown stays until it has been computed there
    impl_->posted_id = impl_->taken_id;
    return true;
  }
  model_ = std::move(started.model);
  impl_->model_key = std::to_string(model_->hash()) + "/" + std::to_string(impl_->next_id);
  impl_->staged = {};
  view_ = {};
  pending_tokens_ = 0;
  document_.model_path = model_->path();
  fit_document();
  return true;
}

// A document from elsewhere (a file, a time before this model) takes this model's tokens. The model may have fewer
// layers or heads than the selection names; edits that it cannot do are switched off.
void Workbench::fit_document() {
  if (!model_) return;
  if (const Result<void> done = retokenise(document_, {model_.get()}); !done) error_ = done.error();
  const ModelConfig& config = model_->config();
  Selection& selection = document_.selection;
  selection.layer = std::clamp(selection.layer, 0, config.layer_count() - 1);
  selection.head = std::clamp(selection.head, 0, config.layers[static_cast<size_t>(selection.layer)].heads - 1);
  selection.vector_layer = std::clamp(selection.vector_layer, -1, config.layer_count() - 1);
  for (Edit& edit : document_.edits) {
    if (edit.enabled && !check_edit(edit, config)) edit.enabled = false;
  }
}

const DeviceChoice& Workbench::device() const {
  return impl_->device;
}
std::string Workbench::kernel_path() const {
  return status().kernel_path;
}

void Workbench::look_for_gpus() {
  if (std::exchange(impl_->looked, true)) return;
  impl_->look = std::make_unique<Impl::Look>();
  Impl::Look* const look = impl_->look.get();
  look->thread = std::thread([look, find = impl_->options.find_devices, bell = impl_->bell] {
    CudaDevices found = find();
    {
      std::lock_guard lock(look->mutex);
      look->found = std::move(found);
    }
    bell->ring();
  });
}

bool Workbench::looking_for_gpus() const {
  return impl_->look != nullptr;
}

// What came of the devices: they have been found, or the engine had to leave the one that it had.
bool Workbench::take_device_news() {
  bool changed = false;
  if (impl_->look) {
    std::optional<CudaDevices> found;
    {
      std::lock_guard lock(impl_->look->mutex);
      found.swap(impl_->look->found);
    }
    if (found) {
      impl_->look.reset();
      gpus_ = std::move(*found);
      changed = true;
    }
  }
  if (std::string note = impl_->news ? impl_->news->take() : std::string(); !note.empty()) {
    device_note_ = std::move(note);
    if (!loading()) impl_->device = {DeviceChoice::Kind::cpu};
    impl_->device_in_use = {DeviceChoice::Kind::cpu};
    gpu_in_use_ = -1;
    changed = true;
  }
  return changed;
}

// ---- the document ----

Result<void> Workbench::apply(const Command& command) {
  const Document before = document_;
  Result<void> done = glassbox::apply(document_, command, {model_.get()});
  if (done && model_) done = check_against_model(command);
  if (!done) {
    document_ = before;
    error_ = done.error();
    return done;
  }
  if (is_undoable(command)) history_.record(before, document_, command, seconds_now());
  if (std::holds_alternative<cmd::SetText>(command) || std::holds_alternative<cmd::ResetRun>(command)) pause();
  error_.reset();
  ++revision_;
  // A chain needs no step: it is made while the frame in which a slider was moved is still being built.
  if (std::holds_alternative<cmd::SetSampler>(command)) ask();
  return {};
}

// What only the model can refuse: layers, heads and edits that it does not have.
Result<void> Workbench::check_against_model(const Command& command) const {
  const ModelConfig& config = model_->config();
  const Selection& selection = document_.selection;
  if (std::holds_alternative<cmd::SelectHead>(command) || std::holds_alternative<cmd::ToggleHead>(command)) {
    const auto [layer, head] = std::visit(
        [&](const auto& c) -> std::pair<int, int> {
          if constexpr (requires {
                          c.layer;
                          c.head;
                        })
            return {c.layer, c.head};
          return {selection.layer, selection.head};
        },
        command);
    if (layer >= config.layer_count() || head >= config.layers[static_cast<size_t>(layer)].heads) {
      return Error{ErrorKind::usage, "This model has no such head.",
                   "L" + std::to_string(layer) + "·H" + std::to_string(head),
                   "layers 0 to " + std::to_string(config.layer_count() - 1) + ", heads 0 to " +
                       std::to_string(config.layers.front().heads - 1),
                   ""};
    }
  }
  if (selection.vector_layer >= config.layer_count()) {
    return Error{ErrorKind::usage, "This model has no layer " + std::to_string(selection.vector_layer) + ".",
                 "vector_layer", "−1 (the embedding) to " + std::to_string(config.layer_count() - 1), ""};
  }
  for (const Edit& edit : document_.edits) {
    if (!edit.enabled) continue;
    if (Result<void> good = check_edit(edit, config); !good) return good;
  }
  return {};
}

void Workbench::undo() {
  history_.undo(document_);
  after_time_travel();
}

void Workbench::redo() {
  history_.redo(document_);
  after_time_travel();
}

void Workbench::after_time_travel() {
  ++revision_;
  pause();
  fit_document();
}

void Workbench::replace_document(Document document) {
  const Document before = document_;
  document_ = std::move(document);
  history_.record_replacement(before, document_);
  ++revision_;
  pause();
  fit_document();
}

// ---- transport ----

void Workbench::step_tokens(int count) {
  pending_tokens_ = count;
}
void Workbench::pause() {
  pending_tokens_ = 0;
}

void Workbench::back() {
  pause();
  const Run& run = document_.run();
  const int parent = run.nodes.empty() ? -1 : run.nodes[static_cast<size_t>(run.cursor)].parent;
  if (parent >= 0) (void)apply(cmd::MoveCursor{parent});
}

void Workbench::forward_one() {
  const Run& run = document_.run();
  const std::vector<int> path = run.path(run.leaf);
  const auto here = std::find(path.begin(), path.end(), run.cursor);
  if (here != path.end() && here + 1 != path.end()) {
    (void)apply(cmd::MoveCursor{*(here + 1)});
  } else {
    step_tokens(1);
  }
}

// Appends the token that the chain drew for the shown step. True when the document changed.
bool Workbench::advance() {
  if (pending_tokens_ == 0 || !model_) return false;
  if (error_) {
    pause();
    return false;
  }
  if (view_.stale || !view_.step || !view_.chain || view_.tokens != document_.shown_tokens()) return false;
  if (view_.chain->settings != document_.sampler) return false;
  // Nor by the random number of another seed or branch; the chain with this one's is on its way.
  const Run& run = document_.run();
  if (view_.chain->u != draw_uniform(run.seed, run.draw_branch(), view_.tokens.size())) return false;
  if (static_cast<int>(view_.tokens.size()) >= model_->config().context) {
    pause();
    return false;
  }
  const ChainResult& chain = *view_.chain;
  const int32_t token = chain.drawn;
  const float prob = chain.candidates[static_cast<size_t>(chain.rank_of[static_cast<size_t>(token)])].prob;
  if (!apply(cmd::Append{token, chain.u, prob, false})) {
    pause();
    return false;
  }
  if (pending_tokens_ > 0) --pending_tokens_;
  if (model_->tokenizer().is_end(token)) pause();
  return true;
}

// ---- the loop ----

void Workbench::set_needs(const Needs& needs) {
  needs_ = needs;
}
EngineStatus Workbench::status() const {
  return impl_->engine ? impl_->engine->status() : EngineStatus{};
}
double Workbench::last_chain_seconds() const {
  return impl_->analyses->chain_seconds();
}

void Workbench::cancel() {
  pause();
  if (impl_->engine) impl_->engine->cancel();
}

// Beside the thumbnails the whole patterns of all heads, so that whichever is chosen is there at once: on the host,
// where storing them costs a few hundredths of the run, and as long as they are not too large. A GPU, by
// arithmetic, runs the text again sooner than it carries them.
bool Workbench::keeps_whole_patterns() const {
  if (gpu_in_use_ >= 0) return false;
  const size_t length = document_.shown_tokens().size();
  size_t bytes = 0;
  for (const LayerConfig& layer : model_->config().layers) {
    bytes += static_cast<size_t>(layer.heads) * length * length * sizeof(float);
  }
  return bytes <= impl_->options.most_whole_patterns;
}

Needs Workbench::all_needs() const {
  Needs needs = needs_;
  const int layers = model_->config().layer_count();
  if (pending_tokens_ != 0) needs.chain = true;
  if (needs.thumbnails) {
    needs.probe.add(Tap::attn_pooled, 0, layers);
    if (keeps_whole_patterns()) needs.probe.add(Tap::attn_pattern, 0, layers);
  }
  if (needs.heads) {
    needs.probe.add(Tap::attn_focus, 0, layers);
    needs.probe.add_last(Tap::attn_z, 0, layers);
    needs.probe.add_last(Tap::resid_post, layers - 1, layers);
  }
  if (needs.cosines && document_.selection.vector_layer >= 0) {
    needs.probe.add(Tap::resid_post, document_.selection.vector_layer, document_.selection.vector_layer + 1);
  }
  return needs;
}

// Asks the engine for the step that the document shows, unless that has been asked for already.
void Workbench::post_step() {
  StepRequest wanted{document_.shown_tokens(), {}, impl_->options.precision, all_needs().probe};
  std::copy_if(document_.edits.begin(), document_.edits.end(), std::back_inserter(wanted.edits),
               [](const Edit& edit) { return edit.enabled; });
  std::sort(wanted.needs.needs.begin(), wanted.needs.needs.end());
  const bool baseline = !wanted.edits.empty();
  const bool same_line = impl_->posted && impl_->posted->tokens == wanted.tokens &&
                         impl_->posted->edits == wanted.edits && impl_->posted_baseline == baseline;
  if (same_line && std::includes(impl_->posted->needs.needs.begin(), impl_->posted->needs.needs.end(),
                                 wanted.needs.needs.begin(), wanted.needs.needs.end())) {
    return;
  }
  impl_->posted = wanted;
  impl_->posted_baseline = baseline;
  if (wanted.tokens.empty()) {  // nothing typed: nothing to show, and that is no error
    impl_->staged = {};
    view_ = {};
    ++revision_;
    impl_->posted_id = impl_->taken_id;
    return;
  }
  impl_->posted_id = impl_->next_id++;
  impl_->engine->request({impl_->posted_id, std::move(wanted), baseline});
}

bool Workbench::take_step() {
  const EngineView latest = impl_->engine->latest();
  if (latest.id <= impl_->taken_id || latest.id != impl_->posted_id) return false;
  impl_->taken_id = latest.id;
  if (latest.error) {
    if (latest.error->kind != ErrorKind::cancelled) error_ = latest.error;
    pause();
    return true;
  }
  impl_->staged = make_view(latest);
  return true;
}

// Tells the analyses what the document wants of a step now.
void Workbench::wish_analyses() {
  Impl& impl = *impl_;
  const Run& run = document_.run();
  AnalysisWish wish{model_,
                    impl.model_key,
                    all_needs(),
                    document_.sampler,
                    run.seed,
                    run.draw_branch(),
                    document_.selection.vector_layer,
                    document_.selection.position,
                    impl.engine ? impl.engine->row_finder() : nullptr};
  // The badges' induction scores come from a step of their own.
  if (wish.needs.heads && !impl.induction_asked) {
    impl.induction_asked = true;
    BackgroundJob job;
    job.request = {make_induction_tokens(*model_), {}, impl.options.precision, {}};
    job.request.needs.add(Tap::attn_pattern, 0, model_->config().layer_count());
    job.done = [analyses = impl.analyses.get(), key = impl.model_key,
                model = model_](Result<std::shared_ptr<const Step>> step) {
      // An error: a model with a very short context. The scores stay unmeasured, and the badges say so.
      if (step) analyses->set_induction(key, measure_induction(model->config(), **step));
    };
    impl.engine->add_background(std::move(job));
  }
  impl.analyses->set_wish(std::move(wish));
}

void Workbench::ask() {
  if (!model_) return;
  wish_analyses();
  post_step();
  if (impl_->posted_id != impl_->taken_id) view_.stale = true;
  View asked = impl_->staged.step ? impl_->staged : view_;
  if (asked.step && !impl_->analyses->fill(asked)) analyses_complete_ = false;
}

bool Workbench::pump() {
  bool changed = take_model();
  changed |= take_device_news();
  {
    std::lock_guard lock(impl_->bell->mutex);
    impl_->bell->pending = false;
  }
  if (!model_) {
    revision_ += changed;
    return changed;
  }
  wish_analyses();
  post_step();
  changed |= take_step();
  if (impl_->staged.step) {
    if (impl_->analyses->fill(impl_->staged)) {
      view_ = std::move(impl_->staged);
      impl_->staged = {};
      analyses_complete_ = true;
      changed = true;
    }
  } else if (view_.step) {
    const View before = view_;
    analyses_complete_ = impl_->analyses->fill(view_);
    changed |= before.chain != view_.chain || before.heads != view_.heads || before.cosines != view_.cosines ||
               before.neighbours != view_.neighbours || before.thumbnails != view_.thumbnails ||
               before.change != view_.change;
  }
  const bool stale = impl_->posted_id != impl_->taken_id || impl_->staged.step != nullptr;
  changed |= stale != view_.stale;
  view_.stale = stale;
  if (advance()) {
    changed = true;
    wish_analyses();
    post_step();
    view_.stale = true;
  }
  revision_ += changed;
  return changed;
}

bool Workbench::busy() const {
  if (loading()) return true;
  if (!model_) return false;
  if (error_) return false;
  return view_.stale || impl_->staged.step != nullptr || (view_.step && !analyses_complete_) || pending_tokens_ != 0 ||
         !impl_->analyses->idle() || (needs_.heads && !impl_->engine->background_idle());
}

bool Workbench::settle(double seconds) {
  const double end = seconds_now() + seconds;
  while (true) {
    while (pump()) {
    }
    // Once more: what came in after the last pump may want another analysis.
    if (!busy() && !pump() && !busy()) return true;
    if (seconds_now() >= end) return false;
    std::unique_lock lock(impl_->bell->mutex);
    // The time limit of the wait is a net under a notification that came between pump and wait.
    impl_->bell->rung.wait_for(lock, std::chrono::milliseconds(20), [&] { return impl_->bell->pending; });
  }
}

}  // namespace glassbox
