// What the panels of stage 6 share: the distribution that each stage of the chain sees, and settings that put its cut
// at a given row.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/panels/panel.h"

namespace glassbox {

// What a stage was given: candidates 0 … count − 1 in the chain's order, with the weights of its distribution. They are
// exp((z' − z'_0) / T) with the T that applies at that place: 1 before the temperature stage.
struct StageInput {
  int count = 0;
  double temperature = 1;           // that the weights are taken at; 0: greedy came before, one candidate is left
  std::vector<double> weights;      // [count], the first is 1
  std::vector<double> cumulative;   // [count] running sums of the weights
  double probability(int row) const { return weights[static_cast<size_t>(row)] / cumulative.back(); }
  double mass(int rows) const { return rows < 1 ? 0 : cumulative[static_cast<size_t>(rows) - 1] / cumulative.back(); }
};
StageInput make_stage_input(const ChainResult& chain, SamplerStage stage);
// Of the shown chain; made when a hover or a drag asks for it, and kept.
std::shared_ptr<const StageInput> stage_input(const FrameContext& context, SamplerStage stage);

// Index into ChainResult::stages.
int stage_index(const ChainResult& chain, SamplerStage stage);
// Candidates before and after a stage.
int kept_before(const ChainResult& chain, SamplerStage stage);
int kept_after(const ChainResult& chain, SamplerStage stage);

// The settings under which `stage` (top_k, top_p or min_p) keeps the first `rows` candidates of what it is given: k is
// the number of rows; p and the ratio are the shortest decimals that cut there. All of them or more: the setting is
// off. Where equal probabilities leave no such cut, the settings are unchanged.
SamplerSettings with_cut(const StageInput& input, SamplerSettings settings, SamplerStage stage, int rows);
// The shortest decimal in (low, high]; `high` when float has none between.
float shortest_between(double low, double high);

// "top-k 16", "÷ T = 1.50", "min-p off"
std::string stage_label(const SamplerSettings& settings, SamplerStage stage);
std::string stage_title(SamplerStage stage);  // "top-k"
std::string token_of(const FrameContext& context, int32_t id);  // visible text of a token of the vocabulary

// The token is taken after what is shown, by hand, in a branch. Does nothing when the document has moved on since.
void continue_with_token(FrameContext& context, int32_t id, float probability);

}  // namespace glassbox
