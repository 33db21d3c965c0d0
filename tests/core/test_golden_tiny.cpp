// The engine against transformers on small random models: both rows of the architecture table, every backend, every
// tap.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/support/backends.h"
#include "tests/support/golden.h"

using namespace glassbox;

namespace {

constexpr double kExactNmse = 1e-9;  // fp32 rounding; rows of few and small scores come near 1.3e-10

}  // namespace

TEST_CASE("tiny models agree with transformers in exact precision", "[golden]") {
  const std::string name = GENERATE("tiny_gpt2/f32", "tiny_gpt2/mixed", "tiny_llama/f32");
  const auto model = load_golden_model(golden_path(name + ".gguf"));
  const nlohmann::json golden = read_golden(name + ".json");
  const std::vector<float> values = read_golden_floats(name + ".bin");
  for (const Backend& backend : all_backends()) {
    INFO(name << " on " << backend.name);
    SessionStore store(model, backend.ops);
    store.set_poison(true);
    for (const nlohmann::json& run : golden["runs"]) {
      const std::vector<int32_t> ids = run["ids"];
      std::vector<int32_t> encoded;
      for (const Token& token : model->tokenizer().encode(run["text"].get<std::string>())) encoded.push_back(token.id);
      CHECK(encoded == ids);
      ProbeSpec needs = all_stored_taps(model->config());
      needs.add(Tap::logits);
      const auto step = run_step(store, {ids, {}, Precision::exact, needs});
      size_t compared = 0;
      check_golden_taps(golden, values, run["run"], *step, kExactNmse, compared);
      CHECK(compared >= ids.size() * static_cast<size_t>(model->config().vocab));
      const Page* last = step->page(Tap::logits, 0, step->length() - 1);
      REQUIRE(last != nullptr);
      CHECK(nmse(step->logits, last->row(step->length() - 1)) == 0);
      CHECK(greedy(store, ids, Precision::exact, 24) == run["greedy"]["ids"].get<std::vector<int32_t>>());
    }
  }
}

TEST_CASE("a head's outputs sum to the attention's output", "[golden]") {
  const std::string name = GENERATE("tiny_gpt2/f32", "tiny_llama/f32");
  const auto model = load_golden_model(golden_path(name + ".gguf"));
  SessionStore store(model, make_reference_ops());
  ProbeSpec needs;
  needs.add(Tap::head_out, 0, model->config().layer_count());
  needs.add(Tap::attn_out, 0, model->config().layer_count());
  const auto step = run_step(store, {{277, 271, 288, 273}, {}, Precision::exact, needs});
  for (int layer = 0; layer < model->config().layer_count(); ++layer) {
    const Linear& o = model->weights().layers[static_cast<size_t>(layer)].o;
    for (int position = 0; position < step->length(); ++position) {
      const Page& heads = *step->page(Tap::head_out, layer, position);
      std::vector<float> sum(static_cast<size_t>(model->config().width), 0.0f);
      for (int head = 0; head < heads.heads(); ++head) {
        const auto part = heads.head(position, head);
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
      }
      for (size_t i = 0; i < sum.size() && !o.bias.empty(); ++i) sum[i] += o.bias.f32()[i];
      CHECK(nmse(sum, step->page(Tap::attn_out, layer, position)->row(position)) <= 1e-12);
    }
  }
}
