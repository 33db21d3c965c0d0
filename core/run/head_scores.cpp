// What a head does, measured: where it looks, and what it writes towards the logits.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/run/analysis.h"
#include "core/run/random.h"
#include "kernels/pattern_summary.h"

namespace glassbox {

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr uint64_t kInductionSeed = 20;  // of the random sequence; any number would do, but always the same one

// The final norm's scale at a position, 1 / rms of the residual stream. NaN when it cannot be had.
double final_scale(const Model& model, const Step& step, int position) {
  const ModelConfig& config = model.config();
  const LayerConfig& last = config.layers.back();  // the final norm is of its kind
  const Page* page = step.page(Tap::resid_post, config.layer_count() - 1, position);
  if (!page || last.norm != NormKind::rms) return static_cast<double>(kNan);
  double squares = 0;
  for (const float x : page->row(position)) squares += static_cast<double>(x) * static_cast<double>(x);
  return 1 / std::sqrt(squares / config.width + static_cast<double>(last.norm_eps));
}

// The direction in the residual stream that adds to a token's logit, before the final norm's scale: g ⊙ head row. Empty
// when there is no such token.
std::vector<float> logit_direction(const Model& model, int32_t token) {
  const ModelConfig& config = model.config();
  if (token < 0 || token >= config.vocab) return {};
  std::vector<float> direction(static_cast<size_t>(config.width));
  const Tensor& head = model.weights().head.weight;
  dequantise_row(head.dtype, head.row(token), 0, config.width, direction.data());
  const float* gain = model.weights().final_norm.weight;
  for (size_t c = 0; c < direction.size(); ++c) direction[c] *= gain[c];
  return direction;
}

// u[d] = Σ_c direction[c] · W_O[c, first + d] over `count` columns: what one unit of each of these dimensions of z
// adds.
std::vector<float> through_output(const Tensor& o, std::span<const float> direction, int64_t first, int64_t count) {
  // A row can only be read from the start of a block of its format.
  const int64_t block = dtype_info(o.dtype).block_size;
  const int64_t begin = first / block * block;
  const int64_t end = std::min(o.columns(), (first + count + block - 1) / block * block);
  std::vector<float> row(static_cast<size_t>(end - begin));
  std::vector<double> sums(static_cast<size_t>(count), 0.0);
  for (size_t c = 0; c < direction.size(); ++c) {
    dequantise_row(o.dtype, o.row(static_cast<int64_t>(c)), begin, end - begin, row.data());
    const float* values = row.data() + (first - begin);
    const double factor = static_cast<double>(direction[c]);
    for (size_t d = 0; d < sums.size(); ++d) sums[d] += factor * static_cast<double>(values[d]);
  }
  return {sums.begin(), sums.end()};
}

// scale · Σ_d a[d] · b[d]
float scaled_dot(double scale, std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return static_cast<float>(scale * sum);
}

std::vector<float> through_head(const Model& model, std::span<const float> direction, int layer, int head) {
  const int64_t width = model.config().layers[static_cast<size_t>(layer)].head_dim;
  return through_output(model.weights().layers[static_cast<size_t>(layer)].o.weight, direction, head * width, width);
}

int greatest_heads(const ModelConfig& config) {
  int heads = 0;
  for (const LayerConfig& layer : config.layers) heads = std::max(heads, layer.heads);
  return heads;
}

bool has_head(const ModelConfig& config, const Step& step, int layer, int head, int position) {
  return layer >= 0 && layer < config.layer_count() && head >= 0 &&
         head < config.layers[static_cast<size_t>(layer)].heads && position >= 0 && position < step.length();
}

// Mean weight of each head's queries on the key before, over all but the first, [H]. Empty when a page is missing.
std::vector<float> mean_previous(const Step& step, int layer) {
  std::vector<double> sums;
  for (int query = 0; query < step.length(); ++query) {
    const Page* page = step.page(Tap::attn_focus, layer, query);
    if (!page) return {};
    sums.resize(static_cast<size_t>(page->heads()), 0.0);
    for (int head = 0; head < page->heads() && query > 0; ++head) {
      sums[static_cast<size_t>(head)] += static_cast<double>(page->head(query, head)[kFocusPrevious]);
    }
  }
  std::vector<float> means;
  for (const double sum : sums) {
    means.push_back(step.length() > 1 ? static_cast<float>(sum / (step.length() - 1)) : kNan);
  }
  return means;
}

}  // namespace

char badge_letter(Badge badge) {
  return "PINS"[static_cast<size_t>(badge)];
}

std::string badge_definition(Badge badge) {
  switch (badge) {
    case Badge::previous:
      return "Previous-token head: over all positions but the first, its mean weight on the token before is 0.6 or "
             "more.";
    case Badge::induction:
      return "Induction head: on a random sequence repeated twice, its mean weight on the token that came after the "
             "last "
             "occurrence of the same token is 0.4 or more.";
    case Badge::name_mover:
      return "Name mover: at the last position it puts a weight of 0.5 or more on one token, and what it writes adds "
             "more "
             "than 0.5 to that token's logit.";
    case Badge::suppressor:
      return "Suppressor: at the last position it puts a weight of 0.5 or more on one token, and what it writes takes "
             "more than 0.5 from that token's logit.";
  }
  return {};
}

std::vector<Badge> HeadTable::badges(int layer, int head) const {
  const HeadScores& score = at(layer, head);
  std::vector<Badge> earned;
  // A score that was not measured is NaN, and no comparison with NaN holds.
  if (score.previous >= kPreviousBadge) earned.push_back(Badge::previous);
  if (score.induction >= kInductionBadge) earned.push_back(Badge::induction);
  if (score.best_weight >= kLookBadge && score.direct_logit > kLogitBadge) earned.push_back(Badge::name_mover);
  if (score.best_weight >= kLookBadge && score.direct_logit < -kLogitBadge) earned.push_back(Badge::suppressor);
  return earned;
}

const std::vector<float>& HeadOutputs::get(const Model& model, int layer, int head, int32_t token) {
  if (model_hash_ != model.hash() || kept_.size() >= kMost) kept_.clear();
  model_hash_ = model.hash();
  const auto [it, fresh] = kept_.try_emplace({layer, head, token});
  if (fresh) it->second = through_head(model, logit_direction(model, token), layer, head);
  return it->second;
}

std::shared_ptr<const HeadTable> make_head_table(const Model& model, const Step& step, std::span<const float> induction,
                                                 HeadOutputs* outputs) {
  const ModelConfig& config = model.config();
  const int last = step.length() - 1;
  auto table = std::make_shared<HeadTable>();
  table->layers = config.layer_count();
  table->heads = greatest_heads(config);
  table->scores.resize(static_cast<size_t>(table->layers * table->heads));
  for (int layer = 0; layer < table->layers; ++layer) {
    const std::vector<float> previous = mean_previous(step, layer);
    if (previous.empty() || !step.page(Tap::attn_z, layer, last)) return nullptr;
    const Page* page = step.page(Tap::attn_focus, layer, last);
    for (int head = 0; head < page->heads(); ++head) {
      const size_t index = static_cast<size_t>(layer * table->heads + head);
      const std::span<const float> focus = page->head(last, head);
      HeadScores& score = table->scores[index];
      score.previous = previous[static_cast<size_t>(head)];
      score.induction = index < induction.size() ? induction[index] : kNan;
      score.best_weight = focus[kFocusGreatest];
      score.best_key = static_cast<int>(focus[kFocusKey]);
      score.direct_logit = kNan;
    }
  }
  if (!step.page(Tap::resid_post, config.layer_count() - 1, last)) return nullptr;
  const double scale = final_scale(model, step, last);
  if (std::isnan(scale)) return table;
  HeadOutputs own;
  HeadOutputs& kept = outputs ? *outputs : own;
  for (int layer = 0; layer < table->layers; ++layer) {
    const Page* z = step.page(Tap::attn_z, layer, last);
    for (int head = 0; head < config.layers[static_cast<size_t>(layer)].heads; ++head) {
      HeadScores& score = table->scores[static_cast<size_t>(layer * table->heads + head)];
      const int32_t token = step.recipe.tokens[static_cast<size_t>(score.best_key)];
      score.direct_logit = scaled_dot(scale, z->head(last, head), kept.get(model, layer, head, token));
    }
  }
  return table;
}

std::vector<int32_t> make_induction_tokens(const Model& model, int half) {
  const Tokenizer& tokenizer = model.tokenizer();
  const int32_t vocab = std::min(model.config().vocab, tokenizer.vocab_size());
  // Ordinary tokens: a space and letters, so that the sequence is made of words. A vocabulary that has too few of them
  // gives whatever is not special.
  std::vector<int32_t> words, others;
  for (int32_t id = 0; id < vocab; ++id) {
    if (tokenizer.is_special(id)) continue;
    others.push_back(id);
    const std::string_view bytes = tokenizer.bytes_of(id);
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    if (bytes.size() >= 4 && bytes[0] == ' ' && std::all_of(bytes.begin() + 1, bytes.end(), is_letter))
      words.push_back(id);
  }
  std::vector<int32_t>& pool = words.size() >= static_cast<size_t>(half) ? words : others;
  std::vector<int32_t> sequence;
  if (pool.empty()) return sequence;
  // A shuffle of the pool's first `half` places (Fisher & Yates): the tokens are different as long as there are enough.
  for (int i = 0; i < half; ++i) {
    const size_t place = static_cast<size_t>(i) % pool.size();
    const double u = draw_uniform(kInductionSeed, 0, static_cast<uint64_t>(i));
    std::swap(pool[place], pool[place + static_cast<size_t>(u * static_cast<double>(pool.size() - place))]);
    sequence.push_back(pool[place]);
  }
  sequence.insert(sequence.end(), sequence.begin(), sequence.begin() + half);
  if (tokenizer.adds_bos() && tokenizer.bos_id() >= 0) sequence.insert(sequence.begin(), tokenizer.bos_id());
  return sequence;
}

std::vector<float> measure_induction(const ModelConfig& config, const Step& step, int half) {
  if (step.length() < 2 * half || half < 1) return {};
  const int heads = greatest_heads(config);
  std::vector<float> means(static_cast<size_t>(config.layer_count() * heads), kNan);
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    std::vector<double> sums(static_cast<size_t>(heads), 0.0);
    for (int query = step.length() - half; query < step.length(); ++query) {
      const Page* page = step.page(Tap::attn_pattern, layer, query);
      if (!page) return {};
      // The token at `query` stood at query − half before; what came after it is one further.
      const auto key = static_cast<size_t>(query - half + 1);
      for (int head = 0; head < page->heads(); ++head) {
        sums[static_cast<size_t>(head)] += static_cast<double>(page->head(query, head)[key]);
      }
    }
    for (int head = 0; head < config.layers[static_cast<size_t>(layer)].heads; ++head) {
      means[static_cast<size_t>(layer * heads + head)] = static_cast<float>(sums[static_cast<size_t>(head)] / half);
    }
  }
  return means;
}

float direct_logit(const Model& model, const Step& step, int layer, int head, int position, int32_t token) {
  if (!has_head(model.config(), step, layer, head, position)) return kNan;
  const Page* z = step.page(Tap::attn_z, layer, position);
  const double scale = final_scale(model, step, position);
  const std::vector<float> direction = logit_direction(model, token);
  if (!z || std::isnan(scale) || direction.empty()) return kNan;
  return scaled_dot(scale, z->head(position, head), through_head(model, direction, layer, head));
}

std::vector<float> direct_logits(const Model& model, const Step& step, int position, int32_t token) {
  const ModelConfig& config = model.config();
  if (position < 0 || position >= step.length()) return {};
  const double scale = final_scale(model, step, position);
  const std::vector<float> direction = logit_direction(model, token);
  if (std::isnan(scale) || direction.empty()) return {};
  const int heads = greatest_heads(config);
  std::vector<float> logits(static_cast<size_t>(config.layer_count() * heads), kNan);
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    const Page* z = step.page(Tap::attn_z, layer, position);
    if (!z) return {};
    const int width = config.layers[static_cast<size_t>(layer)].head_dim;
    const Tensor& o = model.weights().layers[static_cast<size_t>(layer)].o.weight;
    const std::vector<float> through = through_output(o, direction, 0, o.columns());
    for (int head = 0; head < z->heads(); ++head) {
      const std::span<const float> part(through.data() + head * width, static_cast<size_t>(width));
      logits[static_cast<size_t>(layer * heads + head)] = scaled_dot(scale, z->head(position, head), part);
    }
  }
  return logits;
}

float cell_logit(const Model& model, const Step& step, int layer, int head, int query, int key, int32_t token,
                 HeadOutputs* outputs) {
  if (!has_head(model.config(), step, layer, head, query) || key < 0 || key > query) return kNan;
  const LayerConfig& shape = model.config().layers[static_cast<size_t>(layer)];
  const Page* pattern = step.page(Tap::attn_pattern, layer, query);
  const Page* values = step.page(Tap::v, layer, key);
  const double scale = final_scale(model, step, query);
  if (!pattern || !values || std::isnan(scale) || token < 0 || token >= model.config().vocab) return kNan;
  HeadOutputs own;
  const std::vector<float>& through = (outputs ? *outputs : own).get(model, layer, head, token);
  const int group = head / (shape.heads / shape.kv_heads);  // query heads that share one key/value head stand together
  return pattern->head(query, head)[static_cast<size_t>(key)] * scaled_dot(scale, values->head(key, group), through);
}

}  // namespace glassbox
