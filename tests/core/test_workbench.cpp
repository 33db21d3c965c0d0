// The workbench headless: what a person does in the window, as commands, on small models and on the real one.
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "core/run/workbench.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"

using namespace glassbox;

namespace {

Needs everything() {
  Needs needs;
  needs.chain = needs.change = needs.thumbnails = needs.heads = needs.cosines = needs.neighbours = true;
  return needs;
}

void load(Workbench& bench, const std::string& path) {
  bench.load_model(path);
  REQUIRE(bench.settle());
  if (bench.load_error()) FAIL(bench.load_error()->message());
  REQUIRE(bench.model() != nullptr);
}

void apply_good(Workbench& bench, const Command& command) {
  const auto done = bench.apply(command);
  if (!done) FAIL(done.error().message());
}

}  // namespace

TEST_CASE("typing shows the step of the text, and every analysis is of that step", "[workbench]") {
  Workbench bench({.threads = 2});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  bench.set_needs(everything());
  std::string text;
  for (const char c : std::string("The box is open")) {
    text += c;
    apply_good(bench, cmd::SetText{text});
    bench.pump();  // as a window does; most of these steps are replaced before they are shown
  }
  REQUIRE(bench.settle());
  const View& view = bench.view();
  REQUIRE(view.step);
  CHECK_FALSE(view.stale);
  CHECK(view.tokens == bench.document().shown_tokens());
  REQUIRE(view.chain);
  REQUIRE(view.thumbnails);
  REQUIRE(view.heads);
  REQUIRE(view.cosines);
  REQUIRE(view.neighbours);
  CHECK(view.thumbnails->length == view.step->length());
  CHECK(view.cosines->length == view.step->length());
  CHECK(view.neighbours->id == view.tokens.back());
  CHECK_FALSE(std::isnan(view.heads->at(0, 0).induction));
  CHECK(view.baseline == nullptr);
  // The same as a session without a window computes.
  SessionStore store(bench.model(), make_cpu_ops({1, "", false}));
  CHECK(run_step(store, {view.tokens, {}, Precision::fast, {}})->logits_hash == view.step->logits_hash);
}

TEST_CASE("whole patterns of all heads are kept while they are small, and then of those that are asked for",
          "[workbench]") {
  constexpr size_t kLayers = 2, kHeads = 4, kLength = 6;
  Workbench bench({.threads = 1,
                   .device = {DeviceChoice::Kind::cpu},
                   .most_whole_patterns = kLayers * kHeads * kLength * kLength * sizeof(float)});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  REQUIRE((bench.model()->config().layers.size() == kLayers && bench.model()->config().layers[0].heads == kHeads));
  Needs needs;
  needs.thumbnails = needs.heads = true;
  const auto check = [&](int tokens, int chosen) {
    needs.probe = {};
    needs.probe.add(Tap::attn_pattern, chosen, chosen + 1);
    bench.set_needs(needs);
    apply_good(bench, cmd::SetText{std::string(static_cast<size_t>(tokens), 'Q')});
    REQUIRE(bench.settle());
    const View& view = bench.view();
    REQUIRE((view.step && view.thumbnails && view.heads));
    REQUIRE(view.step->length() == tokens);
    CHECK(view.thumbnails->length == tokens);
    int whole = 0;
    for (int layer = 0; layer < static_cast<int>(kLayers); ++layer) {
      whole += view.step->page(Tap::attn_pattern, layer, tokens - 1) != nullptr;
    }
    CHECK(view.step->page(Tap::attn_pattern, chosen, 0) != nullptr);
    return whole;
  };
  CHECK(check(6, 0) == 2);
  CHECK(check(7, 0) == 1);
  CHECK(check(8, 1) == 1);
}

TEST_CASE("the same seed gives the same text, back and forth and after branching", "[workbench]") {
  Workbench bench({.threads = 1});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  apply_good(bench, cmd::SetText{"The box"});
  bench.step_tokens(12);
  REQUIRE(bench.settle());
  const std::vector<int32_t> first = bench.document().shown_tokens();
  REQUIRE(bench.document().run().depth(bench.document().run().cursor) >= 1);
  const int length = bench.document().run().depth(bench.document().run().cursor);

  bench.back();
  bench.back();
  REQUIRE(bench.settle());
  CHECK(bench.view().tokens == std::vector<int32_t>(first.begin(), first.end() - 2));
  bench.forward_one();
  bench.forward_one();
  REQUIRE(bench.settle());
  CHECK(bench.document().shown_tokens() == first);

  apply_good(bench, cmd::ResetRun{});
  bench.step_tokens(length);
  REQUIRE(bench.settle());
  CHECK(bench.document().shown_tokens() == first);

  // Another token by hand opens a branch; the first line is still there.
  const Run& run = bench.document().run();
  const int leaf = run.cursor;
  const int32_t other = (first.back() + 1) % 300;
  apply_good(bench, cmd::Branch{run.nodes[static_cast<size_t>(leaf)].parent, other});
  REQUIRE(bench.settle());
  CHECK(bench.document().shown_tokens().back() == other);
  CHECK(bench.view().tokens.back() == other);
  apply_good(bench, cmd::MoveCursor{leaf});
  REQUIRE(bench.settle());
  CHECK(bench.view().tokens == first);

  // Redraw from here: other numbers, and the same ones again in a fresh workbench.
  apply_good(bench, cmd::MoveCursor{0});
  apply_good(bench, cmd::RedrawFromHere{});
  bench.step_tokens(6);
  REQUIRE(bench.settle());
  CHECK(bench.document().run().nodes.size() > static_cast<size_t>(length) + 2);
}

TEST_CASE("a slider changes the chain and not the step", "[workbench]") {
  Workbench bench({.threads = 1});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  bench.set_needs(everything());
  apply_good(bench, cmd::SetText{"The box is"});
  REQUIRE(bench.settle());
  const auto step = bench.view().step;
  SamplerSettings greedy_settings = bench.document().sampler;
  greedy_settings.temperature = 0;
  apply_good(bench, cmd::SetSampler{greedy_settings});
  REQUIRE(bench.settle());
  CHECK(bench.view().step == step);
  REQUIRE(bench.view().chain);
  CHECK(bench.view().chain->settings == greedy_settings);
  CHECK(bench.view().chain->drawn == argmax(step->logits));
  greedy_settings.top_p = 2;
  CHECK_FALSE(bench.apply(cmd::SetSampler{greedy_settings}).ok());
  REQUIRE(bench.error());
}

TEST_CASE("a failed load leaves the model in use, and refusals leave the document", "[workbench]") {
  Workbench bench({.threads = 1});
  load(bench, golden_path("tiny_gpt2/f32.gguf"));
  apply_good(bench, cmd::SetText{"The box"});
  REQUIRE(bench.settle());
  const auto model = bench.model();
  const std::string cut = (std::filesystem::temp_directory_path() / "glassbox_cut.gguf").string();
  {
    std::ifstream in(golden_path("tiny_gpt2/f32.gguf"), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    bytes.resize(bytes.size() / 2);
    std::ofstream(cut, std::ios::binary) << bytes;
  }
  for (const std::string& path : {cut, std::string("/nonexistent/model.gguf"), golden_path("README.md")}) {
    bench.load_model(path);
    REQUIRE(bench.settle());
    REQUIRE(bench.load_error());
    CHECK(bench.load_error()->kind == ErrorKind::bad_file);
    CHECK_FALSE(bench.load_error()->where.empty());
    CHECK(bench.model() == model);
  }
  std::filesystem::remove(cut);
  apply_good(bench, cmd::SetText{"The box is"});
  REQUIRE(bench.settle());
  CHECK(bench.view().step != nullptr);

  const Document before = bench.document();
  CHECK_FALSE(bench.apply(cmd::SelectHead{7, 0}).ok());
  CHECK_FALSE(bench.apply(cmd::ToggleHead{0, 9}).ok());
  CHECK_FALSE(bench.apply(cmd::SetVectorLayer{3}).ok());
  CHECK_FALSE(bench.apply(cmd::AddEdit{*parse_edit("zero:q_rot:L0")}).ok());
  CHECK_FALSE(bench.apply(cmd::SetText{std::string(4000, 'q')}).ok());  // longer than the context of 64
  CHECK_FALSE(bench.apply(cmd::SetText{"\xff"}).ok());
  CHECK(bench.document() == before);
  bench.clear_errors();

  // Another model: the text is read by its tokenizer, the selection fits its shape.
  load(bench, golden_path("tiny_llama/f32.gguf"));
  REQUIRE(bench.settle());
  CHECK(bench.view().step != nullptr);
  CHECK(bench.view().step->recipe.model_hash == bench.model()->hash());
}

TEST_CASE("undo and redo bring text, edits and settings back", "[workbench]") {
  Workbench bench({.threads = 1});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  bench.set_needs(everything());
  apply_good(bench, cmd::SetText{"The box"});
  REQUIRE(bench.settle());
  const uint64_t hash = bench.view().step->logits_hash;
  apply_good(bench, cmd::ToggleHead{1, 2});
  REQUIRE(bench.settle());
  CHECK(bench.view().step->logits_hash != hash);
  REQUIRE(bench.view().baseline);
  CHECK(bench.view().baseline->logits_hash == hash);
  REQUIRE(bench.view().change);
  CHECK(bench.view().change->kl_nats > 0);
  bench.undo();
  REQUIRE(bench.settle());
  CHECK(bench.document().edits.empty());
  CHECK(bench.view().step->logits_hash == hash);
  bench.redo();
  REQUIRE(bench.settle());
  CHECK(bench.document().edits.size() == 1);
  CHECK(bench.view().baseline != nullptr);
}

TEST_CASE("what was typed before a model was there has its tokens after undo too", "[workbench]") {
  Workbench bench({.threads = 1});
  apply_good(bench, cmd::SetText{"first"});
  apply_good(bench, cmd::SelectHead{0, 0});  // ends the gesture of typing
  apply_good(bench, cmd::SetText{"second"});
  load(bench, golden_path("tiny_llama/f32.gguf"));
  const auto ids = [&](const char* text) {
    std::vector<int32_t> out;
    for (const Token& token : bench.model()->tokenizer().encode(text, true)) out.push_back(token.id);
    return out;
  };
  CHECK(bench.document().shown_tokens() == ids("second"));
  bench.undo();
  REQUIRE(bench.document().text == "first");
  CHECK(bench.document().shown_tokens() == ids("first"));
  REQUIRE(bench.settle());
  CHECK(bench.view().tokens == ids("first"));
  bench.redo();
  CHECK(bench.document().shown_tokens() == ids("second"));
}

TEST_CASE("the first minute: the real model shows what the mockup shows", "[workbench][model]") {
  Workbench bench({.threads = 2, .precision = Precision::exact});
  load(bench, test::model_path());
  bench.set_needs(everything());
  REQUIRE(bench.settle());
  const Model& model = *bench.model();
  const int32_t mary = model.tokenizer().find_id(" Mary");
  REQUIRE(mary >= 0);
  const View& view = bench.view();
  REQUIRE(view.heads);
  REQUIRE(view.chain);
  const auto prob = [&] {
    return view.chain->candidates[static_cast<size_t>(view.chain->rank_of[static_cast<size_t>(mary)])].prob_model;
  };
  CHECK(prob() == Catch::Approx(0.918).margin(0.0005));
  CHECK(view.chain->entropy_model_bits == Catch::Approx(0.93).margin(0.005));
  const auto has = [&](int layer, int head, Badge badge) {
    const auto badges = view.heads->badges(layer, head);
    return std::find(badges.begin(), badges.end(), badge) != badges.end();
  };
  CHECK(has(24, 4, Badge::suppressor));
  for (const int head : {0, 1, 7}) CHECK(has(23, head, Badge::name_mover));
  apply_good(bench, cmd::ToggleHead{24, 4});
  REQUIRE(bench.settle());
  CHECK(prob() == Catch::Approx(0.973).margin(0.0005));
  CHECK(view.change->kl_nats == Catch::Approx(0.041).margin(0.0005));
}
