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

class DrawnLine;

class SessionStore {
 public:
  // `max_sessions`: how many lines keep their caches and pages.
  SessionStore(std::shared_ptr<const Model> model, std::shared_ptr<Ops> ops, int max_sessions = 8);
  ~SessionStore();

  // Computes the step, reusing whatever is cached. Errors: usage (empty text, too long for the context, an edit or a
  // need that the model does not have), cancelled, failed (memory).
  Result<std::shared_ptr<const Step>> run(const StepRequest& request, const StepProgress& progress = {});

  // Logits of the positions [begin, end) of the tokens, handed row by row to `sink(position, logits[V])`. For
  // perplexity and evaluation; nothing is kept.
  using LogitsSink = std::function<void(int position, std::span<const float> logits)>;
  Result<void> run_logits(std::span<const int32_t> tokens, Precision precision, const LogitsSink& sink,
                          const StepProgress& progress = {});

  // The line of these tokens, of which all but the last are in its cache then, for a device that draws from it. Nothing
  // else of the store may be used while it is in use. Errors: those of run(). Precondition: ops().draws().
  Result<std::unique_ptr<DrawnLine>> draw_on(const std::vector<int32_t>& tokens, Precision precision);

  // Drops the pages of lines that were not used lately until at most `bytes` remain.
  void trim_pages(size_t bytes);
  size_t kv_bytes() const;
  size_t page_bytes() const { return page_pool_->live_bytes(); }
  const Model& model() const { return *model_; }
  Ops& ops() { return *ops_; }
  std::shared_ptr<const PlacedModel> placed() const { return placed_; }
  void set_poison(bool poison) { poison_ = poison; }  // tests: pages start as NaN
  PagePool& page_pool() { return *page_pool_; }

 private:
  friend class DrawnLine;
  struct Session;
  struct KeptLogits;
  Session& open(const Recipe& recipe, const ProbeSpec& needs);
  Result<void> extend(Session& session, const ProbeSpec& needs, const Recipe& recipe,
                      const std::vector<PatchSource>& patches, std::vector<float>& logits, const StepProgress& progress,
                      StepTiming& timing);
  Result<std::vector<PatchSource>> patch_sources(const Recipe& recipe, const StepProgress& progress);
  const std::vector<float>* find_logits(const Recipe& recipe);
  Result<void> check(const StepRequest& request) const;

  std::shared_ptr<const Model> model_;
  std::shared_ptr<Ops> ops_;
  std::shared_ptr<const PlacedModel> placed_;
  std::unique_ptr<Workspace> workspace_;
  std::shared_ptr<KvPool> pools_[2];  // by precision
  std::shared_ptr<PagePool> page_pool_;
  // By precision; they stay when a line ends, and with them what the device has recorded of them.
  std::unique_ptr<DrawnSteps> drawn_steps_[2];
  std::list<Session> sessions_;   // most recently used first
  std::list<KeptLogits> logits_;  // most recently used first
  int max_sessions_;
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
