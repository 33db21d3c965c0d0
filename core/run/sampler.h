// The sampler chain over the full vocabulary, with the state of every candidate at every stage.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/result.h"
#include "kernels/draw.h"

namespace glassbox {

std::string_view stage_name(SamplerStage stage);  // "temperature", "top_k", …

// The stages keep heads of one list: the candidates by penalised logit, greatest first, ties by id. A stage sees the
// probabilities that the stage before it left, made to sum to 1 again: top-p after top-k measures the nucleus of the k
// tokens that are left, not of the whole vocabulary; after the temperature it sees the heated probabilities, before it
// those of T = 1.
//   temperature  p ∝ exp(penalised / T). T = 0 keeps the first candidate alone, and the stages after it pass it on.
//   top_k        keeps the first k; of equal logits at the cut the smaller ids stay.
//   top_p        keeps the shortest head whose probabilities sum to at least p, at least one candidate.
//   min_p        keeps what has at least min_p × the probability of the first candidate.
// Logits of −∞ have probability 0 and stay in the list; where the greatest logit is infinite, those equal to it share
// the probability equally.
struct SamplerSettings {
  // The penalties are llama.cpp's (src/llama-sampling.cpp): repetition first, then the two that subtract.
  float repetition_penalty = 1.0f;  // (0, 100]; 1: off. Logits of tokens seen: divided if > 0, multiplied if ≤ 0 (Keskar et al. 2019)
  float presence_penalty = 0.0f;    // [−100, 100]; subtracted once from tokens seen
  float frequency_penalty = 0.0f;   // [−100, 100]; subtracted once per occurrence
  int penalty_window = 64;          // how many of the last tokens count; −1: all, 0: none
  float temperature = 1.0f;         // [0, 100]; 0: greedy
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // (0, 1]; 1: off (Holtzman et al. 2019)
  float min_p = 0.0f;               // [0, 1); 0: off (Nguyen et al. 2024)
  std::vector<SamplerStage> order = {SamplerStage::temperature, SamplerStage::top_k, SamplerStage::top_p,
                                     SamplerStage::min_p};
  bool operator==(const SamplerSettings&) const = default;
};

// Refuses values out of range and orders that are no permutation, naming the field and the range.
Result<void> check_sampler(const SamplerSettings& settings);
// Keys are the fields' names; "order" is a list of stage names.
nlohmann::json to_json(const SamplerSettings& settings);
// A key that is absent has its default; an unknown key, a wrong type or a value out of range is an error (usage) whose
// `where` is the key.
Result<SamplerSettings> sampler_from_json(const nlohmann::json& json);
// For a draw on a device. Precondition: check_sampler(settings) succeeded.
DrawSettings draw_settings(const SamplerSettings& settings);
// Equal settings have equal hashes, on every machine.
uint64_t hash_sampler(const SamplerSettings& settings);

// What one stage did. Candidates are counted and their mass is measured on the distribution that the stage leaves
// behind, before it is normalised again: the mass that the stage kept of what it was given.
struct ChainStage {
  std::string kind;         // "penalties", "temperature", "top_k", "top_p", "min_p", "draw"
  nlohmann::json params;    // as set: {"repetition", "presence", "frequency", "window"}, {"t"}, {"k"}, {"p"}, {"p"}, {"u"}
  bool active = true;       // false: the setting is off and the stage changed nothing
  int32_t kept = 0;         // candidates after the stage; 1 after the draw
  double mass = 1.0;        // share of the incoming probability that is kept; of the draw: the drawn token's probability
  double entropy_bits = 0;  // of the distribution after the stage, normalised; 0 after the draw
};

struct Candidate {
  int32_t id;
  float logit;         // as the model gave it
  float penalised;     // after the penalties
  float prob_model;    // softmax(logit): the model's own distribution
  float prob_heated;   // softmax(penalised / T) over all V, whatever the order of the stages; T = 0: 1 for the first
  float prob;          // after the whole chain; 0 when cut
  int8_t cut_by;       // index into ChainResult::stages of the stage that cut it, −1 when it was kept
};

struct ChainResult {
  SamplerSettings settings;
  std::vector<Candidate> candidates;  // [V], sorted by penalised logit, greatest first; ties by id
  std::vector<int32_t> rank_of;       // [V] id → index into candidates
  std::vector<ChainStage> stages;     // in the order applied, "penalties" first, "draw" last
  double entropy_model_bits = 0;      // of the model's own distribution
  double u = 0;                       // the random number of the draw
  int32_t drawn = -1;                 // the token that it chose
};

// What the logits and the penalties alone decide, before the other settings: the order of the candidates, and the model's
// own distribution. Kept while a slider is dragged, it leaves the chain a third of its work.
class SortedLogits;
std::shared_ptr<const SortedLogits> sort_logits(std::span<const float> logits, const SamplerSettings& settings,
                                                std::span<const int32_t> context);
bool same_penalties(const SamplerSettings& a, const SamplerSettings& b);

// Runs the chain. `logits` [V]; `context`: the tokens before, for the penalties; u in [0, 1).
// All sums are in fp64 in candidate order with an exponential of our own, so the same input gives the same cuts and the
// same draw everywhere. Time is O(V) (a radix sort and a few passes); nothing is kept between calls.
// The draw walks the kept candidates in order and takes the first whose cumulative probability exceeds u.
// Preconditions: check_sampler(settings) succeeded; V ≥ 1; logits hold no NaN. Context ids outside [0, V) are ignored.
ChainResult run_chain(std::span<const float> logits, const SamplerSettings& settings, std::span<const int32_t> context,
                      double u);
// The same from sorted logits, which were made with the same penalties.
ChainResult run_chain(const SortedLogits& sorted, const SamplerSettings& settings, double u);

// The token that run_chain() draws, always, without the rest of its result and in a fraction of its time.
int32_t draw_token(std::span<const float> logits, const SamplerSettings& settings, std::span<const int32_t> context,
                   double u);

// Compares two distributions over the same vocabulary, by softmax of their logits. KL is +∞ where `after` gives no
// probability at all to what `before` allows.
struct DistributionChange {
  double entropy_before_bits, entropy_after_bits;
  double kl_nats;  // KL(before ‖ after)
  std::vector<float> before, after;  // [V] probabilities
  std::vector<int32_t> order;        // ids by before, greatest first, at most 256
};
DistributionChange compare_distributions(std::span<const float> logits_before, std::span<const float> logits_after);

}  // namespace glassbox
