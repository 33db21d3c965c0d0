#include "app/panels/stage6_shared.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "app/widgets/widgets.h"

namespace glassbox {

int stage_index(const ChainResult& chain, SamplerStage stage) {
  const std::string_view name = stage_name(stage);
  for (size_t i = 0; i < chain.stages.size(); ++i)
    if (chain.stages[i].kind == name) return static_cast<int>(i);
  return 0;
}
int kept_before(const ChainResult& chain, SamplerStage stage) {
  const int index = stage_index(chain, stage);
  return index < 1 ? static_cast<int>(chain.candidates.size()) : chain.stages[static_cast<size_t>(index) - 1].kept;
}
int kept_after(const ChainResult& chain, SamplerStage stage) {
  return chain.stages[static_cast<size_t>(stage_index(chain, stage))].kept;
}

StageInput make_stage_input(const ChainResult& chain, SamplerStage stage) {
  StageInput input;
  input.count = kept_before(chain, stage);
  const bool heated = stage_index(chain, SamplerStage::temperature) < stage_index(chain, stage);
  input.temperature = heated ? static_cast<double>(chain.settings.temperature) : 1.0;
  input.weights.resize(static_cast<size_t>(input.count));
  input.cumulative.resize(static_cast<size_t>(input.count));
  const double greatest = static_cast<double>(chain.candidates.front().penalised);
  double sum = 0;
  for (size_t i = 0; i < input.weights.size(); ++i) {
    const double difference = static_cast<double>(chain.candidates[i].penalised) - greatest;
    input.weights[i] = i == 0 ? 1.0 : input.temperature > 0 ? std::exp(difference / input.temperature) : 0.0;
    input.cumulative[i] = sum += input.weights[i];
  }
  return input;
}

std::shared_ptr<const StageInput> stage_input(const FrameContext& context, SamplerStage stage) {
  const ChainResult& chain = *context.view().chain;
  uint64_t version = mix_version(context.view().id, hash_sampler(chain.settings));
  version = mix_version(version, reinterpret_cast<uintptr_t>(&chain));
  return context.memo.get<StageInput>("stage 6 input of " + std::string(stage_name(stage)), version,
                                      [&] { return make_stage_input(chain, stage); });
}

float shortest_between(double low, double high) {
  for (int decimals = 2; decimals <= 8; ++decimals) {
    const double unit = std::pow(10.0, decimals);
    // As a decimal is read: the nearest float of the rounded value.
    const float candidate = static_cast<float>(std::floor(high * unit + 1e-9) / unit);
    if (static_cast<double>(candidate) > low && static_cast<double>(candidate) <= high && candidate > 0) return candidate;
  }
  const float nearest = static_cast<float>(high);
  return static_cast<double>(nearest) > high ? std::nextafter(nearest, 0.0f) : nearest;
}

SamplerSettings with_cut(const StageInput& input, SamplerSettings settings, SamplerStage stage, int rows) {
  rows = std::max(rows, 1);
  const bool all = rows >= input.count;
  const size_t row = static_cast<size_t>(rows);
  switch (stage) {
    case SamplerStage::temperature: break;
    case SamplerStage::top_k: settings.top_k = all ? 0 : rows; break;
    case SamplerStage::top_p:
      if (all) settings.top_p = 1.0f;
      else if (const double low = input.mass(rows - 1), high = input.mass(rows); high > low) settings.top_p = shortest_between(low, high);
      break;
    case SamplerStage::min_p:
      if (all) {
        settings.min_p = 0.0f;
      } else if (const double low = input.weights[row], high = input.weights[row - 1]; high > low) {
        // A ratio of 1 is out of the setting's range: with one row left any ratio above the second's does.
        settings.min_p = shortest_between(low, std::min(high, std::max(0.99, (1 + low) / 2)));
      }
      break;
  }
  return settings;
}

std::string stage_title(SamplerStage stage) {
  switch (stage) {
    case SamplerStage::temperature: return "÷ T";
    case SamplerStage::top_k: return "top-k";
    case SamplerStage::top_p: return "top-p";
    case SamplerStage::min_p: return "min-p";
  }
  return {};
}

std::string stage_label(const SamplerSettings& settings, SamplerStage stage) {
  // Two decimals as the sliders have, more where a cut was dragged to a finer place.
  const auto number = [](float value) {
    std::string text = format_exact(value);
    return text.size() < 4 ? format_fixed(static_cast<double>(value), 2) : text.size() > 7 ? format_value(static_cast<double>(value)) : text;
  };
  switch (stage) {
    case SamplerStage::temperature: return settings.temperature == 0 ? "greedy" : "÷ T = " + number(settings.temperature);
    case SamplerStage::top_k: return settings.top_k == 0 ? "top-k" : "top-k " + std::to_string(settings.top_k);
    case SamplerStage::top_p: return settings.top_p >= 1 ? "top-p" : "top-p " + number(settings.top_p);
    case SamplerStage::min_p: return settings.min_p <= 0 ? "min-p" : "min-p " + number(settings.min_p);
  }
  return {};
}

std::string token_of(const FrameContext& context, int32_t id) {
  if (!context.model() || id < 0 || id >= context.model()->tokenizer().vocab_size()) return {};
  return token_text(context.theme, context.model()->tokenizer(), id);
}

void continue_with_token(FrameContext& context, int32_t id, float probability) {
  const Document& document = context.document();
  if (document.runs.empty() || document.shown_tokens() != context.view().tokens) return;
  context.run(cmd::Branch{document.run().cursor, id, probability});
}

}  // namespace glassbox
