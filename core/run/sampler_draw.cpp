// The draw alone. The stages and the draw look at the head of the sorted list, so a few hundred candidates are sorted
// and not the whole vocabulary. Sums over the whole vocabulary are taken in the order of the ids instead of the
// candidates', which rounds otherwise: where that could decide, or where the head is too short, the whole chain
// answers.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "core/run/sampler_math.h"

namespace glassbox {
namespace {

struct HeadCandidate {
  float value;  // penalised logit
  int32_t id;
};

// Values in chunks, of each the greatest: few chunks have candidates for the head, and only these are looked at again.
class ChunkedValues {
 public:
  explicit ChunkedValues(std::span<const float> values) : values_(values) {
    greatest_.reserve(values.size() / kChunk + 1);
    size_t begin = 0;
    for (; begin + kChunk <= values.size(); begin += kChunk) greatest_.push_back(greatest_of_chunk(&values[begin]));
    if (begin < values.size())
      greatest_.push_back(*std::max_element(values.begin() + static_cast<ptrdiff_t>(begin), values.end()));
  }
  float greatest() const { return *std::max_element(greatest_.begin(), greatest_.end()); }

  // The first candidates of the list in its order: all that are as great as the `rank`-th greatest chunk, so at least
  // `rank` if there are as many chunks. Empty where that makes more than `most`.
  std::vector<HeadCandidate> head(size_t rank, size_t most) const {
    std::vector<float> order = greatest_;
    const auto last = order.begin() + static_cast<ptrdiff_t>(std::min(rank, order.size()) - 1);
    std::nth_element(order.begin(), last, order.end(), std::greater<>());
    std::vector<HeadCandidate> head;
    for (size_t c = 0; c < greatest_.size(); ++c) {
      if (greatest_[c] < *last) continue;
      const size_t end = std::min((c + 1) * kChunk, values_.size());
      for (size_t i = c * kChunk; i < end; ++i) {
        if (values_[i] >= *last) head.push_back({values_[i], static_cast<int32_t>(i)});
      }
      if (head.size() > most) return {};
    }
    std::sort(head.begin(), head.end(), [](const HeadCandidate& a, const HeadCandidate& b) {
      return a.value != b.value ? a.value > b.value : a.id < b.id;
    });
    return head;
  }

 private:
  static constexpr size_t kChunk = 64;
  static float greatest_of_chunk(const float* values) {
    constexpr size_t kWidth = 4;
    using Floats = float __attribute__((vector_size(kWidth * sizeof(float))));
    std::array<Floats, 4> best;  // four, so that none waits for the one before
    std::memcpy(best.data(), values, sizeof best);
    for (size_t i = sizeof best / sizeof(float); i < kChunk; i += sizeof best / sizeof(float)) {
      std::array<Floats, 4> next;
      std::memcpy(next.data(), values + i, sizeof next);
      for (size_t k = 0; k < best.size(); ++k) best[k] = next[k] > best[k] ? next[k] : best[k];
    }
    float greatest = best[0][0];
    for (const Floats& lanes : best) {
      for (size_t k = 0; k < kWidth; ++k) greatest = std::max(greatest, lanes[k]);
    }
    return greatest;
  }

  std::span<const float> values_;
  std::vector<float> greatest_;
};

// The weights at one temperature.
class Distribution {
 public:
  Distribution(std::span<const float> values, std::span<const HeadCandidate> head, float greatest, double temperature)
      : values_(values), greatest_(static_cast<double>(greatest)), temperature_(temperature) {
    head_.resize((head.size() + kLanes - 1) / kLanes * kLanes);
    weigh(
        head.size(), [&](size_t i) { return head[i].value; }, head_.data());
  }
  double operator[](size_t i) const { return head_[i]; }
  // Over all candidates, up to rounding.
  double total() {
    if (total_ > 0) return total_;
    constexpr size_t kBlock = 256;
    std::array<double, kBlock> weights;
    for (size_t begin = 0; begin < values_.size(); begin += kBlock) {
      const size_t count = std::min(kBlock, values_.size() - begin);
      weigh(
          count, [&](size_t i) { return values_[begin + i]; }, weights.data());
      for (size_t i = 0; i < count; ++i) total_ += weights[i];
    }
    return total_;
  }
  // Over the first `kept`, to the last bit.
  double sum_head(size_t kept) const {
    double sum = 0;
    for (size_t i = 0; i < kept; ++i) sum += head_[i];
    return sum;
  }

 private:
  // exp((x − greatest) / T), with the bits of the whole chain.
  void weigh(size_t count, const auto& value_of, double* weights) const {
    for (size_t i = 0; i < count; ++i) weights[i] = (static_cast<double>(value_of(i)) - greatest_) / temperature_;
    size_t padded = count;
    while (padded % kLanes != 0) weights[padded++] = 0;
    exp_below_zero(weights, padded);
  }

  std::span<const float> values_;
  double greatest_, temperature_;
  std::vector<double> head_;  // padded to whole vectors
  double total_ = 0;
};

// What the stages pass on.
class HeadChain {
 public:
  HeadChain(Distribution& plain, size_t head, size_t vocab)
      : weights_(&plain), head_(head), vocab_(vocab), kept_(vocab) {}

  void heat(Distribution& heated) { weights_ = &heated; }
  bool keep(size_t count) {  // false: the head is too short
    kept_ = std::min(kept_, count);
    return kept_ == vocab_ || kept_ <= head_;
  }
  std::optional<size_t> count_above(double share) const {
    const size_t end = std::min(kept_, head_);
    size_t count = 0;
    while (count < end && (*weights_)[count] >= share) ++count;
    if (count == head_ && kept_ > head_) return std::nullopt;  // perhaps more beyond it
    return count;
  }
  // Index of the first candidate at which the sum of the weights is `reached`, of `share` of the total; empty where
  // that is beyond the head or too close to tell. The last with any weight where the sum never is.
  template <bool kMustExceed>
  std::optional<size_t> find_share(double share) const {
    const bool all = kept_ > head_ || kept_ == vocab_;
    const double total = all ? weights_->total() : weights_->sum_head(kept_);
    const double target = share * total;
    // Two sums of V numbers that differ in order differ by less than 2·V·2⁻⁵³ of their value, and so do the products.
    const double margin = all ? 4 * static_cast<double>(vocab_) * 0x1p-53 * total : 0;
    double sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < std::min(kept_, head_); ++i) {
      const double weight = (*weights_)[i];
      if (kMustExceed && weight == 0.0) continue;
      sum += weight;
      last = i;
      if (margin > 0 && std::fabs(sum - target) <= margin) return std::nullopt;
      if (kMustExceed ? sum > target : sum >= target) return i;
    }
    if (all) return std::nullopt;
    return kMustExceed ? last : kept_ - 1;
  }

 private:
  Distribution* weights_;
  size_t head_, vocab_, kept_;
};

// The draw's index, if it lies in the head and rounding does not matter.
std::optional<size_t> draw_in_head(std::span<const float> values, std::span<const HeadCandidate> head,
                                   const SamplerSettings& settings, double u) {
  const float greatest = head.front().value;
  Distribution plain(values, head, greatest, 1.0);
  Distribution heated(values, head, greatest, static_cast<double>(settings.temperature));
  HeadChain chain(plain, head.size(), values.size());
  for (const SamplerStage stage : settings.order) {
    std::optional<size_t> kept = values.size();
    if (stage == SamplerStage::temperature) {
      chain.heat(heated);
    } else if (stage == SamplerStage::top_k && settings.top_k != 0) {
      kept = static_cast<size_t>(settings.top_k);
    } else if (stage == SamplerStage::top_p && settings.top_p < 1.0f) {
      kept = chain.find_share<false>(static_cast<double>(settings.top_p));
      if (kept) ++*kept;
    } else if (stage == SamplerStage::min_p && settings.min_p > 0.0f) {
      kept = chain.count_above(static_cast<double>(settings.min_p));
    }
    if (!kept || !chain.keep(*kept)) return std::nullopt;
  }
  return chain.find_share<true>(u);
}

}  // namespace

std::optional<int32_t> draw_from_head(std::span<const float> logits, const SamplerSettings& settings,
                                      std::span<const int32_t> context, double u) {
  std::vector<float> penalised;
  if (has_penalties(settings)) penalised = penalise(logits, settings, context);
  const std::span<const float> values = penalised.empty() ? logits : penalised;
  const ChunkedValues chunks(values);
  const float greatest = chunks.greatest();
  if (!std::isfinite(greatest)) return std::nullopt;
  if (settings.temperature == 0.0f) {
    return static_cast<int32_t>(std::find(values.begin(), values.end(), greatest) - values.begin());
  }
  // A few hundred candidates nearly always hold the draw; a few thousand where the temperature is high.
  const std::pair<size_t, size_t> attempts[] = {{256, 2048}, {values.size(), 8192}};
  for (const auto& [rank, most] : attempts) {
    const std::vector<HeadCandidate> head = chunks.head(rank, most);
    if (head.empty()) break;
    if (const std::optional<size_t> drawn = draw_in_head(values, head, settings, u)) return head[*drawn].id;
  }
  return std::nullopt;
}

int32_t draw_token(std::span<const float> logits, const SamplerSettings& settings, std::span<const int32_t> context,
                   double u) {
  const std::optional<int32_t> drawn = draw_from_head(logits, settings, context, u);
  return drawn ? *drawn : run_chain(logits, settings, context, u).drawn;
}

}  // namespace glassbox
