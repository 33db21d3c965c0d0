// The analyses of a view: asked for by what they depend on, computed on the analysis thread, each kept until another is
// wanted. Any thread may ask, so that the engine's does so as soon as a step is there, while the window's may be waiting
// for its screen.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "core/run/row_finder.h"
#include "core/run/workbench.h"

namespace glassbox {

// What the analyses depend on besides the step.
struct AnalysisWish {
  std::shared_ptr<const Model> model;
  std::string model_key;  // so that results of an older model are not taken
  Needs needs;
  SamplerSettings sampler;
  uint64_t seed = 0, branch = 0;  // of the draw
  int vector_layer = -1;
  int position = -1;  // the selected one; −1: the last
  std::shared_ptr<RowFinder> finder = {};  // null: the host looks for neighbours
};

class ViewAnalyses {
 public:
  // `wake` is called from the analysis thread after each result; it must only notify.
  explicit ViewAnalyses(std::function<void()> wake);

  // What is wanted from now on, of whatever step.
  void set_wish(AnalysisWish wish);
  // Puts the results that are there into the view, which has a step, and asks for those that are not. True when the view
  // has all that is wanted. While a newer result is being computed the view keeps what it had.
  bool fill(View& view);
  void set_induction(const std::string& model_key, std::vector<float> scores);  // [L·H], once a model
  bool idle() const { return thread_.idle(); }
  double chain_seconds() const { return *chain_seconds_; }  // of the last chain

 private:
  // The result of one kind of analysis. Equal keys stand for equal results.
  template <class T>
  class Slot {
   public:
    // The result for `key`, or null; then it has been asked for.
    template <class Work>
    std::shared_ptr<const T> get(AnalysisThread& thread, const char* kind, const std::string& key, Work work) {
      const std::lock_guard lock(state_->mutex);
      if (state_->done && state_->key == key) return state_->value;
      if (state_->asked == key) return nullptr;
      state_->asked = key;
      thread.post(kind, [state = state_, key, work = std::move(work)] {
        std::shared_ptr<const T> value = work();
        const std::lock_guard publishing(state->mutex);
        state->key = key;
        state->value.swap(value);
        state->done = true;
      });
      return nullptr;
    }
    std::shared_ptr<const T> find(const std::string& key) const {
      const std::lock_guard lock(state_->mutex);
      return state_->done && state_->key == key ? state_->value : nullptr;
    }
    // True when the key has been computed, even if the result is null (a page was missing).
    bool has(const std::string& key) const {
      const std::lock_guard lock(state_->mutex);
      return state_->done && state_->key == key;
    }

   private:
    struct State {
      std::mutex mutex;
      bool done = false;
      std::string key, asked;
      std::shared_ptr<const T> value;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
  };

  std::shared_ptr<const Neighbours> ask_neighbours(const AnalysisWish& wish, const std::shared_ptr<RowFinder>& finder,
                                                   int32_t token, const std::string& key);
  bool fill_vectors(View& view, const AnalysisWish& wish, const std::string& step_key);

  mutable std::mutex mutex_;  // of the wish and the induction scores
  AnalysisWish wish_;
  std::string induction_key_;
  std::vector<float> induction_;
  Slot<EmbeddingTable> table_;
  Slot<ChainResult> chain_;
  Slot<DistributionChange> change_;
  Slot<Thumbnails> thumbnails_;
  Slot<HeadTable> heads_;
  Slot<CosineMatrix> cosines_;
  Slot<Neighbours> neighbours_;
  // What the analysis thread keeps between its jobs.
  struct Sorted {
    std::string step_key;
    SamplerSettings settings;
    std::shared_ptr<const SortedLogits> sorted;
  };
  std::shared_ptr<Sorted> kept_sorted_ = std::make_shared<Sorted>();
  std::shared_ptr<HeadOutputs> head_outputs_ = std::make_shared<HeadOutputs>();
  std::shared_ptr<std::atomic<double>> chain_seconds_ = std::make_shared<std::atomic<double>>(0.0);
  AnalysisThread thread_;  // last: it ends before what its jobs use
};

}  // namespace glassbox
