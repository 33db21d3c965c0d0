// The sampler's settings: their ranges, their JSON and their hash.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/io/json_fields.h"
#include "core/run/sampler.h"
#include "kernels/hash.h"

namespace glassbox {

namespace {

constexpr std::string_view kStageNames[] = {"temperature", "top_k", "top_p", "min_p"};
constexpr size_t kStageCount = std::size(kStageNames);

constexpr float kMaxRepetition = 100.0f;  // far beyond use; bounded so that no penalised logit becomes NaN
constexpr float kMaxPenalty = 100.0f;
constexpr float kMaxTemperature = 100.0f;

Error out_of_range(const char* field, const nlohmann::json& value, const char* range) {
  return Error{ErrorKind::usage, "the sampler's " + std::string(field) + " is " + value.dump(), field,
               "a value in " + std::string(range), ""};
}

}  // namespace

std::string_view stage_name(SamplerStage stage) {
  return kStageNames[static_cast<size_t>(stage)];
}

Result<void> check_sampler(const SamplerSettings& settings) {
  // Each comparison is true for the right values, so that NaN is refused.
  if (!(settings.repetition_penalty > 0.0f && settings.repetition_penalty <= kMaxRepetition)) {
    return out_of_range("repetition_penalty", settings.repetition_penalty, "(0, 100]; 1 is off");
  }
  if (!(std::fabs(settings.presence_penalty) <= kMaxPenalty)) {
    return out_of_range("presence_penalty", settings.presence_penalty, "[-100, 100]; 0 is off");
  }
  if (!(std::fabs(settings.frequency_penalty) <= kMaxPenalty)) {
    return out_of_range("frequency_penalty", settings.frequency_penalty, "[-100, 100]; 0 is off");
  }
  if (settings.penalty_window < -1) {
    return out_of_range("penalty_window", settings.penalty_window, "[-1, ∞); -1 is all tokens, 0 none");
  }
  if (!(settings.temperature >= 0.0f && settings.temperature <= kMaxTemperature)) {
    return out_of_range("temperature", settings.temperature, "[0, 100]; 0 is greedy");
  }
  if (settings.top_k < 0) return out_of_range("top_k", settings.top_k, "[0, ∞); 0 is off");
  if (!(settings.top_p > 0.0f && settings.top_p <= 1.0f)) {
    return out_of_range("top_p", settings.top_p, "(0, 1]; 1 is off");
  }
  if (!(settings.min_p >= 0.0f && settings.min_p < 1.0f)) {
    return out_of_range("min_p", settings.min_p, "[0, 1); 0 is off");
  }
  bool seen[kStageCount] = {};
  for (const SamplerStage stage : settings.order) {
    const size_t index = static_cast<size_t>(stage);
    if (index < kStageCount) seen[index] = true;
  }
  bool all = settings.order.size() == kStageCount;
  for (const bool stage_seen : seen) all = all && stage_seen;
  if (!all) {
    return Error{ErrorKind::usage, "the sampler's order is no permutation of its stages", "order",
                 "temperature, top_k, top_p and min_p, each once", ""};
  }
  return {};
}

nlohmann::json to_json(const SamplerSettings& settings) {
  nlohmann::json order = nlohmann::json::array();
  for (const SamplerStage stage : settings.order) order.push_back(stage_name(stage));
  return {
      {"repetition_penalty", json_number(settings.repetition_penalty)},
      {"presence_penalty", json_number(settings.presence_penalty)},
      {"frequency_penalty", json_number(settings.frequency_penalty)},
      {"penalty_window", settings.penalty_window},
      {"temperature", json_number(settings.temperature)},
      {"top_k", settings.top_k},
      {"top_p", json_number(settings.top_p)},
      {"min_p", json_number(settings.min_p)},
      {"order", std::move(order)},
  };
}

Result<SamplerSettings> sampler_from_json(const nlohmann::json& json) {
  SamplerSettings settings;
  JsonFields fields(json, "", ErrorKind::usage);
  const double infinite = std::numeric_limits<double>::max();  // check_sampler knows the ranges
  constexpr int64_t kMaxInt = std::numeric_limits<int>::max();
  fields.read_number("repetition_penalty", settings.repetition_penalty, -infinite, infinite);
  fields.read_number("presence_penalty", settings.presence_penalty, -infinite, infinite);
  fields.read_number("frequency_penalty", settings.frequency_penalty, -infinite, infinite);
  fields.read_integer("penalty_window", settings.penalty_window, -1, kMaxInt);
  fields.read_number("temperature", settings.temperature, -infinite, infinite);
  fields.read_integer("top_k", settings.top_k, 0, kMaxInt);
  fields.read_number("top_p", settings.top_p, -infinite, infinite);
  fields.read_number("min_p", settings.min_p, -infinite, infinite);
  if (const nlohmann::json* order = fields.find_array("order")) {
    settings.order.clear();
    for (size_t i = 0; i < order->size(); ++i) {
      const std::string* name = (*order)[i].get_ptr<const std::string*>();
      const auto* at = std::find(std::begin(kStageNames), std::end(kStageNames), name ? *name : std::string());
      if (at == std::end(kStageNames)) {
        fields.fail(index_path("order", i), "found " + describe_json((*order)[i]),
                    "one of \"temperature\" \"top_k\" \"top_p\" \"min_p\"");
        break;
      }
      settings.order.push_back(static_cast<SamplerStage>(at - std::begin(kStageNames)));
    }
  }
  if (const Result<void> read = fields.finish(); !read) return read.error();
  if (const Result<void> checked = check_sampler(settings); !checked) return checked.error();
  return settings;
}

DrawSettings draw_settings(const SamplerSettings& settings) {
  DrawSettings draw{settings.repetition_penalty,
                    settings.presence_penalty,
                    settings.frequency_penalty,
                    settings.penalty_window,
                    settings.temperature,
                    settings.top_k,
                    settings.top_p,
                    settings.min_p,
                    {}};
  std::copy(settings.order.begin(), settings.order.end(), draw.order.begin());
  return draw;
}

uint64_t hash_sampler(const SamplerSettings& settings) {
  // FNV-1a over the fields in order, each as 32 bits, low byte first.
  uint64_t hash = kHashStart;
  const auto take = [&hash](uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) hash = join_hashes(hash, word >> shift & 0xffu);
  };
  const auto take_float = [&take](float value) { take(std::bit_cast<uint32_t>(value + 0.0f)); };  // −0 becomes 0
  take_float(settings.repetition_penalty);
  take_float(settings.presence_penalty);
  take_float(settings.frequency_penalty);
  take(static_cast<uint32_t>(settings.penalty_window));
  take_float(settings.temperature);
  take(static_cast<uint32_t>(settings.top_k));
  take_float(settings.top_p);
  take_float(settings.min_p);
  for (const SamplerStage stage : settings.order) take(static_cast<uint32_t>(stage));
  return hash;
}

}  // namespace glassbox
