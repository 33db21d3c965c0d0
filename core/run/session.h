// Sessions: lines of tokens with their caches. SessionStore keeps several, finds the one that shares the longest prefix
// with what is asked for, forks it there and runs only the rest.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "core/model/drawn_steps.h"
#include "core/run/step.h"

namespace glassbox {

// Between two layers of any forward: how far the request is (0 … 1); false cancels it.
using StepProgress = std::function<bool(double)>;

struct StepRequest {
  std::vector<int32_t> tokens;
  std::vector<Edit> edits;  // enabled or not; disabled ones are left out of the recipe
  Precision precision = Precision::fast;
  ProbeSpec needs;  // what must be in the step's pages, for all positions
};

// Before and after.
struct Comparison {
  std::shared_ptr<const Step> step, baseline;
};

class DrawnLine;

// Where sessions go on whose device has failed: the backend to take, or why there is none.
using OtherOps = std::function<Result<std::shared_ptr<Ops>>()>;

// Where the backend has a memory of its own, that may be full, and it may fail. Then run() and run_logits() do what can
// be done: first they drop what is kept of other lines, and try again; then they leave the device, once, for the
// backend that `other` gives (go_on_with), and compute there what was asked for. It has to read a line's tokens again;
// the random numbers after them depend on their number alone, so a text goes on where it was.
class SessionStore {
 public:
  // `max_sessions`: how many lines keep their caches and pages.
  SessionStore(std::shared_ptr<const Model> model, std::shared_ptr<Ops> ops, int max_sessions = 8);
  ~SessionStore();

  // `left` is called when it has gone on there; it may be empty.
  void go_on_with(OtherOps other, std::function<void(const Error& failure)> left) {
    other_ = std::move(other);
    left_ = std::move(left);
  }
  // Leaves the device that has failed so, as run() does by itself. Errors: the failure, when there is no other backend;
  // why there is none. Precondition: no DrawnLine is in use.
  Result<void> leave_device(const Error& failure);

  // Computes the step, reusing whatever is cached. Errors: usage (empty text, too long for the context, an edit or a
  // need that the model does not have), cancelled, failed (memory).
  Result<std::shared_ptr<const Step>> run(const StepRequest& request, const StepProgress& progress = {});

  // The same, and the step without its edits. Where rounding depends on how a line was computed, both are computed
  // alike, the baseline with edits at the same places that change nothing: what differs is what the edits do.
  Result<Comparison> compare(const StepRequest& request, const StepProgress& progress = {});

  // Logits of the tokens' positions in order, handed row by row to `sink(position, logits[V])`. For
  // perplexity and evaluation; nothing is kept.
  using LogitsSink = std::function<void(int position, std::span<const float> logits)>;
  Result<void> run_logits(std::span<const int32_t> tokens, Precision precision, const LogitsSink& sink,
                          const StepProgress& progress = {});

  // The line of these tokens, of which all but the last are in its cache then, for a device that draws from it. Nothing
  // else of the store may be used while it is in use. Errors: those of run(), which here does not leave the device by
  // itself. Precondition: ops().draws().
  Result<std::unique_ptr<DrawnLine>> draw_on(const std::vector<int32_t>& tokens, Precision precision);

  // Above so many bytes of pages a step keeps what it was asked for, and not what was seen of its line before; and
  // trim_pages() drops those of lines that were not used lately.
  void set_page_budget(size_t bytes) { page_budget_ = bytes; }
  void trim_pages();
  size_t kv_bytes() const;
  size_t page_bytes() const { return place_.pages->live_bytes(); }
  const Model& model() const { return *model_; }
  Ops& ops() { return *place_.ops; }
  std::shared_ptr<const PlacedModel> placed() const { return place_.model; }
  void set_poison(bool poison) { poison_ = poison; }  // tests: pages start as NaN
  PagePool& page_pool() { return *place_.pages; }

 private:
  friend class DrawnLine;
  struct Session;
  struct KeptLogits;
  // What belongs to a backend, and goes with it; in the order in which they may be made.
  struct Place {
    Place(std::shared_ptr<const Model> model, std::shared_ptr<Ops> ops);
    std::shared_ptr<Ops> ops;
    std::shared_ptr<const PlacedModel> model;
    std::unique_ptr<Workspace> workspace;
    std::shared_ptr<KvPool> pools[2];  // by precision
    std::shared_ptr<PagePool> pages;
    // By precision; they stay when a line ends, and with them what the device has recorded of them.
    std::unique_ptr<DrawnSteps> drawn[2];
  };
  template <class Work>
  auto persist(const Work& work) -> decltype(work());
  bool drop_other_lines();
  // may_drop: pages above the budget that are not asked for.
  Result<std::shared_ptr<const Step>> run_here(const StepRequest& request, const StepProgress& progress,
                                               bool may_drop = true);
  Result<std::unique_ptr<DrawnLine>> draw_here(const std::vector<int32_t>& tokens, Precision precision);
  Result<void> run_logits_here(std::span<const int32_t> tokens, Precision precision, const LogitsSink& sink,
                               const StepProgress& progress);
  Session& open(const Recipe& recipe, const ProbeSpec& needs);
  Result<void> extend(Session& session, const ProbeSpec& needs, const std::vector<PatchSource>& patches, Step& step,
                      const StepProgress& progress);
  Result<std::vector<PatchSource>> patch_sources(const Recipe& recipe, const StepProgress& progress);
  const KeptLogits* find_logits(const Recipe& recipe);
  void forget(const Recipe& recipe);  // so that it is computed anew
  Result<void> check(const StepRequest& request) const;

  std::shared_ptr<const Model> model_;
  Place place_;
  OtherOps other_;
  std::function<void(const Error& failure)> left_;
  std::list<Session> sessions_;   // most recently used first
  std::list<KeptLogits> logits_;  // most recently used first
  size_t lines_in_use_ = 1;       // the first of the sessions: the last step's, and its baseline's
  int max_sessions_;
  size_t page_budget_ = SIZE_MAX;
  bool poison_ = false;
};

// A line that goes on with tokens drawn beside their logits, one step ahead of the host.
class DrawnLine {
 public:
  static constexpr int kMost = DrawnSteps::kMost;
  DrawnLine(SessionStore::Session& session, DrawnSteps& steps, int32_t newest);
  ~DrawnLine();  // waits for what was sent
  DrawnLine(const DrawnLine&) = delete;
  DrawnLine& operator=(const DrawnLine&) = delete;
  // As those of DrawnSteps; a token that was decided is in the line from then on, as if run() had run it.
  Result<void> send(const DrawSettings& settings, double u);
  Result<Drawn> receive();
  int on_their_way() const { return steps_.on_their_way(); }
  int length() const { return steps_.length(); }

 private:
  SessionStore::Session& session_;
  DrawnSteps& steps_;
  int32_t newest_;  // the token that the oldest step on its way runs
};

}  // namespace glassbox
