#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>

#include "core/run/command.h"
#include "tests/support/golden.h"

using namespace glassbox;

namespace {

std::shared_ptr<const Model> tiny_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  return model;
}

// A document with its history, as the workbench holds them.
struct Bench {
  Bench() : document(make_document()) {
    document.text = document.run().text = "";
    REQUIRE(retokenise(document, {tiny_model().get()}));
  }
  bool operator()(const Command& command, double wait = 10) {
    seconds += wait;
    const Document before = document;
    if (!apply(document, command, {tiny_model().get()})) return false;
    history.record(before, document, command, seconds);
    return true;
  }
  void must(const Command& command, double wait = 10) { REQUIRE((*this)(command, wait)); }
  void undo() { history.undo(document); }
  void redo() { history.redo(document); }
  const Run& run() const { return document.run(); }

  Document document;
  History history;
  double seconds = 0;
};

// The document without what transport and measured goals made.
Document user_state(const Document& document) {
  Document state = document;
  Run prompt;
  prompt.text = state.run().text;
  prompt.chat = state.run().chat;
  prompt.literal = state.run().literal;
  prompt.seed = state.run().seed;
  prompt.prompt = state.run().prompt;
  state.runs = {prompt};
  state.runs_made = 0;
  for (auto& [lesson, progress] : state.progress) progress.goals.clear();
  std::erase_if(state.progress, [](const auto& entry) { return entry.second.predictions.empty(); });
  return state;
}

size_t generated(const Document& document) {
  size_t nodes = 0;
  for (const Run& run : document.runs) nodes += run.nodes.size() - 1;
  return nodes;
}

Command random_command(std::mt19937& random) {
  const int n = static_cast<int>(random() % 6);
  SamplerSettings sampler;
  sampler.temperature = 0.25f * static_cast<float>(n);
  sampler.top_k = static_cast<int>(random() % 3);
  Edit edit;
  edit.kind = EditKind::scale;
  edit.tap = Tap::mlp_out;
  edit.factor = 0.5f * static_cast<float>(n);
  switch (random() % 27) {
    case 0:
    case 1:
    case 2:
      return cmd::SetText{std::string(static_cast<size_t>(n), static_cast<char>('a' + random() % 3))};
    case 3:
      return cmd::SetLiteral{n % 2 == 0};
    case 4:
      return cmd::SetSeed{static_cast<uint64_t>(n)};
    case 5:
      return cmd::SetSampler{sampler};
    case 6:
      return cmd::SelectPosition{n - 1};
    case 7:
      return cmd::SelectHead{n % 2, n % 3};
    case 8:
      return cmd::OpenCell{n, n / 2};
    case 9:
      return cmd::CloseCell{};
    case 10:
      return cmd::SelectPiece{n - 1};
    case 11:
      return cmd::SetMergeStep{n - 1};
    case 12:
      return cmd::AddEdit{edit};
    case 13:
      return cmd::RemoveEdit{n % 3};
    case 14:
      return cmd::EnableEdit{n % 3, random() % 2 == 0};
    case 15:
      return cmd::ClearEdits{};
    case 16:
      return cmd::ToggleHead{n % 2, n % 3};
    case 17:
      return cmd::SetStage{1 + n};
    case 18:
      return cmd::ShowPanel{n % 2 ? "cell" : "pattern", random() % 2 == 0};
    case 19:
      return cmd::SetDocking{"3", std::string(static_cast<size_t>(n), 'x')};
    case 20:
      return cmd::SetTheme{n % 2 ? ThemeKind::light : ThemeKind::dark};
    case 21:
      return cmd::SetScale{1.0f + 0.1f * static_cast<float>(n)};
    case 22:
      return cmd::SetMap{static_cast<ProbabilityMap>(n % 3)};
    case 23:
      return cmd::OpenLesson{std::string(static_cast<size_t>(n % 2), 'l')};
    case 24:
      return cmd::Predict{"l", n % 2 ? "p" : "q", n < 3 ? "up" : "down"};
    case 25:
      return cmd::ResetLesson{"l"};
    default:
      return cmd::SetVectorLayer{n % 2 - 1};
  }
}

Command random_transport(std::mt19937& random, const Run& run, bool forgetful) {
  const int node = static_cast<int>(random() % run.nodes.size());
  const int32_t token = static_cast<int32_t>(random() % 5);
  switch (random() % (forgetful ? 8 : 6)) {
    case 0:
    case 1:
      return cmd::Append{token, 0.5, 0.5f};
    case 2:
      return cmd::Branch{node, token};
    case 3:
      return cmd::MoveCursor{node};
    case 4:
      return cmd::RedrawFromHere{};
    case 5:
      return cmd::ReachGoal{"m", "g" + std::to_string(token)};
    case 6:
      return cmd::ResetRun{};
    default:
      return cmd::ShowRun{static_cast<int>(random() % 3)};
  }
}

void require_valid(const Document& document) {
  const Result<Document> again = document_from_json(to_json(document));
  if (!again) FAIL(again.error().message());
  REQUIRE(*again == document);
}

}  // namespace

TEST_CASE("undo and redo walk through random sessions", "[history]") {
  std::mt19937 random(23);
  for (int session = 0; session < 60; ++session) {
    Bench bench;
    std::vector<Document> states = {user_state(bench.document)};
    for (int step = 0; step < 80; ++step) {
      if (random() % 3 == 0) {
        bench(random_transport(random, bench.run(), false));
        REQUIRE(user_state(bench.document) == states.back());
        continue;
      }
      bench(random_command(random));
      const Document state = user_state(bench.document);
      if (!(state == states.back())) states.push_back(state);
      require_valid(bench.document);
    }
    // Back to the start and forth to the end, twice, with tokens generated on the way. None of them is ever lost.
    for (int times = 0; times < 2; ++times) {
      for (size_t i = states.size(); i-- > 1;) {
        REQUIRE(bench.history.can_undo());
        const size_t before = generated(bench.document);
        bench.undo();
        REQUIRE(user_state(bench.document) == states[i - 1]);
        REQUIRE(generated(bench.document) == before);
        require_valid(bench.document);
        if (random() % 4 == 0) bench(random_transport(random, bench.run(), false));
      }
      REQUIRE_FALSE(bench.history.can_undo());
      size_t i = 0;
      while (bench.history.can_redo()) {
        const size_t before = generated(bench.document);
        bench.redo();
        REQUIRE(generated(bench.document) == before);
        const Document state = user_state(bench.document);
        if (!(state == states[i])) ++i;
        REQUIRE(i < states.size());
        REQUIRE(state == states[i]);
        if (random() % 4 == 0) bench(random_transport(random, bench.run(), false));
      }
      REQUIRE(i + 1 == states.size());
    }
  }
}

TEST_CASE("undo keeps every document valid, whatever happens in between", "[history][fuzz]") {
  std::mt19937 random(29);
  for (int session = 0; session < 40; ++session) {
    Bench bench;
    for (int step = 0; step < 150; ++step) {
      switch (random() % 5) {
        case 0:
          bench.undo();
          break;
        case 1:
          bench.redo();
          break;
        case 2:
          bench(random_transport(random, bench.run(), true), 0.1);
          break;
        default:
          bench(random_command(random), random() % 2 ? 0.1 : 10);
      }
      require_valid(bench.document);
      REQUIRE(bench.run().text == bench.document.text);
      REQUIRE(bench.run().seed == bench.document.seed);
    }
  }
}

TEST_CASE("undoing a theme keeps the tokens generated since", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"ab"});
  bench.must(cmd::SetTheme{ThemeKind::light});
  for (int i = 0; i < 10; ++i) bench.must(cmd::Append{i});
  const Run run = bench.run();
  bench.undo();
  CHECK(bench.document.theme == ThemeKind::dark);
  CHECK(bench.run() == run);
  bench.redo();
  CHECK(bench.document.theme == ThemeKind::light);
  CHECK(bench.run() == run);
}

TEST_CASE("undoing a text brings its run back and keeps the generated one in the list", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"ab"});
  SECTION("the old text had no generated tokens") {
    bench.must(cmd::SetText{"cd"});
    bench.must(cmd::Append{5});
    const Run with_tokens = bench.run();
    bench.undo();
    CHECK(bench.document.text == "ab");
    CHECK(bench.run().text == "ab");
    CHECK_FALSE(bench.run().prompt.empty());
    REQUIRE(bench.document.runs.size() == 2);
    CHECK(bench.document.runs[0] == with_tokens);
    bench.redo();
    CHECK(bench.document.text == "cd");
    REQUIRE(bench.document.runs.size() == 1);  // "ab" had nothing that could be lost
    CHECK(bench.run() == with_tokens);
  }
  SECTION("the old text had some") {
    bench.must(cmd::Append{5});
    const Run with_tokens = bench.run();
    bench.must(cmd::SetText{"cd"});
    REQUIRE(bench.document.runs.size() == 2);
    bench.undo();
    REQUIRE(bench.document.runs.size() == 1);
    CHECK(bench.run() == with_tokens);
    bench.redo();
    CHECK(bench.document.text == "cd");
    CHECK(bench.document.runs.size() == 2);
  }
  SECTION("twice the same text are two runs") {
    bench.must(cmd::Append{5});
    const Run first = bench.run();
    bench.must(cmd::SetText{"cd"});
    bench.must(cmd::SetText{"ab"});
    bench.must(cmd::Append{6});
    const Run second = bench.run();
    bench.must(cmd::SetText{"e"});
    bench.undo();
    CHECK(bench.run() == second);
    bench.undo();
    CHECK(bench.document.text == "cd");
    bench.undo();
    CHECK(bench.run() == first);
  }
}

TEST_CASE("the seed of an older run is not touched by undoing another's", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"ab"});
  bench.must(cmd::SetSeed{7});
  bench.undo();
  CHECK(bench.document.seed == 42);
  CHECK(bench.run().seed == 42);
  bench.redo();
  CHECK(bench.run().seed == 7);
}

TEST_CASE("typing and dragging are one entry each", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"a"});
  bench.must(cmd::SetText{"ab"}, 0.5);
  bench.must(cmd::SetText{"abc"}, 0.79);
  bench.must(cmd::SetText{"abcd"}, 0.81);  // a pause: the next entry
  CHECK(bench.history.undo_label() == "Undo: set text");
  bench.undo();
  CHECK(bench.document.text == "abc");
  bench.undo();
  CHECK(bench.document.text.empty());
  CHECK_FALSE(bench.history.can_undo());
  CHECK(bench.history.undo_label().empty());
  CHECK(bench.history.redo_label() == "Redo: set text");
  bench.redo();
  CHECK(bench.document.text == "abc");
  bench.must(cmd::SetText{"abcx"}, 0.1);  // not merged into what was redone
  CHECK_FALSE(bench.history.can_redo());
  bench.undo();
  CHECK(bench.document.text == "abc");

  SamplerSettings sampler = bench.document.sampler;
  for (int i = 0; i < 20; ++i) {
    sampler.temperature += 0.01f;
    bench.must(cmd::SetSampler{sampler}, 0.02);
  }
  for (int i = 0; i < 20; ++i) {  // another slider is another gesture
    sampler.top_k += 1;
    bench.must(cmd::SetSampler{sampler}, 0.02);
  }
  bench.undo();
  CHECK(bench.document.sampler.top_k == make_document().sampler.top_k);
  CHECK(bench.document.sampler.temperature == sampler.temperature);
  bench.undo();
  CHECK(bench.document.sampler == make_document().sampler);
  CHECK(bench.document.text == "abc");
}

TEST_CASE("what follows an undo is a gesture of its own", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"a"});
  SamplerSettings sampler = bench.document.sampler;
  sampler.top_k = 3;
  bench.must(cmd::SetSampler{sampler}, 0.1);
  bench.undo();
  bench.must(cmd::SetText{"ab"}, 0.1);  // of the kind, and soon after, the entry that is now the last
  bench.undo();
  CHECK(bench.document.text == "a");
}

TEST_CASE("clicks are entries of their own, and what changes nothing is none", "[history]") {
  Bench bench;
  bench.must(cmd::ToggleHead{0, 0}, 0.01);
  bench.must(cmd::ToggleHead{0, 1}, 0.01);
  bench.undo();
  CHECK(bench.document.edits.size() == 1);
  bench.undo();
  CHECK(bench.document.edits.empty());
  bench.must(cmd::SetTheme{ThemeKind::dark});
  bench.must(cmd::Append{3});
  bench.must(cmd::ReachGoal{"l", "g"});
  CHECK(bench.history.can_redo());  // nothing was recorded, so nothing is forgotten
  CHECK_FALSE(bench.history.can_undo());
  bench.redo();
  CHECK(bench.document.edits.size() == 1);
}

TEST_CASE("goals stay, a lesson's reset is undone", "[history]") {
  Bench bench;
  bench.must(cmd::Predict{"l", "q", "up"});
  bench.must(cmd::ReachGoal{"l", "one"});
  bench.undo();
  CHECK(bench.document.progress.at("l").goals == std::set<std::string>{"one"});
  CHECK(bench.document.progress.at("l").predictions.empty());
  bench.redo();
  bench.must(cmd::ResetLesson{"l"});
  CHECK(bench.document.progress.empty());
  bench.must(cmd::ReachGoal{"l", "two"});
  bench.undo();
  CHECK(bench.document.progress.at("l").goals == std::set<std::string>{"one", "two"});
  CHECK(bench.document.progress.at("l").predictions.at("q") == "up");
  bench.redo();
  CHECK(bench.document.progress.at("l").goals == std::set<std::string>{"two"});
}

TEST_CASE("an opened document is undone as a whole", "[history]") {
  Bench bench;
  bench.must(cmd::SetText{"ab"});
  bench.must(cmd::Append{5});
  bench.must(cmd::SetTheme{ThemeKind::light});
  const Document mine = bench.document;
  Document opened = make_document();
  opened.stage = 6;
  bench.history.record_replacement(bench.document, opened);
  bench.document = opened;
  bench.must(cmd::SetStage{2});
  bench.must(cmd::Append{7});
  bench.undo();
  CHECK(bench.document.stage == 6);
  const Document with_token = bench.document;
  CHECK(bench.history.undo_label() == "Undo: open document");
  bench.undo();
  CHECK(bench.document == mine);
  bench.undo();
  CHECK(bench.document.theme == ThemeKind::dark);
  bench.redo();
  bench.redo();
  CHECK(bench.document == with_token);
  bench.redo();
  CHECK(bench.document.stage == 2);
}

TEST_CASE("the history holds no generated text and stays within its bytes", "[history]") {
  Bench bench;
  const std::string layout((1 << 20) - 1, 'x');
  for (int i = 0; i < 100; ++i) bench.must(cmd::SetDocking{"3", layout + static_cast<char>('a' + i % 26)});
  int undone = 0;
  for (; bench.history.can_undo(); ++undone) bench.undo();
  CHECK(undone >= 25);  // two copies of a MiB each
  CHECK(undone <= 32);
}

TEST_CASE("undo on a fresh history does nothing", "[history]") {
  Document document = make_document();
  const Document before = document;
  History history;
  history.undo(document);
  history.redo(document);
  CHECK(document == before);
}
