#include "core/run/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/model/failures.h"

namespace glassbox {
namespace {

// Rows of a call that wants logits at every position: 32 × 49 152 × 4 bytes are 6 MiB.
constexpr int kMaxLogitRows = 32;
// Logits kept for steps that are shown again (196 KiB each for the default model).
constexpr size_t kKeptLogits = 128;

// Each try after the first has a reason that can come once: a device that is left, and caches that are forgotten.
constexpr int kMostComparisons = 3;

using Clock = std::chrono::steady_clock;

int common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return static_cast<int>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

// Which calls computed the rows of a line.
class CallList {
 public:
  void add(int begin, int end) { calls_.push_back({begin, end, end - begin}); }
  void truncate(int length) {
    while (!calls_.empty() && calls_.back().begin >= length) calls_.pop_back();
    if (!calls_.empty()) calls_.back().end = std::min(calls_.back().end, length);
  }
  uint64_t hash() const {
    uint64_t hash = kHashStart;
    for (const Call& call : calls_) {
      for (const int part : {call.begin, call.end, call.rows}) hash = join_hashes(hash, static_cast<uint64_t>(part));
    }
    return hash;
  }

 private:
  struct Call {
    int begin, end, rows;  // of what the call computed, [begin, end) is left
  };
  std::vector<Call> calls_;
};

struct SessionStore::Session {
  std::vector<int32_t> tokens;  // what the cache holds; as long as kv.length()
  std::vector<Edit> edits;
  Precision precision;
  KvSequence kv;
  PageTable pages;
  CallList calls;
};

struct SessionStore::KeptLogits {
  Recipe recipe;
  std::vector<float> logits;
  uint64_t path;
};

SessionStore::Place::Place(std::shared_ptr<const Model> of, std::shared_ptr<Ops> backend)
    : ops(std::move(backend)),
      model(std::make_shared<PlacedModel>(of, *ops)),
      workspace(std::make_unique<Workspace>(of->config(), std::min(rows_per_call(*ops), of->config().context), *ops)),
      pages(std::make_shared<PagePool>(ops)) {
  for (const Precision precision : {Precision::exact, Precision::fast}) {
    pools[static_cast<size_t>(precision)] = std::make_shared<KvPool>(of->config(), precision, ops);
  }
}

SessionStore::SessionStore(std::shared_ptr<const Model> model, std::shared_ptr<Ops> ops, int max_sessions)
    : model_(std::move(model)), place_(model_, std::move(ops)), max_sessions_(max_sessions) {}

SessionStore::~SessionStore() = default;

// Does the work; where the device has no memory for it, or fails, again under better conditions.
template <class Work>
auto SessionStore::persist(const Work& work) -> decltype(work()) {
  auto done = work();
  if (!done && done.error().kind == ErrorKind::device_memory && drop_other_lines()) done = work();
  if (!done && is_of_device(done.error())) {
    if (const Result<void> left = leave_device(done.error()); !left) return left.error();
    done = work();
  }
  return done;
}

// Of the line that was used last everything stays. False: there was nothing to drop.
bool SessionStore::drop_other_lines() {
  if (sessions_.size() < 2) return false;
  sessions_.erase(std::next(sessions_.begin()), sessions_.end());
  for (const std::shared_ptr<KvPool>& pool : place_.pools) pool->release_unused();
  return true;
}

Result<void> SessionStore::leave_device(const Error& failure) {
  if (!other_) return failure;
  const OtherOps other = std::exchange(other_, {});
  const Result<void> moved = report_failures([&]() -> Result<void> {
    Result<std::shared_ptr<Ops>> ops = other();
    if (!ops) return ops.error();
    Place next(model_, ops.take());
    sessions_.clear();
    logits_.clear();  // of another backend's bits
    std::swap(place_, next);
    return {};
  });
  if (moved && left_) left_(failure);
  return moved;
}

Result<void> SessionStore::check(const StepRequest& request) const {
  const ModelConfig& config = model_->config();
  if (request.tokens.empty()) {
    return Error{ErrorKind::usage, "There is no token to run.", "the prompt", "at least one token", "Type something."};
  }
  if (static_cast<int64_t>(request.tokens.size()) > config.context) {
    return Error{ErrorKind::usage, "The text does not fit the model's context.",
                 std::to_string(request.tokens.size()) + " tokens", "at most " + std::to_string(config.context),
                 "Shorten the text, or use a model with a longer context."};
  }
  for (const int32_t token : request.tokens) {
    if (token < 0 || token >= config.vocab) {
      return Error{ErrorKind::usage, "The model has no token " + std::to_string(token) + ".", "the prompt",
                   "0 to " + std::to_string(config.vocab - 1), ""};
    }
  }
  for (const Edit& edit : request.edits) {
    if (!edit.enabled) continue;
    if (const Result<void> good = check_edit(edit, config); !good) return good;
  }
  return request.needs.check(config);
}

// The line that has most of what is asked for: tokens in its cache, and for as many of them the pages. A line that goes
// another way afterwards keeps its cache: the new one forks it where they part.
SessionStore::Session& SessionStore::open(const Recipe& recipe, const ProbeSpec& needs) {
  auto best = sessions_.end();
  int shared = -1, best_reach = -1;
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    if (it->precision != recipe.precision || it->edits != recipe.edits) continue;
    const int prefix = common_prefix(it->tokens, recipe.tokens), length = static_cast<int>(recipe.tokens.size());
    int reach = prefix;  // where the forward would have to begin
    for (const TapNeed& need : needs.needs)
      for (int layer = need.layer_begin; layer < need.layer_end; ++layer)
        reach = std::min(reach, it->pages.first_missing(need, layer, need.last_only ? length : reach));
    if (reach > best_reach || (reach == best_reach && prefix > shared)) best = it, shared = prefix, best_reach = reach;
  }
  if (best != sessions_.end() && shared == static_cast<int>(best->tokens.size())) {
    sessions_.splice(sessions_.begin(), sessions_, best);
    return sessions_.front();
  }
  if (best == sessions_.end() || shared == 0) {
    sessions_.push_front(
        {{}, recipe.edits, recipe.precision, KvSequence(place_.pools[static_cast<size_t>(recipe.precision)]), {}, {}});
  } else {
    Session fork{{recipe.tokens.begin(), recipe.tokens.begin() + shared},
                 recipe.edits,
                 recipe.precision,
                 best->kv.fork(shared),
                 best->pages,
                 best->calls};
    fork.pages.truncate(shared);
    fork.calls.truncate(shared);
    sessions_.push_front(std::move(fork));
  }
  if (static_cast<int>(sessions_.size()) > max_sessions_) sessions_.pop_back();
  return sessions_.front();
}

const SessionStore::KeptLogits* SessionStore::find_logits(const Recipe& recipe) {
  for (auto it = logits_.begin(); it != logits_.end(); ++it) {
    if (it->recipe.precision == recipe.precision && it->recipe.tokens == recipe.tokens &&
        it->recipe.edits == recipe.edits) {
      logits_.splice(logits_.begin(), logits_, it);
      return &logits_.front();
    }
  }
  return nullptr;
}

void SessionStore::forget(const Recipe& recipe) {
  const auto same = [&](const auto& other) {
    return other.precision == recipe.precision && other.edits == recipe.edits;
  };
  sessions_.remove_if(same);
  logits_.remove_if([&](const KeptLogits& kept) { return same(kept.recipe); });
}

// The runs that patches take their values from, each without edits. Empty entries belong to other kinds of edit.
Result<std::vector<PatchSource>> SessionStore::patch_sources(const Recipe& recipe, const StepProgress& progress) {
  std::vector<PatchSource> sources(recipe.edits.size());
  for (size_t i = 0; i < recipe.edits.size(); ++i) {
    const Edit& edit = recipe.edits[i];
    if (edit.kind != EditKind::patch) continue;
    StepRequest request{edit.patch_tokens, {}, recipe.precision, {}};
    request.needs.add(edit.tap, edit.layer, edit.layer + 1);
    Result<std::shared_ptr<const Step>> step = run_here(request, progress, false);
    if (!step) return step.error();
    sources[i] = std::make_shared<PageTable>((*step)->pages);
  }
  return sources;
}

Result<void> SessionStore::extend(Session& session, const ProbeSpec& needs, const std::vector<PatchSource>& patches,
                                  Step& step, const StepProgress& progress) {
  const ModelConfig& config = model_->config();
  const Recipe& recipe = step.recipe;
  std::vector<float>& logits = step.logits;
  const int length = step.length();
  const KeptLogits* kept = find_logits(recipe);

  // Where the forward has to begin: at what the cache, a page or the logits lack.
  int start = session.kv.length();
  int logits_start = length;  // first position at which the head runs
  struct Missing {
    Tap tap;
    int layer, begin;
  };
  std::vector<Missing> missing;
  const auto find_missing = [&] {
    missing.clear();
    for (const TapNeed& need : needs.needs) {
      for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
        const int first = session.pages.first_missing(need, layer, length);
        if (first >= length) continue;
        const auto known = std::find_if(missing.begin(), missing.end(),
                                        [&](const Missing& m) { return m.tap == need.tap && m.layer == layer; });
        if (known == missing.end()) {
          missing.push_back({need.tap, layer, first});
        } else {
          known->begin = std::min(known->begin, first);
        }
        start = std::min(start, first);
        if (need.tap == Tap::logits) logits_start = std::min(logits_start, first);
      }
    }
  };
  find_missing();
  if (kept == nullptr) {
    start = std::min(start, length - 1);
    logits_start = std::min(logits_start, length - 1);
  }
  if (start >= length) {
    logits = kept->logits;
    step.path = join_hashes(kept->path, session.calls.hash());
    return {};
  }
  // What is computed again may round otherwise: all that is seen of these rows is of one run.
  if (start < session.kv.length() && !place_.ops->on_host()) {
    session.pages.truncate(start);
    find_missing();
  }

  TapPlan plan(config);
  std::vector<std::shared_ptr<Page>> pages;
  if (session.kv.length() > start) session.kv.truncate(start);
  session.tokens.resize(static_cast<size_t>(start));
  session.calls.truncate(start);
  for (const Missing& m : missing) {
    pages.push_back(std::make_shared<Page>(place_.pages, m.tap, m.layer, m.begin, length,
                                           tap_heads(m.tap, config, m.layer), tap_width(m.tap, config, m.layer, length),
                                           poison_));
    plan.add_capture(0, pages.back());
  }
  for (size_t i = 0; i < recipe.edits.size(); ++i) plan.add_edit(recipe.edits[i], 0, patches[i]);

  const bool all_logits = logits_start < length - 1;
  const int chunk = all_logits ? std::min(place_.workspace->max_rows(), kMaxLogitRows) : place_.workspace->max_rows();
  std::vector<ForwardRow> rows;
  KvSequence* const sequences[] = {&session.kv};
  Result<void> result;
  (void)place_.model->weights(recipe.precision);  // laid out at the first call: that is loading, not computing
  const Clock::time_point begun = Clock::now();
  for (int begin = start; begin < length; begin += chunk) {
    const int end = std::min(begin + chunk, length);
    rows.clear();
    int logit_rows = 0;
    for (int position = begin; position < end; ++position) {
      const bool wants_logits = position >= logits_start;
      logit_rows += wants_logits;
      rows.push_back({recipe.tokens[static_cast<size_t>(position)], 0, position, wants_logits});
    }
    logits.resize(static_cast<size_t>(logit_rows) * static_cast<size_t>(config.vocab));
    const auto between_layers = [&](int layer) {
      if (!progress) return true;
      const double layers_done = static_cast<double>(layer) / config.layer_count();
      return progress((begin - start + (end - begin) * layers_done) / (length - start));
    };
    result = forward(*place_.model, *place_.ops, recipe.precision, *place_.workspace,
                     {rows, sequences, plan.empty() ? nullptr : &plan, logits, between_layers});
    if (!result) break;
    session.tokens.insert(session.tokens.end(), recipe.tokens.begin() + begin, recipe.tokens.begin() + end);
    session.calls.add(begin, end);
  }
  step.timing.rows = session.kv.length() - start;
  step.timing.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  // What a cancelled run has captured stays: the next one goes on from there.
  for (const std::shared_ptr<Page>& page : pages) {
    const int end = session.kv.length();
    if (end <= page->begin()) continue;
    if (!page->complete(end)) {
      return Error{ErrorKind::failed, "A tap did not fire exactly once for each position.",
                   std::string(tap_info(page->tap()).name), "", "This is a fault of Glassbox; please report it."};
    }
    session.pages.insert(page, end);
  }
  if (!result) {
    session.pages.truncate(session.kv.length());  // pages never reach past the line's tokens
    return result;
  }
  if (kept == nullptr) {
    logits.erase(logits.begin(), logits.end() - config.vocab);
    logits_.push_front({recipe, logits, session.calls.hash()});
    if (logits_.size() > kKeptLogits) logits_.pop_back();
    kept = &logits_.front();
  } else {
    logits = kept->logits;
  }
  step.path = join_hashes(kept->path, session.calls.hash());
  return {};
}

Result<std::shared_ptr<const Step>> SessionStore::run(const StepRequest& request, const StepProgress& progress) {
  lines_in_use_ = 1;
  return persist([&] { return run_here(request, progress); });
}

Result<Comparison> SessionStore::compare(const StepRequest& request, const StepProgress& progress) {
  const auto half = [&](double done_before) -> StepProgress {
    if (!progress) return {};
    return [&progress, done_before](double part) { return progress((done_before + part) / 2); };
  };
  Comparison both;
  // Again where the two were computed otherwise: the backend changed in between, or a cache had one of them already.
  for (int tries = 0; tries < kMostComparisons; ++tries) {
    Result<std::shared_ptr<const Step>> step = run(request, half(0));
    if (!step) return step.error();
    const bool on_host = ops().on_host();
    StepRequest baseline = request;
    baseline.edits.clear();
    if (!on_host) {
      for (const Edit& edit : (*step)->recipe.edits) baseline.edits.push_back(without_effect(edit));
    }
    Result<std::shared_ptr<const Step>> plain = run(baseline, half(1));
    if (!plain) return plain.error();
    both = {step.take(), plain.take()};
    if (both.step->recipe.kernel_path != both.baseline->recipe.kernel_path) continue;
    if (on_host || both.step->path == both.baseline->path || tries + 1 == kMostComparisons) break;
    forget(both.step->recipe);
    forget(both.baseline->recipe);
  }
  lines_in_use_ = 2;
  return both;
}

Result<std::shared_ptr<const Step>> SessionStore::run_here(const StepRequest& request, const StepProgress& progress,
                                                           bool may_drop) {
  if (const Result<void> good = check(request); !good) return good.error();
  try {
    auto step = std::make_shared<Step>();
    step->recipe = {model_->hash(), request.tokens, {}, request.precision, place_.ops->description()};
    std::copy_if(request.edits.begin(), request.edits.end(), std::back_inserter(step->recipe.edits),
                 [](const Edit& edit) { return edit.enabled; });
    Result<std::vector<PatchSource>> patches = patch_sources(step->recipe, progress);
    if (!patches) return patches.error();
    Session& session = open(step->recipe, request.needs);
    if (const Result<void> done = extend(session, request.needs, *patches, *step, progress); !done) return done.error();
    step->logits_hash = hash_logits(step->logits);
    if (may_drop && place_.pages->live_bytes() > page_budget_) session.pages.keep(request.needs);
    step->pages = session.pages;
    return std::shared_ptr<const Step>(std::move(step));
  } catch (...) {
    return error_of_exception();
  }
}

Result<std::unique_ptr<DrawnLine>> SessionStore::draw_on(const std::vector<int32_t>& tokens, Precision precision) {
  Result<std::unique_ptr<DrawnLine>> line = draw_here(tokens, precision);
  if (!line && line.error().kind == ErrorKind::device_memory && drop_other_lines()) line = draw_here(tokens, precision);
  return line;
}

Result<std::unique_ptr<DrawnLine>> SessionStore::draw_here(const std::vector<int32_t>& tokens, Precision precision) {
  if (const Result<void> good = check({tokens, {}, precision, {}}); !good) return good.error();
  const Recipe recipe{model_->hash(), {tokens.begin(), tokens.end() - 1}, {}, precision, {}};
  try {
    Session* session = &open(recipe, {});
    if (session->kv.length() < static_cast<int>(recipe.tokens.size())) {
      const Result<std::shared_ptr<const Step>> step = run_here({recipe.tokens, {}, precision, {}}, {});
      if (!step) return step.error();
      session = &sessions_.front();
    }
    std::unique_ptr<DrawnSteps>& steps = place_.drawn[static_cast<size_t>(precision)];
    if (!steps) steps = std::make_unique<DrawnSteps>(*place_.model, *place_.ops, precision, *place_.workspace);
    if (const Result<void> begun = steps->begin(tokens); !begun) return begun.error();
    return std::make_unique<DrawnLine>(*session, *steps, tokens.back());
  } catch (...) {
    return error_of_exception();
  }
}

DrawnLine::DrawnLine(SessionStore::Session& session, DrawnSteps& steps, int32_t newest)
    : session_(session), steps_(steps), newest_(newest) {}

DrawnLine::~DrawnLine() {
  (void)steps_.begin({});
}

Result<void> DrawnLine::send(const DrawSettings& settings, double u) {
  return steps_.send(session_.kv, settings, u);
}

Result<Drawn> DrawnLine::receive() {
  const Result<Drawn> drawn = steps_.receive();
  if (!drawn || drawn->decided == 0) return drawn;
  session_.kv.commit(session_.kv.length() + 1);
  session_.tokens.push_back(newest_);
  session_.calls.add(session_.kv.length() - 1, session_.kv.length());
  newest_ = drawn->token;
  return drawn;
}

Result<void> SessionStore::run_logits(std::span<const int32_t> tokens, Precision precision, const LogitsSink& sink,
                                      const StepProgress& progress) {
  int handed = 0;  // each row is handed out once, wherever it was computed
  const auto once = [&](int position, std::span<const float> logits) {
    if (position < handed) return;
    handed = position + 1;
    sink(position, logits);
  };
  return persist([&] { return run_logits_here(tokens, precision, once, progress); });
}

Result<void> SessionStore::run_logits_here(std::span<const int32_t> tokens, Precision precision, const LogitsSink& sink,
                                           const StepProgress& progress) {
  if (const Result<void> good = check({{tokens.begin(), tokens.end()}, {}, precision, {}}); !good) return good;
  const ModelConfig& config = model_->config();
  const int length = static_cast<int>(tokens.size());
  KvSequence kv(place_.pools[static_cast<size_t>(precision)]);
  KvSequence* const sequences[] = {&kv};
  std::vector<float> logits(static_cast<size_t>(kMaxLogitRows) * static_cast<size_t>(config.vocab));
  std::vector<ForwardRow> rows;
  for (int begin = 0; begin < length; begin += kMaxLogitRows) {
    const int end = std::min(begin + kMaxLogitRows, length);
    rows.clear();
    for (int position = begin; position < end; ++position)
      rows.push_back({tokens[static_cast<size_t>(position)], 0, position, true});
    const auto between_layers = [&](int layer) {
      return !progress ||
             progress((begin + (end - begin) * static_cast<double>(layer) / config.layer_count()) / length);
    };
    const size_t count = rows.size() * static_cast<size_t>(config.vocab);
    if (const Result<void> done =
            forward(*place_.model, *place_.ops, precision, *place_.workspace,
                    {rows, sequences, nullptr, std::span<float>(logits).first(count), between_layers});
        !done) {
      return done;
    }
    for (int position = begin; position < end; ++position) {
      sink(position, std::span<const float>(logits).subspan(
                         static_cast<size_t>(position - begin) * static_cast<size_t>(config.vocab),
                         static_cast<size_t>(config.vocab)));
    }
  }
  return {};
}

void SessionStore::trim_pages() {
  size_t left = sessions_.size();
  for (auto it = sessions_.rbegin(); left > lines_in_use_ && place_.pages->live_bytes() > page_budget_; ++it, --left) {
    it->pages.clear();
  }
}

size_t SessionStore::kv_bytes() const {
  return place_.pools[0]->live_bytes() + place_.pools[1]->live_bytes();
}

}  // namespace glassbox
