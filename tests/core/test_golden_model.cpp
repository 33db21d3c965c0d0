// The engine against transformers on the real model.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cstdio>
#include <filesystem>

#include "tests/support/backends.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"

using namespace glassbox;
using Catch::Approx;

namespace {

constexpr double kExactNmse = 1e-8;  // the bound; transformers in fp32 and fp64 differ by up to 8e-12

std::shared_ptr<const Model> default_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(test::model_path());
  return model;
}

std::shared_ptr<Ops> best_ops() {
  static const std::shared_ptr<Ops> ops = make_cpu_ops({2, "", false});
  REQUIRE(ops != nullptr);
  return ops;
}

}  // namespace

TEST_CASE("golden prompts in exact precision: logits, residual norms, patterns, greedy text", "[golden][model]") {
  const nlohmann::json golden = read_golden("model_prompts.json");
  CHECK(golden["prompts"].size() >= 20);
  const ModelConfig& config = default_model()->config();
  for (const nlohmann::json& prompt : golden["prompts"]) {
    INFO(prompt["name"].get<std::string>());
    const std::vector<int32_t> ids = prompt["ids"];
    SessionStore store(default_model(), best_ops());
    ProbeSpec needs;
    needs.add(Tap::resid_pre, 0, 1);
    needs.add(Tap::resid_post, 0, config.layer_count());
    for (const nlohmann::json& row : prompt["pattern_rows"]["rows"]) {
      const int layer = row["layer"];
      needs.add(Tap::attn_pattern, layer, layer + 1);
    }
    const auto step = run_step(store, {ids, {}, Precision::exact, needs});
    CHECK(sample_nmse(step->logits, prompt["logits"], golden["sample_indices"]) <= kExactNmse);
    CHECK(argmax(step->logits) == prompt["logits"]["top_ids"][0]);

    const std::vector<int> positions = prompt["resid"]["positions"];
    for (int i = 0; i <= config.layer_count(); ++i) {
      for (size_t j = 0; j < positions.size(); ++j) {
        const Page* page =
            i == 0 ? step->page(Tap::resid_pre, 0, positions[j]) : step->page(Tap::resid_post, i - 1, positions[j]);
        REQUIRE(page != nullptr);
        double square = 0;
        for (const float x : page->row(positions[j])) square += static_cast<double>(x) * x;
        CHECK(std::sqrt(square) ==
              Approx(prompt["resid"]["l2"][static_cast<size_t>(i)][j].get<double>()).epsilon(1e-4));
      }
    }
    const int query = prompt["pattern_rows"]["query"];
    const std::vector<int> keys = prompt["pattern_rows"]["keys"];
    for (const nlohmann::json& row : prompt["pattern_rows"]["rows"]) {
      const int layer = row["layer"], head = row["head"];
      const auto weights = step->page(Tap::attn_pattern, layer, query)->head(query, head);
      std::vector<float> sampled;
      for (const int key : keys) sampled.push_back(weights[static_cast<size_t>(key)]);
      CHECK(nmse(sampled, row["weights"].get<std::vector<float>>()) <= kExactNmse);
    }
    if (!prompt["greedy"].is_null()) {
      CHECK(greedy(store, ids, Precision::exact, 24) == prompt["greedy"]["ids"].get<std::vector<int32_t>>());
    }
  }
}

TEST_CASE("taps of the real model equal what transformers' hooks give", "[golden][model]") {
  const nlohmann::json golden = read_golden("model_taps.json");
  const std::vector<float> values = read_golden_floats("model_taps.bin");
  // The perturbed model: norm weights scaled as the README says, in a copy of the file.
  const std::string copy = (std::filesystem::temp_directory_path() / "glassbox_perturbed.gguf").string();
  std::filesystem::copy_file(test::model_path(), copy, std::filesystem::copy_options::overwrite_existing);
  {
    std::FILE* file = std::fopen(copy.c_str(), "r+b");
    REQUIRE(file != nullptr);
    for (const GgufTensor& tensor : default_model()->file().tensors()) {
      const std::string name(tensor.name);
      if (name.find("norm.weight") == std::string::npos) continue;
      const int kind = name == "output_norm.weight" ? 2 : name.find("ffn_norm") != std::string::npos ? 1 : 0;
      const int layer = kind == 2 ? 0 : std::stoi(name.substr(4));
      std::vector<float> weight(static_cast<size_t>(tensor.view.size()));
      for (size_t i = 0; i < weight.size(); ++i) {
        weight[i] = static_cast<float>(tensor.view.f32()[i] *
                                       (1 + 0.1 * std::sin(static_cast<double>(i) + 7.0 * layer + 3.0 * kind)));
      }
      REQUIRE(std::fseek(file, static_cast<long>(tensor.offset), SEEK_SET) == 0);
      REQUIRE(std::fwrite(weight.data(), sizeof(float), weight.size(), file) == weight.size());
    }
    REQUIRE(std::fclose(file) == 0);
  }
  size_t compared = 0;
  for (const nlohmann::json& run : golden["runs"]) {
    const auto model = run["weights"] == "perturbed" ? load_golden_model(copy) : default_model();
    SessionStore store(model, best_ops());
    store.set_poison(true);
    ProbeSpec needs = all_stored_taps(model->config());
    needs.add(Tap::logits);
    const auto step = run_step(store, {run["ids"].get<std::vector<int32_t>>(), {}, Precision::exact, needs});
    CHECK(sample_nmse(step->logits, run["logits"], golden["sample_indices"]) <= kExactNmse);
    check_golden_taps(golden, values, run["run"], *step, kExactNmse, compared);
  }
  CHECK(compared > 350000);
  std::filesystem::remove(copy);
}

TEST_CASE("edits do what the same surgery does in transformers", "[golden][model]") {
  const nlohmann::json golden = read_golden("model_edits.json");
  const std::vector<int32_t> ids = golden["ids"];
  const ModelConfig& config = default_model()->config();
  SessionStore store(default_model(), best_ops());
  for (const nlohmann::json& test : golden["cases"]) {
    INFO(test["name"].get<std::string>());
    std::vector<Edit> edits;
    for (const nlohmann::json& spec : test["edits"]) {
      const std::string kind = spec["kind"];
      nlohmann::json json = {{"kind", kind}, {"layer", spec["layer"]}};
      json["tap"] = kind == "cut_score"    ? "attn_scores"
                    : kind == "cut_weight" ? "attn_pattern"
                                           : spec["tap"].get<std::string>();
      if (spec.contains("head")) json["head"] = spec["head"];
      if (spec.contains("factor")) json["factor"] = spec["factor"];
      if (kind.starts_with("cut")) {
        json["position_begin"] = spec["query"];
        json["position_end"] = spec["query"].get<int>() + 1;
        json["key"] = spec["key"];
      }
      if (kind == "add" || kind == "overwrite") {
        std::vector<float> vector;
        for (int i = 0; i < config.width; ++i) {
          vector.push_back(
              static_cast<float>(spec["amplitude"].get<double>() * (kind == "add" ? std::sin(i) : std::cos(i))));
        }
        json["vector"] = vector;
      }
      if (kind == "patch") {
        std::vector<int32_t> source;
        for (const Token& token : default_model()->tokenizer().encode(spec["from_text"].get<std::string>()))
          source.push_back(token.id);
        json["patch_tokens"] = source;
      }
      std::vector<int> positions = {-1};
      if (spec.contains("positions") && spec["positions"].is_array())
        positions = spec["positions"].get<std::vector<int>>();
      for (const int position : positions) {
        if (position >= 0) json["position_begin"] = position, json["position_end"] = position + 1;
        auto edit = edit_from_json(json);
        if (!edit) FAIL(edit.error().message());
        edits.push_back(*edit);
      }
    }
    const auto step = run_step(store, {ids, edits, Precision::exact, {}});
    CHECK(sample_nmse(step->logits, test["logits"], golden["sample_indices"]) <= kExactNmse);
    double sum = 0;
    const float top = step->logits[static_cast<size_t>(argmax(step->logits))];
    for (const float logit : step->logits) sum += std::exp(static_cast<double>(logit) - top);
    const int target = golden["target"]["id"];
    CHECK(std::exp(static_cast<double>(step->logits[static_cast<size_t>(target)]) - top) / sum ==
          Approx(test["p_target"].get<double>()).epsilon(1e-4));
  }
}

TEST_CASE("fast precision is as near to exact as llama.cpp is", "[golden][model]") {
  const nlohmann::json golden = read_golden("model_logprobs.json");
  const nlohmann::json& text = golden["texts"][0];
  REQUIRE_FALSE(text["peer"].empty());
  const std::vector<int32_t> ids = text["ids"];
  SessionStore store(default_model(), best_ops());
  std::vector<std::vector<float>> exact, fast;
  const auto keep = [](std::vector<std::vector<float>>& rows) {
    return [&rows](int, std::span<const float> logits) { rows.emplace_back(logits.begin(), logits.end()); };
  };
  REQUIRE(store.run_logits(ids, Precision::exact, keep(exact)).ok());
  REQUIRE(store.run_logits(ids, Precision::fast, keep(fast)).ok());
  REQUIRE(exact.size() == ids.size());
  double kl = 0;
  size_t same = 0, same_as_golden = 0;
  for (size_t t = 0; t < ids.size(); ++t) {
    const auto log_sum = [](const std::vector<float>& x) {
      const double top = *std::max_element(x.begin(), x.end());
      double sum = 0;
      for (const float v : x) sum += std::exp(v - top);
      return top + std::log(sum);
    };
    const double p_log = log_sum(exact[t]), q_log = log_sum(fast[t]);
    for (size_t i = 0; i < exact[t].size(); ++i) {
      const double p = std::exp(exact[t][i] - p_log);
      kl += p * ((exact[t][i] - p_log) - (fast[t][i] - q_log));
    }
    same += argmax(exact[t]) == argmax(fast[t]);
    same_as_golden += argmax(exact[t]) == text["top1_ids"][t].get<int32_t>();
    if (t + 1 < ids.size()) {
      CHECK(exact[t][static_cast<size_t>(ids[t + 1])] - p_log ==
            Approx(text["logprobs"][t].get<double>()).margin(1e-3));
    }
  }
  kl /= static_cast<double>(ids.size());
  const double agreement = static_cast<double>(same) / static_cast<double>(ids.size());
  std::printf("fast precision: mean KL %.3g nats, same first choice %.1f %% (llama.cpp: %.3g, %.1f %%)\n", kl,
              100 * agreement, text["peer"][0]["mean_kl_nats"].get<double>(),
              100 * text["peer"][0]["same_top1"].get<double>());
  CHECK(same_as_golden == ids.size());
  CHECK(kl <= 1.1 * text["peer"][0]["mean_kl_nats"].get<double>());
  CHECK(agreement >= text["peer"][0]["same_top1"].get<double>() - 0.01);
}
