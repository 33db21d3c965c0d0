// The numbers that verbs print, against the golden files, to which an independent implementation led.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <fstream>
#include <set>

#include "tests/app/program.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {
namespace {

using Json = nlohmann::json;
using Catch::Approx;

constexpr double kLogitsNmse = 1e-8;  // of the issue, for exact precision

Json find_prompt(const std::string& name) {
  const Json golden = read_golden("model_prompts.json");
  for (const Json& prompt : golden["prompts"]) {
    if (prompt["name"] == name) return prompt;
  }
  FAIL("no golden prompt " << name);
  return {};
}

const Json& candidate_of(const Json& next, int id) {
  for (const Json& candidate : next["candidates"]) {
    if (candidate["id"] == id) return candidate;
  }
  FAIL("no candidate " << id);
  return next;
}

// Nested arrays as one list; null (−∞) becomes NaN.
void flatten(const Json& data, std::vector<float>& values) {
  if (!data.is_array()) {
    values.push_back(data.is_null() ? std::nanf("") : data.get<float>());
    return;
  }
  for (const Json& part : data) flatten(part, values);
}

// The NMSE over the golden's finite values; where the golden is not finite (a masked score) ours must be null.
double compare(const Json& data, std::span<const float> golden) {
  std::vector<float> values;
  flatten(data, values);
  REQUIRE(values.size() == golden.size());
  for (size_t i = 0; i < golden.size(); ++i) REQUIRE(std::isfinite(golden[i]) == std::isfinite(values[i]));
  return nmse(values, golden);
}

TEST_CASE("next gives the model's distribution, exactly") {
  const Json prompt = find_prompt("mary");
  const Json golden = read_golden("model_prompts.json");
  const Json next = run_json({"next", "-p", prompt["text"], "--precision", "exact"});
  CHECK(next["vocab"] == 49152);
  CHECK(next["candidates"].size() == 49152);
  CHECK(next["prompt_ids"] == prompt["ids"]);
  std::vector<float> logits(49152);
  double total = 0;
  for (const Json& candidate : next["candidates"]) {
    logits[candidate["id"].get<size_t>()] = candidate["logit"].get<float>();
    total += candidate["prob_model"].get<double>();
  }
  CHECK(total == Approx(1).epsilon(1e-5));
  CHECK(sample_nmse(logits, prompt["logits"], golden["sample_indices"]) <= kLogitsNmse);
  const int mary = prompt["logits"]["top_ids"][0];
  const Json& first = next["candidates"][0];
  CHECK(first["id"] == mary);
  CHECK(first["text"] == " Mary");
  const double expected =
      std::exp(prompt["logits"]["top_logits"][0].get<double>() - prompt["logits"]["logsumexp"].get<double>());
  CHECK(first["prob_model"].get<double>() == Approx(expected).epsilon(1e-4));
  CHECK(first["prob_model"].get<double>() == Approx(0.918).margin(0.001));
  CHECK(first["prob"] == first["prob_model"]);  // no stage is on
  CHECK(next["entropy_bits"].get<double>() == Approx(0.9255).margin(0.001));
  std::vector<std::string> kinds;
  for (const Json& stage : next["stages"]) kinds.push_back(stage["kind"]);
  CHECK(kinds == std::vector<std::string>{"penalties", "temperature", "top_k", "top_p", "min_p", "draw"});
}

TEST_CASE("next says which stage cuts whom, in the order applied", "[slow]") {
  const std::string text = find_prompt("mary")["text"];
  const Json next = run_json({"next", "-p", text, "--top-k", "5", "--min-p", "0.01", "--temp", "0.7", "--order",
                              "min_p,temperature,top_k,top_p", "--repeat-penalty", "1.2", "--presence-penalty", "0.1",
                              "--frequency-penalty", "0.2", "--penalty-window", "-1"});
  std::vector<std::string> kinds;
  for (const Json& stage : next["stages"]) kinds.push_back(stage["kind"]);
  CHECK(kinds == std::vector<std::string>{"penalties", "min_p", "temperature", "top_k", "top_p", "draw"});
  std::set<int> seen;
  for (const Json& id : next["prompt_ids"]) seen.insert(id.get<int>());
  double total = 0;
  size_t kept = 0;
  for (const Json& candidate : next["candidates"]) {
    total += candidate["prob"].get<double>();
    kept += candidate["cut_by"].is_null();
    if (!candidate["cut_by"].is_null()) CHECK(candidate["prob"] == 0.0);
    const bool changed = candidate["penalised"] != candidate["logit"];
    if (changed != seen.contains(candidate["id"].get<int>())) FAIL("penalised: " << candidate);
  }
  CHECK(total == Approx(1).epsilon(1e-5));
  CHECK(next["stages"][4]["kept"] == kept);
  CHECK(kept <= 5);
  CHECK(next["drawn"]["id"].is_number());
  CHECK(run_json({"next", "-p", text, "-k", "3"})["candidates"].size() == 3);
}

TEST_CASE("next runs the chain on a recorded vector, with or without a model") {
  const TemporaryFolder folder;
  const std::vector<float> logits = {1.0f, 3.0f, -2.0f, 2.0f, 0.5f};
  {
    std::ofstream file(folder.file("logits"), std::ios::binary);
    file.write(reinterpret_cast<const char*>(logits.data()),
               static_cast<std::streamsize>(logits.size() * sizeof(float)));
  }
  Launch launch;
  launch.arguments = {"next", "--logits", folder.file("logits"), "--temp", "2", "--top-k", "2"};
  launch.environment = {{"XDG_DATA_HOME", folder.path()}};
  launch.without = {"GLASSBOX_MODEL"};
  const Json next = run_json(launch);  // no model at all
  CHECK(next["vocab"] == 5);
  CHECK(next["candidates"][0]["id"] == 1);
  CHECK(next["candidates"][0]["text"].is_null());
  CHECK(next["candidates"][1]["id"] == 3);
  const double expected = 1 / (1 + std::exp(-0.5));  // softmax of 3/2 and 2/2
  CHECK(next["candidates"][0]["prob"].get<double>() == Approx(expected).epsilon(1e-6));
  CHECK(next["candidates"][2]["cut_by"] == "top_k");
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  CHECK(next["candidates"][0]["prob_model"].get<double>() == Approx(std::exp(3.0) / sum).epsilon(1e-6));

  // A model whose vocabulary fits lends its words; the same numbers come out as from the model itself.
  const std::string tiny = tiny_model("llama");
  const Json computed = run_json({"next", "-m", tiny, "-p", "The box is open", "--precision", "exact"});
  std::vector<float> recorded(computed["vocab"].get<size_t>());
  for (const Json& candidate : computed["candidates"])
    recorded[candidate["id"].get<size_t>()] = candidate["logit"].get<float>();
  std::ofstream(folder.file("tiny"), std::ios::binary)
      .write(reinterpret_cast<const char*>(recorded.data()),
             static_cast<std::streamsize>(recorded.size() * sizeof(float)));
  const Json replayed = run_json({"next", "-m", tiny, "--logits", folder.file("tiny"), "-p", "The box is open"});
  CHECK(replayed == computed);
}

TEST_CASE("next keeps whom the reference keeps, with its probabilities") {
  const TemporaryFolder folder;
  const Json golden = read_golden("sampler.json");
  for (size_t i = 0; i < golden["vectors"].size(); ++i) {
    const auto logits = golden["vectors"][i].get<std::vector<float>>();
    std::ofstream(folder.file(std::to_string(i)), std::ios::binary)
        .write(reinterpret_cast<const char*>(logits.data()),
               static_cast<std::streamsize>(logits.size() * sizeof(float)));
  }
  REQUIRE(golden["cases"].size() >= 20);
  for (const Json& entry : golden["cases"]) {
    const Json& settings = entry["settings"];
    INFO(settings);
    std::string order;
    for (const Json& stage : settings["order"]) order += (order.empty() ? "" : ",") + stage.get<std::string>();
    Launch launch;  // without a model: its words would cost more than the chain
    launch.environment = {{"XDG_DATA_HOME", folder.path()}};
    launch.without = {"GLASSBOX_MODEL"};
    launch.arguments = {"next",
                        "--logits",
                        folder.file(std::to_string(entry["vector"].get<int>())),
                        "--ids",
                        id_list(golden["context"]),
                        "--order",
                        order,
                        "--repeat-penalty",
                        settings["repetition_penalty"].dump(),
                        "--temp",
                        settings["temperature"].dump(),
                        "--top-k",
                        settings["top_k"].dump(),
                        "--top-p",
                        settings["top_p"].dump(),
                        "--min-p",
                        settings["min_p"].dump(),
                        "--penalty-window",
                        settings["penalty_window"].dump()};
    const Json next = run_json(launch);
    for (size_t stage = 0; stage < 4; ++stage) CHECK(next["stages"][stage + 1]["kept"] == entry["kept"][stage]);
    std::map<int, double> kept;
    for (const Json& candidate : next["candidates"]) {
      if (candidate["cut_by"].is_null()) kept[candidate["id"]] = candidate["prob"];
    }
    REQUIRE(kept.size() == entry["kept_ids"].size());
    for (size_t i = 0; i < kept.size(); ++i) {
      const int id = entry["kept_ids"][i];
      REQUIRE(kept.contains(id));
      CHECK(kept[id] == Approx(entry["probs"][i].get<double>()).epsilon(1e-5));
    }
  }
}

TEST_CASE("greedy generation in exact precision is the reference's", "[slow]") {
  for (const char* name : {"mary", "chinese", "python"}) {
    INFO(name);
    const Json prompt = find_prompt(name);
    const Json result =
        run_json({"generate", "-p", prompt["text"], "-n", "24", "--temp", "0", "--precision", "exact", "--ignore-eos"});
    CHECK(result["ids"] == prompt["greedy"]["ids"]);
    CHECK(result["prompt_ids"] == prompt["ids"]);
    CHECK(result["finish"] == "length");
    CHECK(result["timing"]["prefill_tokens"] == prompt["ids"].size());
    CHECK(result["timing"]["decode_tokens"] == 23);
    for (const char* key : {"load_s", "prefill_s", "decode_s"}) CHECK(result["timing"][key].get<double>() > 0);
  }
}

TEST_CASE("generate: the same seed gives the same text, another seed another", "[slow]") {
  const std::vector<std::string> base = {"generate", "-p", "Once upon a time", "-n", "16", "--temp", "1.2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return run_json(std::move(more));
  };
  const Json first = with({"-s", "7"}), again = with({"-s", "7"}), other = with({"-s", "8"});
  CHECK(first["ids"] == again["ids"]);
  CHECK(first["text"] == again["text"]);
  CHECK(first["logits_hash"] == again["logits_hash"]);
  CHECK(first["ids"] != other["ids"]);
  // The bits do not depend on the number of threads.
  const Json one = with({"-s", "7", "-t", "1"}), two = with({"-s", "7", "-t", "2"});
  CHECK(one["logits_hash"] == two["logits_hash"]);
  CHECK(one["logits_hash"] == first["logits_hash"]);
  // Without --json the same text goes to standard output.
  std::vector<std::string> plain = base;
  plain.insert(plain.end(), {"-s", "7"});
  CHECK(run_program(plain).out == first["text"].get<std::string>() + "\n");
  // What one call draws, `next` draws as well.
  const Json next = run_json({"next", "-p", "Once upon a time", "--temp", "1.2", "-s", "7", "-k", "1"});
  CHECK(next["drawn"]["id"] == first["ids"][0]);
  const Json single = with({"-s", "7", "-n", "1"});
  CHECK(single["logits_hash"] == next["logits_hash"]);
}

TEST_CASE("generate ends where the text ends, and --chat asks for an answer", "[slow]") {
  const Json prompt = find_prompt("chat");
  const Json result =
      run_json({"generate", "--chat", "-p", prompt["messages"][0]["content"], "--temp", "0", "-n", "200"});
  CHECK(result["prompt_ids"] == prompt["ids"]);
  CHECK(result["finish"] == "end");
  CHECK(result["ids"].back() == 2);
  CHECK(result["text"].get<std::string>().find("<|im_end|>") == std::string::npos);
  const Json none = run_json({"generate", "-p", "x", "-n", "0"});
  CHECK(none["ids"].empty());
  CHECK(none["finish"] == "length");
  const Json full = run_json({"generate", "-m", tiny_model("llama"), "-p", "The box", "-n", "-1", "--ignore-eos"});
  CHECK(full["finish"] == "context");
  CHECK(full["prompt_ids"].size() + full["ids"].size() == 65);  // the last one needs no place of its own
}

TEST_CASE("logprobs are the reference's") {
  const Json text = read_golden("model_logprobs.json")["texts"][0];
  constexpr size_t kTokens = 64;
  Json ids = Json::array();
  for (size_t i = 0; i < kTokens; ++i) ids.push_back(text["ids"][i]);
  const Json result = run_json({"logprobs", "--ids", id_list(ids), "--precision", "exact"});
  REQUIRE(result["tokens"].size() == kTokens);
  CHECK(result["tokens"][0]["logprob"].is_null());
  double sum = 0;
  for (size_t i = 1; i < kTokens; ++i) {
    CHECK(result["tokens"][i]["id"] == ids[i]);
    const double expected = text["logprobs"][i - 1];
    CHECK(result["tokens"][i]["logprob"].get<double>() == Approx(expected).margin(1e-4));
    sum += expected;
  }
  CHECK(result["perplexity"].get<double>() == Approx(std::exp(-sum / (kTokens - 1))).epsilon(1e-4));
  CHECK(run_json({"logprobs", "-p", "Hello"})["perplexity"].is_null());
}

TEST_CASE("inspect prints every tap with its axes and the reference's values") {
  for (const char* kind : {"llama", "gpt2"}) {
    const std::string folder = std::string("tiny_") + kind + "/";
    const Json golden = read_golden(folder + "f32.json");
    const std::vector<float> values = read_golden_floats(folder + golden["bin"].get<std::string>());
    const std::string ids = id_list(golden["runs"][0]["ids"]);
    std::set<std::string> seen;
    for (const Json& entry : golden["taps"]) {
      if (entry["run"] != golden["runs"][0]["run"]) continue;
      const std::string tap = entry["tap"];
      std::vector<std::string> arguments = {"inspect", "-m", tiny_model(kind), "--precision", "exact", "--tap", tap,
                                            "--ids",   ids};
      if (entry.contains("layer"))
        arguments.insert(arguments.end(), {"--layer", std::to_string(entry["layer"].get<int>())});
      const Json figure = run_json(arguments);
      INFO(kind << " " << entry);
      CHECK(figure["tap"] == tap);
      CHECK(figure["layer"] == (entry.contains("layer") ? entry["layer"] : Json(nullptr)));
      CHECK(figure["axes"] == entry["axes"]);
      CHECK(figure["shape"] == entry["shape"]);
      size_t count = 1;
      for (const Json& side : entry["shape"]) count *= side.get<size_t>();
      const auto part = std::span(values).subspan(entry["offset"].get<size_t>() / sizeof(float), count);
      CHECK(compare(figure["data"], part) <= kLogitsNmse);
      seen.insert(tap);
    }
    CHECK(seen.size() >= 15);
  }
}

TEST_CASE("inspect takes a head, a position, and TransformerLens's names") {
  const std::string text = find_prompt("mary")["text"];
  const Json all = run_json({"inspect", "-p", text, "--tap", "attn_pattern", "--layer", "24"});
  CHECK(all["axes"] == Json({"T", "H", "S"}));
  CHECK(all["shape"] == Json({14, 9, 14}));
  const Json row =
      run_json({"inspect", "-p", text, "--tap", "blocks.24.attn.hook_pattern", "--head", "4", "--pos", "-1"});
  CHECK(row["layer"] == 24);
  CHECK(row["head"] == 4);
  CHECK(row["position"] == 13);
  CHECK(row["axes"] == Json({"S"}));
  CHECK(row["data"] == all["data"][13][4]);
  CHECK(row["data"][1].get<double>() == Approx(0.787).margin(0.02));  // ·Mary, of the mock-ups
  CHECK(all["data"][0][0][1] == 0.0);                                 // after the query
  const Json scores = run_json({"inspect", "-p", text, "--tap", "attn_scores", "--layer", "24", "--head", "4"});
  CHECK(scores["data"][0][1].is_null());
  CHECK(scores["data"][1][1].is_number());
  // Every f32 is printed so that it reads back as itself, and taps change no bit.
  CHECK(all["logits_hash"] == scores["logits_hash"]);
  CHECK(all["logits_hash"] == run_json({"next", "-p", text, "-k", "1"})["logits_hash"]);
}

TEST_CASE("edits on the command line do what the reference's do", "[slow]") {
  const Json golden = read_golden("model_edits.json");
  const std::map<std::string, std::vector<std::string>> specs = {
      {"base", {}},
      {"L24H4_off", {"zero:attn_z:L24:H4"}},
      {"L23H0_H1_H7_off",
       {"zero:attn_z:L23:H0", "zero:attn_z:L23:H1", R"({"kind":"zero","tap":"attn_z","layer":23,"head":7})"}},
      {"L24H4_half", {"scale:attn_z:L24:H4:0.5"}},
      {"L24H4_edge_score", {"cut_score:attn_scores:L24:H4:13>1"}},
      {"L24H4_edge_weight", {"cut_weight:attn_pattern:L24:H4:13>1"}},
  };
  double before = 0;
  size_t seen = 0;
  for (const Json& entry : golden["cases"]) {
    const auto spec = specs.find(entry["name"]);
    if (spec == specs.end()) continue;
    ++seen;
    INFO(entry["name"]);
    std::vector<std::string> arguments = {"next", "-p", golden["text"], "--precision", "exact", "-k", "100"};
    for (const std::string& edit : spec->second) arguments.insert(arguments.end(), {"--edit", edit});
    const Json next = run_json(arguments);
    const Json& mary = candidate_of(next, golden["target"]["id"]);
    CHECK(mary["prob_model"].get<double>() == Approx(entry["p_target"].get<double>()).epsilon(1e-3));
    CHECK(next["entropy_bits"].get<double>() == Approx(entry["entropy_bits"].get<double>()).epsilon(1e-3));
    if (spec->second.empty()) {
      before = mary["prob_model"];
      CHECK_FALSE(next.contains("kl_nats"));
    } else {
      CHECK(mary["prob_before"].get<double>() == before);
      CHECK(next["kl_nats"].get<double>() == Approx(entry["kl_base_to_edited_nats"].get<double>()).epsilon(1e-3));
    }
  }
  CHECK(seen == specs.size());
  // An edit that changes nothing changes no bit.
  const Json plain = run_json({"next", "-p", golden["text"], "-k", "1"});
  const Json null_edit = run_json({"next", "-p", golden["text"], "-k", "1", "--edit", "scale:attn_z:L24:H4:1"});
  CHECK(null_edit["logits_hash"] == plain["logits_hash"]);
}

TEST_CASE("neighbors are the reference's, by three measures") {
  const Json golden = read_golden("model_embeddings.json");
  for (const Json& entry : golden["neighbors"]) {
    const Json found = run_json({"neighbors", "--id", std::to_string(entry["id"].get<int>()), "-k", "10"});
    INFO(entry["text"]);
    CHECK(found["token"]["text"] == entry["text"]);
    CHECK(found["norm"].get<double>() == Approx(entry["l2"].get<double>()).epsilon(1e-5));
    for (const char* measure : {"cosine", "dot", "euclid"}) {
      REQUIRE(found[measure].size() == 10);
      const char* field = std::string(measure) == "euclid" ? "distance" : measure;
      for (size_t i = 0; i < 10; ++i) {
        CHECK(found[measure][i]["id"] == entry[measure]["ids"][i]);
        CHECK(found[measure][i][field].get<double>() ==
              Approx(entry[measure]["values"][i].get<double>()).epsilon(1e-4));
      }
    }
  }
  CHECK(run_json({"neighbors", "--token", " Paris", "-k", "1"})["cosine"].size() == 1);
}

TEST_CASE("neighbors with a text prints the cosines between its tokens") {
  const Json golden = read_golden("model_embeddings.json");
  for (const Json& entry : golden["cosine_matrices"]) {
    // resid_pre of a layer is resid_post of the one before; of layer 0 it is the embedding.
    const int layer = entry["layer"].get<int>() - 1;
    const Json found =
        run_json({"neighbors", "-p", golden["cosine_text"], "--layer", std::to_string(layer), "--precision", "exact"});
    CHECK(found["layer"] == layer);
    CHECK(found["prompt_ids"] == golden["cosine_ids"]);
    CHECK(compare(found["cosine"], entry["values"].get<std::vector<float>>()) <= 1e-7);
  }
}

TEST_CASE("inspect --heads measures every head") {
  const Json heads =
      run_json({"inspect", "--heads", "-p", find_prompt("mary")["text"], "--precision", "exact"})["heads"];
  REQUIRE(heads.size() == 30 * 9);
  const Json& head = heads[24 * 9 + 4];
  CHECK(head["layer"] == 24);
  CHECK(head["head"] == 4);
  CHECK(head["best_key"] == 1);
  CHECK(head["best_weight"].get<double>() == Approx(0.787).margin(0.002));
  CHECK(head["direct_logit"].get<double>() < -0.5);  // it holds ·Mary back
  CHECK(head["badges"] == "S");
}

TEST_CASE("bench measures both phases") {
  const Json bench =
      run_json({"bench", "-m", tiny_model("llama"), "--prompt-tokens", "32", "-n", "8", "--repeat", "2"});
  CHECK(bench["prefill"]["tokens"] == 32);
  CHECK(bench["prefill"]["seconds"].size() == 2);
  CHECK(bench["prefill"]["tokens_per_s"].get<double>() > 0);
  CHECK(bench["decode"]["tokens"] == 8);
  CHECK(bench["decode"]["tokens_per_s"].get<double>() > 0);
  CHECK(bench["first_token_s"].get<double>() > 0);
  require_error({"bench", "-m", tiny_model("llama"), "--prompt-tokens", "60", "-n", "8"}, 2, {"64"});
}

}  // namespace
}  // namespace glassbox::test
