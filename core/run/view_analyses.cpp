#include "core/run/view_analyses.h"

#include <algorithm>
#include <bit>
#include <chrono>

#include "core/run/random.h"

namespace glassbox {

ViewAnalyses::ViewAnalyses(std::function<void()> wake) : thread_(std::move(wake)) {}

void ViewAnalyses::set_wish(AnalysisWish wish) {
  const std::lock_guard lock(mutex_);
  wish_ = std::move(wish);
}

void ViewAnalyses::set_induction(const std::string& model_key, std::vector<float> scores) {
  const std::lock_guard lock(mutex_);
  induction_key_ = model_key;
  induction_ = std::move(scores);
}

bool ViewAnalyses::fill(View& view) {
  AnalysisWish wish;
  std::vector<float> induction;
  {
    const std::lock_guard lock(mutex_);
    wish = wish_;
    if (wish.needs.heads && induction_key_ == wish.model_key) induction = induction_;
  }
  const Needs& needs = wish.needs;
  const std::string step_key = wish.model_key + "#" + std::to_string(view.id);
  bool complete = true;
  if (needs.chain) {
    const double u = draw_uniform(wish.seed, wish.branch, view.tokens.size());
    const std::string key = step_key + "/" + std::to_string(hash_sampler(wish.sampler)) + "/" +
                            std::to_string(std::bit_cast<uint64_t>(u));
    auto chain = chain_.get(
        thread_, "chain", key,
        [step = view.step, sampler = wish.sampler, u, kept = kept_sorted_, step_key, seconds = chain_seconds_] {
          using Clock = std::chrono::steady_clock;
          const Clock::time_point begun = Clock::now();
          if (!kept->sorted || kept->step_key != step_key || !same_penalties(kept->settings, sampler))
            *kept = {step_key, sampler, sort_logits(step->logits, sampler, step->recipe.tokens)};
          auto result = std::make_shared<const ChainResult>(run_chain(*kept->sorted, sampler, u));
          *seconds = std::chrono::duration<double>(Clock::now() - begun).count();
          return result;
        });
    // While a slider is dragged the last chain stays until the new one is there.
    if (chain) view.chain = chain;
    complete &= chain != nullptr;
  }
  if (needs.change && view.baseline) {
    auto change = change_.get(thread_, "change", step_key, [before = view.baseline, after = view.step] {
      return std::make_shared<const DistributionChange>(compare_distributions(before->logits, after->logits));
    });
    if (change) view.change = change;
    complete &= change != nullptr;
  }
  if (needs.thumbnails) {
    auto thumbnails = thumbnails_.get(thread_, "thumbnails", step_key, [model = wish.model, step = view.step] {
      return make_thumbnails(model->config(), *step);
    });
    if (thumbnails) view.thumbnails = thumbnails;
    complete &= thumbnails_.has(step_key);
  }
  if (needs.heads) {
    // The badges; the induction scores join when their own step, a background job, has been run.
    const std::string key = step_key + (induction.empty() ? "" : "+induction");
    auto heads = heads_.get(thread_, "heads", key, [model = wish.model, step = view.step, induction, outputs = head_outputs_] {
      return make_head_table(*model, *step, induction, outputs.get());
    });
    if (heads) view.heads = heads;
    complete &= heads_.has(key);
  }
  if (needs.cosines || needs.neighbours) complete &= fill_vectors(view, wish, step_key);
  return complete;
}

// What looks at the embedding table.
bool ViewAnalyses::fill_vectors(View& view, const AnalysisWish& wish, const std::string& step_key) {
  bool complete = true;
  if (wish.needs.cosines) {
    const int layer = wish.vector_layer;
    const std::string key = step_key + "/" + std::to_string(layer);
    auto cosines = cosines_.get(thread_, "cosines", key, [model = wish.model, step = view.step, layer] {
      return make_cosine_matrix(*model, *step, layer);
    });
    if (cosines) view.cosines = cosines;
    complete &= cosines_.has(key);
  }
  if (wish.needs.neighbours) {
    const int last = static_cast<int>(view.tokens.size()) - 1;
    const int32_t token =
        view.tokens[static_cast<size_t>(wish.position < 0 ? last : std::min(wish.position, last))];
    const std::shared_ptr<RowFinder> finder = wish.finder && wish.finder->works() ? wish.finder : nullptr;
    const std::string key = wish.model_key + (finder ? "/device/" : "/") + std::to_string(token);
    if (auto neighbours = ask_neighbours(wish, finder, token, key)) view.neighbours = neighbours;
    complete &= neighbours_.has(key);
  }
  return complete;
}

std::shared_ptr<const Neighbours> ViewAnalyses::ask_neighbours(const AnalysisWish& wish,
                                                               const std::shared_ptr<RowFinder>& finder, int32_t token,
                                                               const std::string& key) {
  if (finder) {
    return neighbours_.get(thread_, "neighbours", key, [model = wish.model, finder, token] {
      std::vector<float> row(static_cast<size_t>(model->config().width));
      model->embedding_row(token, row.data());
      Result<Neighbours> found = finder->find(row, token, kNeighbourCount);
      // It works no more then, so the next look at this view asks the host.
      if (!found) return std::shared_ptr<const Neighbours>();
      found->id = token;
      return std::make_shared<const Neighbours>(found.take());
    });
  }
  const std::shared_ptr<const EmbeddingTable> vectors =
      table_.get(thread_, "table", wish.model_key, [model = wish.model] { return make_embedding_table(*model); });
  if (!vectors) return nullptr;
  return neighbours_.get(thread_, "neighbours", key, [vectors, token] {
    const std::span<const float> row(vectors->rows.data() + static_cast<ptrdiff_t>(token) * vectors->width,
                                     static_cast<size_t>(vectors->width));
    auto found = std::make_shared<Neighbours>(find_neighbours(*vectors, row, token, kNeighbourCount));
    found->id = token;
    return std::shared_ptr<const Neighbours>(std::move(found));
  });
}

}  // namespace glassbox
