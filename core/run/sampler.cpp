#include "core/run/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <utility>

#include "core/io/json_fields.h"
#include "core/run/sampler_math.h"

namespace glassbox {

namespace {

struct HeadSums {
  double total = 0;         // Σ w over the head
  double entropy_bits = 0;  // of w / total
};

// −Σ p log p with log p = d − log(total); `weighted` is Σ w·d. A head of equal weights can come out a rounding below
// zero.
HeadSums make_sums(double total, double weighted) {
  const double nats = std::log(total) - weighted / total;
  return {total, std::max(0.0, nats / std::numbers::ln2)};
}

// exp(d) in candidate order for d = (x − greatest) / T, which is ≤ 0.
class Weights {
 public:
  Weights() = default;
  // What equals the greatest has d = 0 also when both are infinite. `values` must outlive this.
  Weights(std::span<const float> values, float greatest, double temperature)
      : values_(values),
        greatest_(static_cast<double>(greatest)),
        temperature_(temperature),
        weights_((values.size() + kLanes - 1) / kLanes * kLanes) {
    // A few at a time, so that the exponents are still at hand for the sums.
    constexpr size_t kBlock = 256;
    static_assert(kBlock % kLanes == 0);
    std::array<double, kBlock> exponents;
    double total = 0, weighted = 0;
    for (size_t begin = 0; begin < values.size(); begin += kBlock) {
      const size_t count = std::min(kBlock, values.size() - begin);
      for (size_t i = 0; i < count; ++i) exponents[i] = static_cast<double>(values[begin + i]);
      for (size_t i = count; i % kLanes != 0; ++i) exponents[i] = greatest_;
      double* weights = weights_.data() + begin;
      for (size_t i = 0; i < count; i += kLanes) {
        Doubles x;
        std::memcpy(&x, exponents.data() + i, sizeof x);
        x = x == greatest_ ? Doubles{} : (x - greatest_) / temperature_;
        std::memcpy(exponents.data() + i, &x, sizeof x);
        std::memcpy(weights + i, &x, sizeof x);
      }
      exp_below_zero(weights, (count + kLanes - 1) / kLanes * kLanes);
      for (size_t i = 0; i < count; ++i) {
        total += weights[i];
        weighted += weights[i] == 0.0 ? 0.0 : weights[i] * exponents[i];
      }
    }
    sums_ = make_sums(total, weighted);
  }
  // All of it on the first candidate.
  static Weights make_greedy(std::span<const float> values) {
    Weights weights;
    weights.values_ = values;
    weights.greatest_ = static_cast<double>(values[0]);
    weights.weights_.assign(values.size(), 0.0);
    weights.weights_[0] = 1.0;
    weights.sums_ = {1.0, 0.0};
    return weights;
  }
  double operator[](size_t i) const { return weights_[i]; }
  double exponent(size_t i) const {
    const double value = static_cast<double>(values_[i]);
    return value == greatest_ ? 0.0 : (value - greatest_) / temperature_;
  }
  const HeadSums& sums() const { return sums_; }  // of all

 private:
  std::span<const float> values_;
  double greatest_ = 0, temperature_ = 1;
  std::vector<double> weights_;  // padded to whole vectors
  HeadSums sums_;
};

HeadSums sum_head(const Weights& weights, size_t kept) {
  double total = 0, weighted = 0;
  for (size_t i = 0; i < kept; ++i) {
    const double w = weights[i];
    total += w;
    weighted += w == 0.0 ? 0.0 : w * weights.exponent(i);
  }
  return make_sums(total, weighted);
}

// Ids by value, greatest first, equal values by id. A radix sort on the bits in three passes of 11: stable, so ids,
// which go in ascending, stay so among equals. Precondition: no NaN.
std::vector<int32_t> sort_descending(std::span<const float> values) {
  constexpr int kDigitBits = 11;
  constexpr uint32_t kDigits = 1u << kDigitBits;
  struct Item {
    uint32_t key;
    int32_t id;
  };
  std::vector<Item> items(values.size()), other(values.size());
  std::array<std::array<uint32_t, kDigits>, 3> counts{};
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(values[i] + 0.0f);  // −0 becomes 0: they are equal
    // Positive floats order as their bits do, negative ones the other way round; ascending keys are descending values.
    const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    const uint32_t key = ~ascending;
    items[i] = {key, static_cast<int32_t>(i)};
    for (size_t pass = 0; pass < 3; ++pass) ++counts[pass][key >> (pass * kDigitBits) & (kDigits - 1)];
  }
  for (size_t pass = 0; pass < 3; ++pass) {
    uint32_t start = 0;
    for (uint32_t& count : counts[pass]) start += std::exchange(count, start);
    for (const Item& item : items) other[counts[pass][item.key >> (pass * kDigitBits) & (kDigits - 1)]++] = item;
    items.swap(other);
  }
  std::vector<int32_t> ids(values.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = items[i].id;
  return ids;
}

// The shortest head whose weights sum to at least p of the total.
size_t nucleus_size(const Weights& weights, size_t kept, double total, double p) {
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    sum += weights[i];
    if (sum >= p * total) return i + 1;
  }
  return kept;
}

// How many of the head have at least `share` of the first one's weight (which is 1).
size_t count_above(const Weights& weights, size_t kept, double share) {
  size_t low = 0, high = kept;  // weights fall along the list
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (weights[middle] >= share) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The state that the stages pass on.
struct Chain {
  const Weights* weights = nullptr;  // before the temperature stage those of T = 1, after it the heated ones
  size_t kept = 0;
  HeadSums sums;
};

size_t kept_by(SamplerStage stage, const SamplerSettings& settings, const Chain& chain) {
  switch (stage) {
    case SamplerStage::temperature:
      return settings.temperature == 0.0f ? 1 : chain.kept;
    case SamplerStage::top_k:
      return settings.top_k == 0 ? chain.kept : std::min(chain.kept, static_cast<size_t>(settings.top_k));
    case SamplerStage::top_p:
      if (settings.top_p >= 1.0f) return chain.kept;
      return nucleus_size(*chain.weights, chain.kept, chain.sums.total, static_cast<double>(settings.top_p));
    case SamplerStage::min_p:
      if (settings.min_p <= 0.0f) return chain.kept;
      return count_above(*chain.weights, chain.kept, static_cast<double>(settings.min_p));
  }
  return chain.kept;
}

ChainStage describe_stage(SamplerStage stage, const SamplerSettings& settings) {
  ChainStage described;
  described.kind = stage_name(stage);
  switch (stage) {
    case SamplerStage::temperature:
      described.params = {{"t", json_number(settings.temperature)}};
      described.active = settings.temperature != 1.0f;
      break;
    case SamplerStage::top_k:
      described.params = {{"k", settings.top_k}};
      described.active = settings.top_k != 0;
      break;
    case SamplerStage::top_p:
      described.params = {{"p", json_number(settings.top_p)}};
      described.active = settings.top_p < 1.0f;
      break;
    case SamplerStage::min_p:
      described.params = {{"p", json_number(settings.min_p)}};
      described.active = settings.min_p > 0.0f;
      break;
  }
  return described;
}

// Index of the first candidate whose cumulative probability exceeds u.
size_t draw(const Weights& weights, size_t kept, double total, double u) {
  double sum = 0;
  size_t last = 0;  // the last that has any probability, for a sum that rounding left below u·total
  for (size_t i = 0; i < kept; ++i) {
    if (weights[i] == 0.0) continue;
    sum += weights[i];
    last = i;
    if (sum > u * total) break;
  }
  return last;
}

}  // namespace

class SortedLogits {
 public:
  SortedLogits(std::span<const float> logits, const SamplerSettings& settings, std::span<const int32_t> context)
      : penalties(has_penalties(settings)) {
    const std::vector<float> penalised = penalise(logits, settings, context);
    ids = sort_descending(penalised);
    const auto in_order = [&](std::span<const float> values) {
      std::vector<float> ordered(values.size());
      for (size_t i = 0; i < ordered.size(); ++i) ordered[i] = values[static_cast<size_t>(ids[i])];
      return ordered;
    };
    rank_of.resize(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) rank_of[static_cast<size_t>(ids[i])] = static_cast<int32_t>(i);
    sorted = in_order(penalised);
    plain = Weights(sorted, sorted[0], 1.0);
    const auto set_model = [&](const Weights& weights) {
      model_entropy_bits = weights.sums().entropy_bits;
      prob_model.resize(ids.size());
      for (size_t i = 0; i < ids.size(); ++i) prob_model[i] = static_cast<float>(weights[i] / weights.sums().total);
    };
    if (penalties) {
      own_raw = in_order(logits);
      set_model(Weights(own_raw, *std::max_element(own_raw.begin(), own_raw.end()), 1.0));
    } else {
      set_model(plain);
    }
  }
  SortedLogits(const SortedLogits&) = delete;
  SortedLogits& operator=(const SortedLogits&) = delete;

  // In candidate order; without penalties the model's own logits are the same as the penalised.
  const std::vector<float>& raw() const { return penalties ? own_raw : sorted; }

  const bool penalties;
  std::vector<int32_t> ids, rank_of;
  std::vector<float> sorted;  // penalised
  Weights plain;              // at T = 1
  std::vector<float> prob_model;
  double model_entropy_bits = 0;

 private:
  std::vector<float> own_raw;
};

std::shared_ptr<const SortedLogits> sort_logits(std::span<const float> logits, const SamplerSettings& settings,
                                                std::span<const int32_t> context) {
  return std::make_shared<const SortedLogits>(logits, settings, context);
}

bool same_penalties(const SamplerSettings& a, const SamplerSettings& b) {
  return a.repetition_penalty == b.repetition_penalty && a.presence_penalty == b.presence_penalty &&
         a.frequency_penalty == b.frequency_penalty && a.penalty_window == b.penalty_window;
}

ChainResult run_chain(std::span<const float> logits, const SamplerSettings& settings, std::span<const int32_t> context,
                      double u) {
  return run_chain(SortedLogits(logits, settings, context), settings, u);
}

ChainResult run_chain(const SortedLogits& from, const SamplerSettings& settings, double u) {
  const std::vector<int32_t>& ids = from.ids;
  const std::vector<float>& sorted = from.sorted;
  const size_t vocab = ids.size();
  ChainResult result;
  result.settings = settings;
  result.u = u;

  const Weights& plain = from.plain;
  Weights own_heated;
  if (settings.temperature == 0.0f)
    own_heated = Weights::make_greedy(sorted);
  else if (settings.temperature != 1.0f)
    own_heated = Weights(sorted, sorted[0], static_cast<double>(settings.temperature));
  const Weights& heated = settings.temperature == 1.0f ? plain : own_heated;
  result.entropy_model_bits = from.model_entropy_bits;

  Chain chain{&plain, vocab, plain.sums()};
  ChainStage first;
  first.kind = "penalties";
  first.params = {{"repetition", json_number(settings.repetition_penalty)},
                  {"presence", json_number(settings.presence_penalty)},
                  {"frequency", json_number(settings.frequency_penalty)},
                  {"window", settings.penalty_window}};
  first.active = from.penalties;
  first.kept = static_cast<int32_t>(vocab);
  first.entropy_bits = plain.sums().entropy_bits;
  result.stages.push_back(std::move(first));

  std::vector<size_t> kept_after{vocab};  // by stage
  for (const SamplerStage stage : settings.order) {
    ChainStage described = describe_stage(stage, settings);
    const size_t before = chain.kept;
    chain.kept = kept_by(stage, settings, chain);
    if (chain.kept != before) {
      const double total_before = chain.sums.total;
      chain.sums = sum_head(*chain.weights, chain.kept);
      described.mass = chain.sums.total / total_before;
    }
    if (stage == SamplerStage::temperature) {
      chain.weights = &heated;
      chain.sums = chain.kept == vocab ? heated.sums() : sum_head(heated, chain.kept);
    }
    described.kept = static_cast<int32_t>(chain.kept);
    described.entropy_bits = chain.sums.entropy_bits;
    result.stages.push_back(std::move(described));
    kept_after.push_back(chain.kept);
  }

  const size_t drawn = draw(*chain.weights, chain.kept, chain.sums.total, u);
  result.drawn = ids[drawn];
  ChainStage last;
  last.kind = "draw";
  last.params = {{"u", u}};
  last.kept = 1;
  last.mass = (*chain.weights)[drawn] / chain.sums.total;
  result.stages.push_back(std::move(last));

  const std::vector<float>& raw = from.raw();
  const double heated_total = heated.sums().total;
  result.rank_of = from.rank_of;
  result.candidates.reserve(vocab);
  for (size_t i = 0; i < vocab; ++i)
    result.candidates.push_back(
        {ids[i], raw[i], sorted[i], from.prob_model[i], static_cast<float>(heated[i] / heated_total), 0.0f, -1});
  for (size_t i = 0; i < chain.kept; ++i)
    result.candidates[i].prob = static_cast<float>((*chain.weights)[i] / chain.sums.total);
  for (size_t stage = 1; stage < kept_after.size(); ++stage) {
    for (size_t i = kept_after[stage]; i < kept_after[stage - 1]; ++i) {
      result.candidates[i].cut_by = static_cast<int8_t>(stage);
    }
  }
  return result;
}

DistributionChange compare_distributions(std::span<const float> logits_before, std::span<const float> logits_after) {
  constexpr size_t kListed = 256;
  const size_t vocab = logits_before.size();
  const Weights before(logits_before, *std::max_element(logits_before.begin(), logits_before.end()), 1.0);
  const Weights after(logits_after, *std::max_element(logits_after.begin(), logits_after.end()), 1.0);
  const HeadSums &before_sums = before.sums(), &after_sums = after.sums();

  DistributionChange change;
  change.entropy_before_bits = before_sums.entropy_bits;
  change.entropy_after_bits = after_sums.entropy_bits;
  change.before.resize(vocab);
  change.after.resize(vocab);
  double kl = 0;
  const double log_ratio = std::log(after_sums.total) - std::log(before_sums.total);
  for (size_t i = 0; i < vocab; ++i) {
    const double p = before[i] / before_sums.total;
    change.before[i] = static_cast<float>(p);
    change.after[i] = static_cast<float>(after[i] / after_sums.total);
    if (p > 0) kl += p * (before.exponent(i) - after.exponent(i) + log_ratio);
  }
  change.kl_nats = std::max(0.0, kl);

  change.order.resize(vocab);
  for (size_t i = 0; i < vocab; ++i) change.order[i] = static_cast<int32_t>(i);
  const size_t listed = std::min(vocab, kListed);
  std::partial_sort(change.order.begin(), change.order.begin() + static_cast<std::ptrdiff_t>(listed),
                    change.order.end(), [&](int32_t a, int32_t b) {
                      const double pa = before[static_cast<size_t>(a)], pb = before[static_cast<size_t>(b)];
                      return pa != pb ? pa > pb : a < b;
                    });
  change.order.resize(listed);
  return change;
}

}  // namespace glassbox
