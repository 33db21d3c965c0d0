// Reads the golden files; tests/golden/README.md describes their layout.
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/run/session.h"

namespace glassbox {

inline std::string golden_path(const std::string& name) {
  return std::string(GLASSBOX_SOURCE_DIR) + "/tests/golden/" + name;
}

inline nlohmann::json read_golden(const std::string& name) {
  std::ifstream file(golden_path(name));
  REQUIRE(file.good());
  return nlohmann::json::parse(file);
}

inline std::vector<float> read_golden_floats(const std::string& name) {
  std::ifstream file(golden_path(name), std::ios::binary);
  REQUIRE(file.good());
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

// Σ(x − golden)² / Σ golden². Entries that are not finite in the golden are left out.
inline double nmse(std::span<const float> x, std::span<const float> golden) {
  REQUIRE(x.size() == golden.size());
  double error = 0, power = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(golden[i])) continue;
    error += (static_cast<double>(x[i]) - golden[i]) * (static_cast<double>(x[i]) - golden[i]);
    power += static_cast<double>(golden[i]) * golden[i];
  }
  return power == 0 ? error : error / power;
}

// NMSE of the sampled logits of a "logits summary" (README).
inline double sample_nmse(std::span<const float> logits, const nlohmann::json& summary,
                          const nlohmann::json& sample_indices) {
  std::vector<float> ours, golden = summary["sample_logits"].get<std::vector<float>>();
  for (const nlohmann::json& index : sample_indices) ours.push_back(logits[index.get<size_t>()]);
  return nmse(ours, golden);
}

inline std::shared_ptr<const Model> load_golden_model(const std::string& path) {
  auto model = Model::load(path);
  if (!model) FAIL(model.error().message());
  return *model;
}

inline std::shared_ptr<const Step> run_step(SessionStore& store, StepRequest request) {
  auto step = store.run(request);
  if (!step) FAIL(step.error().message());
  return *step;
}

inline int32_t argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline std::vector<int32_t> greedy(SessionStore& store, std::vector<int32_t> tokens, Precision precision,
                                   size_t count) {
  const size_t prompt = tokens.size();
  while (tokens.size() < prompt + count) tokens.push_back(argmax(run_step(store, {tokens, {}, precision, {}})->logits));
  return {tokens.begin() + static_cast<ptrdiff_t>(prompt), tokens.end()};
}

// Compares every tap of a golden's list for one run with the step's pages; `compared` counts the values.
inline void check_golden_taps(const nlohmann::json& golden, std::span<const float> values, const std::string& run,
                              const Step& step, double bound, size_t& compared) {
  for (const nlohmann::json& entry : golden["taps"]) {
    if (entry["run"] != run) continue;
    const auto name = find_tap(entry["tap"].get<std::string>());
    REQUIRE(name);
    const int layer = entry.value("layer", 0);
    const std::vector<int> positions = entry["positions"];
    size_t row = 1;
    for (size_t axis = 1; axis < entry["shape"].size(); ++axis) row *= entry["shape"][axis].get<size_t>();
    const float* expected = values.data() + entry["offset"].get<size_t>() / sizeof(float);
    INFO(run << " " << entry["tap"] << " layer " << layer);
    for (size_t i = 0; i < positions.size(); ++i, expected += row) {
      const Page* page = step.page(name->tap, layer, positions[i]);
      REQUIRE(page != nullptr);
      if (!has_key_axis(name->tap)) {
        CHECK(nmse(page->row(positions[i]), {expected, row}) <= bound);
      } else {
        // All heads of a position together: one head's few scores can be as small as their rounding.
        const size_t keys = row / static_cast<size_t>(page->heads());
        std::vector<float> ours(row, 0.0f), golden_row(expected, expected + row);
        for (int head = 0; head < page->heads(); ++head) {
          const auto values_of_head = page->head(positions[i], head);
          std::copy(values_of_head.begin(), values_of_head.end(),
                    ours.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(head) * keys));
        }
        CHECK(nmse(ours, golden_row) <= bound);
      }
      compared += row;
    }
  }
}

// Every tap that the model has, in all layers but head_out and logits, which are asked for by name.
inline ProbeSpec all_stored_taps(const ModelConfig& config) {
  ProbeSpec spec;
  for (const TapInfo& info : all_taps()) {
    if (info.tap == Tap::head_out || info.tap == Tap::logits) continue;  // products of their own
    if (info.scope == TapScope::model) {
      spec.add(info.tap);
    } else if (tap_exists(info.tap, config, 0)) {
      spec.add(info.tap, 0, config.layer_count());
    }
  }
  return spec;
}

}  // namespace glassbox
