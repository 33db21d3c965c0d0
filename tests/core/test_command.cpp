#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <random>

#include "core/run/command.h"
#include "core/run/prompt.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"

using namespace glassbox;
using nlohmann::json;

namespace {

std::shared_ptr<const Model> tiny_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  return model;
}

std::shared_ptr<const Model> real_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(test::model_path());
  return model;
}

// A document on a model, that commands are applied to.
struct Bench {
  explicit Bench(std::shared_ptr<const Model> on) : model(std::move(on)), document(make_document()) {
    document.text = document.run().text = "";  // the tiny model's context is short
    if (model) REQUIRE(retokenise(document, {model.get()}));
  }
  Result<void> operator()(const Command& command) { return apply(document, command, {model.get()}); }
  void must(const Command& command) {
    const Result<void> done = (*this)(command);
    if (!done) FAIL(done.error().message());
  }
  // A refused command changes nothing; returns the error's `where`.
  std::string refused(const Command& command) {
    const Document before = document;
    const Result<void> done = (*this)(command);
    if (done) return "accepted";
    CHECK(document == before);
    CHECK(done.error().kind == ErrorKind::usage);
    CHECK_FALSE(done.error().what.empty());
    return done.error().where;
  }
  const Run& run() const { return document.run(); }

  std::shared_ptr<const Model> model;
  Document document;
};

std::vector<Command> one_of_each() {
  SamplerSettings sampler;
  sampler.top_k = 40;
  sampler.temperature = 0.7f;
  Edit edit;
  edit.layer = 3;
  edit.head = 1;
  return {cmd::SetText{"Hi 🙂"},
          cmd::SetChat{true},
          cmd::SetLiteral{true},
          cmd::SetSeed{kMaxSeed},
          cmd::SetSampler{sampler},
          cmd::Append{5, 0.25, 0.5f, true},
          cmd::Branch{2, 7, 0.125f},
          cmd::MoveCursor{3},
          cmd::ResetRun{},
          cmd::RedrawFromHere{},
          cmd::ShowRun{1},
          cmd::SelectPosition{-1},
          cmd::SelectHead{24, 4},
          cmd::OpenCell{13, 1},
          cmd::CloseCell{},
          cmd::SelectPiece{2},
          cmd::SetMergeStep{-1},
          cmd::SetVectorLayer{5},
          cmd::AddEdit{edit},
          cmd::RemoveEdit{0},
          cmd::EnableEdit{0, false},
          cmd::ClearEdits{},
          cmd::ToggleHead{1, 2},
          cmd::SetStage{6},
          cmd::ShowPanel{"cell", true},
          cmd::SetDocking{"3", "a\nb"},
          cmd::SetTheme{ThemeKind::light},
          cmd::SetScale{1.1f},
          cmd::SetMotion{false},
          cmd::SetMap{ProbabilityMap::viridis},
          cmd::SetLogMap{true},
          cmd::SetShowIds{false},
          cmd::SetShowBytes{true},
          cmd::OpenLesson{"a"},
          cmd::Predict{"a", "q", "x"},
          cmd::ReachGoal{"a", "g"},
          cmd::ResetLesson{"a"}};
}

}  // namespace

TEST_CASE("every command survives JSON under its name", "[command]") {
  const std::vector<Command> all = one_of_each();
  REQUIRE(all.size() == std::variant_size_v<Command>);
  std::set<std::string_view> names;
  for (size_t i = 0; i < all.size(); ++i) {
    REQUIRE(all[i].index() == i);
    names.insert(command_name(all[i]));
    const json value = to_json(all[i]);
    INFO(value.dump());
    CHECK(value["command"] == command_name(all[i]));
    const Result<Command> again = command_from_json(json::parse(value.dump()));
    if (!again) FAIL(again.error().message());
    CHECK(again->index() == i);
    CHECK(to_json(*again) == value);
  }
  CHECK(names.size() == all.size());
  CHECK(names.contains("set_text"));
  CHECK(names.contains("redraw_from_here"));
  CHECK(names.contains("reset_lesson"));
  CHECK(to_json(Command(cmd::SetScale{1.1f})).dump() == R"({"command":"set_scale","scale":1.1})");
}

TEST_CASE("a command that is not right is refused with its key", "[command]") {
  const auto where = [](const char* text) {
    const Result<Command> read = command_from_json(json::parse(text));
    if (read) return std::string("accepted");
    CHECK(read.error().kind == ErrorKind::usage);
    return read.error().where;
  };
  CHECK(where(R"({})") == "command");
  CHECK(where(R"([])") == "");
  CHECK(where(R"({"command": "fly"})") == "command");
  CHECK(where(R"({"command": 3})") == "command");
  CHECK(where(R"({"command": "set_text"})") == "text");
  CHECK(where(R"({"command": "set_text", "text": 3})") == "text");
  CHECK(where(R"({"command": "set_text", "text": "a", "size": 3})") == "size");
  CHECK(where(R"({"command": "set_seed", "seed": -1})") == "seed");
  CHECK(where(R"({"command": "set_seed", "seed": 9007199254740992})") == "seed");
  CHECK(where(R"({"command": "select_head", "layer": 1})") == "head");
  CHECK(where(R"({"command": "select_head", "layer": 1, "head": 5000000000})") == "head");
  CHECK(where(R"({"command": "set_theme", "theme": "pink"})") == "theme");
  CHECK(where(R"({"command": "set_sampler", "settings": {"top_p": 2}})") == "settings.top_p");
  CHECK(where(R"({"command": "set_sampler", "settings": {"top_q": 2}})") == "settings.top_q");
  CHECK(where(R"({"command": "set_sampler", "settings": 3})") == "settings");
  CHECK(where(R"({"command": "add_edit", "edit": {"kind": "zap", "tap": "q"}})").starts_with("edit"));
  CHECK(where(R"({"command": "append", "token": 3})") == "accepted");  // the rest has defaults
  CHECK(where(R"({"command": "set_sampler", "settings": {}})") == "accepted");
}

TEST_CASE("text becomes tokens through the model", "[command]") {
  Bench bench(tiny_model());
  const Tokenizer& tokenizer = bench.model->tokenizer();
  const auto ids = [&](const std::string& text, bool special = true) {
    std::vector<int32_t> expected;
    if (tokenizer.adds_bos()) expected.push_back(tokenizer.bos_id());
    for (const Token& token : tokenizer.encode(text, special)) expected.push_back(token.id);
    return expected;
  };
  bench.must(cmd::SetText{"the cat"});
  CHECK(bench.document.text == "the cat");
  CHECK(bench.run().text == "the cat");
  CHECK(bench.run().prompt == ids("the cat"));
  CHECK(bench.document.runs.size() == 1);
  bench.must(cmd::SetText{""});
  CHECK(bench.run().prompt == ids(""));

  CHECK(bench.refused(cmd::SetText{"ab\xff"}) == "text, byte offset 2");

  // Longer than the context: both numbers are said.
  const size_t context = static_cast<size_t>(bench.model->config().context);
  std::string text;
  while (ids(text).size() <= context) text += "\x01";
  const Result<void> too_long = bench(cmd::SetText{text});
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().message().find(std::to_string(ids(text).size())) != std::string::npos);
  CHECK(too_long.error().message().find(std::to_string(context)) != std::string::npos);
  text.pop_back();
  bench.must(cmd::SetText{text});
  CHECK(bench.run().prompt.size() == context);
  CHECK(bench.refused(cmd::Append{1}) == "token");  // full

  // Without a model there is a text and no tokens.
  Bench bare(nullptr);
  bare.must(cmd::SetText{"anything"});
  CHECK(bare.run().text == "anything");
  CHECK(bare.run().prompt.empty());
  CHECK(bare.refused(cmd::SetText{"\x80"}) == "text, byte offset 0");
  CHECK(bare.refused(cmd::SetText{std::string(kMaxTextBytes + 1, 'a')}) == "text");
}

TEST_CASE("special tokens, literal text and chat on the real model", "[command][model]") {
  Bench bench(real_model());
  const Tokenizer& tokenizer = bench.model->tokenizer();
  const int32_t start = tokenizer.find_special("<|im_start|>"), end = tokenizer.find_special("<|im_end|>");
  REQUIRE(start >= 0);
  bench.must(cmd::SetText{"a<|im_start|>"});
  CHECK(bench.run().prompt.back() == start);
  bench.must(cmd::SetLiteral{true});
  CHECK(bench.run().literal);
  CHECK(std::count(bench.run().prompt.begin(), bench.run().prompt.end(), start) == 0);
  bench.must(cmd::SetLiteral{false});
  bench.must(cmd::SetChat{true});
  // The template's own markers: system, user and the start of the answer; the one in the message is text.
  CHECK(std::count(bench.run().prompt.begin(), bench.run().prompt.end(), start) == 3);
  CHECK(std::count(bench.run().prompt.begin(), bench.run().prompt.end(), end) == 2);
  CHECK(tokenizer.decode(bench.run().prompt)
            .ends_with("<|im_start|>user\na<|im_start|><|im_end|>\n<|im_start|>assistant\n"));

  // The first-minute document has the tokens that its opened cell speaks of.
  Document document = make_document();
  REQUIRE(retokenise(document, {bench.model.get()}));
  CHECK(document.run().prompt.size() == 14);
  CHECK(tokenizer.bytes_of(document.run().prompt[1]) == " Mary");
  CHECK(document.shown_cell() == Cell{13, 1});
}

TEST_CASE("a chat on a model without a known template is refused with the reason", "[command]") {
  Bench bench(tiny_model());
  REQUIRE(bench.model->chat_template() == nullptr);
  const Result<void> done = bench(cmd::SetChat{true});
  REQUIRE_FALSE(done);
  CHECK(done.error().what == bench.model->chat_template_error());
  CHECK_FALSE(bench.document.chat);
}

TEST_CASE("typing replaces an untouched run and keeps a generated one", "[command]") {
  Bench bench(tiny_model());
  bench.must(cmd::SetText{"one"});
  const uint32_t first = bench.run().id;
  bench.must(cmd::SetText{"two"});
  CHECK(bench.document.runs.size() == 1);
  CHECK(bench.run().id > first);
  bench.must(cmd::Append{5});
  const Run kept = bench.run();
  bench.must(cmd::SetText{"two"});  // the same: nothing happens
  CHECK(bench.run() == kept);
  bench.must(cmd::SetText{"three"});
  REQUIRE(bench.document.runs.size() == 2);
  CHECK(bench.document.runs[0] == kept);
  CHECK(bench.run().nodes.size() == 1);
  CHECK(bench.run().seed == bench.document.seed);
}

TEST_CASE("the seed belongs to the document and its run", "[command]") {
  Bench bench(tiny_model());
  bench.must(cmd::SetSeed{7});
  CHECK(bench.document.seed == 7);
  CHECK(bench.run().seed == 7);
  CHECK(bench.refused(cmd::SetSeed{kMaxSeed + 1}) == "seed");
}

TEST_CASE("tokens are appended, branched and walked", "[command]") {
  Bench bench(tiny_model());
  bench.must(cmd::SetText{"ab"});
  bench.must(cmd::Append{11, 0.5, 0.25f});
  bench.must(cmd::Append{12, 0.75, 0.5f});
  CHECK(bench.run().nodes.size() == 3);
  CHECK(bench.run().cursor == 2);
  CHECK(bench.run().leaf == 2);
  CHECK(bench.run().nodes[1].u == 0.5);
  CHECK(bench.run().nodes[1].prob == 0.25f);
  CHECK(bench.run().nodes[1].sampler_hash == hash_sampler(bench.document.sampler));
  CHECK(bench.run().nodes[1].edits_hash == 0);
  CHECK(bench.run().nodes[2].parent == 1);

  SECTION("going back keeps the line; the same token is reused") {
    bench.must(cmd::MoveCursor{1});
    CHECK(bench.run().leaf == 2);
    bench.must(cmd::ToggleHead{0, 0});
    bench.must(cmd::Append{12, 0.8, 0.5f});
    CHECK(bench.run().nodes.size() == 3);
    CHECK(bench.run().cursor == 2);
    CHECK(bench.run().nodes[2].u == 0.8);  // it was drawn anew
    CHECK(bench.run().nodes[2].edits_hash == hash_edits(bench.document.edits));
  }
  SECTION("another token makes another line") {
    bench.must(cmd::MoveCursor{0});
    bench.must(cmd::Append{13});
    CHECK(bench.run().nodes.size() == 4);
    CHECK(bench.run().cursor == 3);
    CHECK(bench.run().leaf == 3);
    bench.must(cmd::MoveCursor{1});  // on the other line, which is shown to its end
    CHECK(bench.run().leaf == 2);
  }
  SECTION("a branch by hand") {
    bench.must(cmd::Branch{0, 20, 0.125f});
    CHECK(bench.run().cursor == 3);
    CHECK(bench.run().leaf == 3);
    CHECK(bench.run().nodes[3].by_hand);
    CHECK(bench.run().nodes[3].branch == 1);
    CHECK(bench.run().nodes[3].prob == 0.125f);
    CHECK(bench.run().branches == 1);
    bench.must(cmd::Append{21});
    CHECK(bench.run().nodes[4].branch == 1);  // inherited
    bench.must(cmd::Branch{0, 11});           // the token that was drawn there: no new branch
    CHECK(bench.run().nodes.size() == 5);
    CHECK(bench.run().cursor == 1);
    CHECK(bench.run().leaf == 2);
    CHECK(bench.run().branches == 1);
    bench.must(cmd::Branch{0, 20});
    CHECK(bench.run().cursor == 3);
    CHECK(bench.run().leaf == 4);
  }
  SECTION("redraw from here") {
    bench.must(cmd::MoveCursor{1});
    bench.must(cmd::RedrawFromHere{});
    CHECK(bench.run().leaf == 1);
    CHECK(bench.run().draw_branch() == 1);
    bench.must(cmd::RedrawFromHere{});  // still the same new branch
    CHECK(bench.run().draw_branch() == 1);
    bench.must(cmd::Append{12});  // the same token, on another branch: another node
    CHECK(bench.run().nodes.size() == 4);
    CHECK(bench.run().nodes[3].branch == 1);
    CHECK(bench.run().branches == 1);
    CHECK(bench.run().draw_branch() == 1);
    bench.must(cmd::RedrawFromHere{});
    bench.must(cmd::MoveCursor{2});  // moving forgets it
    CHECK(bench.run().draw_branch() == 0);
    CHECK(bench.run().branches == 1);
  }
  SECTION("reset forgets all and begins at branch 0") {
    bench.must(cmd::Branch{0, 20});
    bench.must(cmd::ResetRun{});
    CHECK(bench.run().nodes.size() == 1);
    CHECK(bench.run().cursor == 0);
    CHECK(bench.run().leaf == 0);
    CHECK(bench.run().draw_branch() == 0);
    bench.must(cmd::Append{11, 0.5, 0.25f});
    CHECK(bench.run().nodes[1].branch == 0);
  }
  SECTION("what is not there is refused") {
    CHECK(bench.refused(cmd::MoveCursor{3}) == "node");
    CHECK(bench.refused(cmd::MoveCursor{-1}) == "node");
    CHECK(bench.refused(cmd::Branch{3, 1}) == "node");
    CHECK(bench.refused(cmd::Branch{0, -1}) == "token");
    CHECK(bench.refused(cmd::Append{bench.model->config().vocab}) == "token");
    CHECK(bench.refused(cmd::Append{1, 1.0}) == "u");
    CHECK(bench.refused(cmd::Append{1, std::numeric_limits<double>::quiet_NaN()}) == "u");
    CHECK(bench.refused(cmd::Append{1, 0.5, 1.5f}) == "prob");
  }
}

TEST_CASE("an older run comes to the front", "[command]") {
  Bench bench(tiny_model());
  bench.must(cmd::SetText{"one"});
  bench.must(cmd::SetSeed{5});
  bench.must(cmd::Append{11});
  bench.must(cmd::SetText{"two"});
  bench.must(cmd::SetSeed{6});
  bench.must(cmd::Append{12});
  bench.must(cmd::SetText{"three"});
  REQUIRE(bench.document.runs.size() == 3);
  bench.must(cmd::ShowRun{0});
  CHECK(bench.document.text == "one");
  CHECK(bench.document.seed == 5);
  CHECK(bench.run().nodes.size() == 2);
  REQUIRE(bench.document.runs.size() == 3);  // "three" was typed and is not lost
  CHECK(bench.document.runs[0].text == "two");
  CHECK(bench.document.runs[1].text == "three");
  bench.must(cmd::ShowRun{2});
  CHECK(bench.document.text == "one");
  CHECK(bench.refused(cmd::ShowRun{3}) == "run");
  CHECK(bench.refused(cmd::ShowRun{-1}) == "run");
  // An empty prompt bar is not worth a place in the list.
  bench.must(cmd::SetText{""});
  REQUIRE(bench.document.runs.size() == 4);
  bench.must(cmd::ShowRun{0});
  CHECK(bench.document.runs.size() == 3);
  // A run of another model.
  bench.document.runs[0].prompt = {bench.model->config().vocab};
  CHECK(bench.refused(cmd::ShowRun{0}) == "run");
}

TEST_CASE("another model takes the text again", "[command][model]") {
  Document document = make_document();
  document.text = document.run().text = "the cat";
  REQUIRE(retokenise(document, {tiny_model().get()}));
  const Document on_tiny = document;
  REQUIRE(retokenise(document, {tiny_model().get()}));
  CHECK(document == on_tiny);
  REQUIRE(apply(document, cmd::Append{5}, {tiny_model().get()}));
  REQUIRE(retokenise(document, {real_model().get()}));
  REQUIRE(document.runs.size() == 2);
  CHECK(document.runs[0].generated());
  CHECK(document.run().prompt != on_tiny.run().prompt);
  // What does not fit the new model leaves the run as it was.
  document.chat = document.run().chat = true;
  const Document before = document;
  CHECK_FALSE(retokenise(document, {tiny_model().get()}));
  CHECK(document == before);
  // The same prompt, but generated tokens that the smaller vocabulary lacks.
  Document empty = make_document();
  empty.text = empty.run().text = "";
  empty.run().prompt = {};
  RunNode node;
  node.parent = 0;
  node.token = 40000;
  empty.run().nodes.push_back(node);
  empty.run().cursor = empty.run().leaf = 1;
  REQUIRE(retokenise(empty, {tiny_model().get()}));
  CHECK(empty.run().nodes.size() == 1);
  CHECK(empty.runs.size() == 2);
}

TEST_CASE("selections are checked against what is there", "[command]") {
  Bench bench(tiny_model());
  const ModelConfig& config = bench.model->config();
  bench.must(cmd::SetText{"abc"});
  const int count = static_cast<int>(bench.document.shown_tokens().size());
  REQUIRE(count >= 2);
  bench.must(cmd::SelectPosition{1});
  CHECK(bench.document.selection.position == 1);
  bench.must(cmd::SelectPosition{999});
  CHECK(bench.document.selection.position == count - 1);
  CHECK(bench.refused(cmd::SelectPosition{-2}) == "position");
  bench.must(cmd::SelectHead{config.layer_count() - 1, config.layers.back().heads - 1});
  CHECK(bench.refused(cmd::SelectHead{config.layer_count(), 0}) == "layer");
  CHECK(bench.refused(cmd::SelectHead{0, config.layers[0].heads}) == "head");
  CHECK(bench.refused(cmd::SelectHead{-1, 0}) == "layer");
  bench.must(cmd::OpenCell{count - 1, 0});
  CHECK(bench.document.selection.cell == Cell{count - 1, 0});
  CHECK(bench.refused(cmd::OpenCell{count, 0}) == "query");
  CHECK(bench.refused(cmd::OpenCell{0, 1}) == "key");
  CHECK(bench.refused(cmd::OpenCell{0, -1}) == "query, key");
  bench.must(cmd::CloseCell{});
  CHECK_FALSE(bench.document.selection.cell);
  bench.must(cmd::SetVectorLayer{config.layer_count() - 1});
  bench.must(cmd::SetVectorLayer{-1});
  CHECK(bench.refused(cmd::SetVectorLayer{config.layer_count()}) == "layer");
  CHECK(bench.refused(cmd::SetVectorLayer{-2}) == "layer");
  bench.must(cmd::SelectPiece{3});
  bench.must(cmd::SetMergeStep{2});
  CHECK(bench.refused(cmd::SelectPiece{-2}) == "piece");
  CHECK(bench.refused(cmd::SetMergeStep{-2}) == "step");
}

TEST_CASE("edits come, go and are checked", "[command]") {
  Bench bench(tiny_model());
  bench.must(cmd::ToggleHead{1, 1});
  REQUIRE(bench.document.edits.size() == 1);
  CHECK(edit_label(bench.document.edits[0]) == "L1·H1 off");
  bench.must(cmd::ToggleHead{0, 1});
  REQUIRE(bench.document.edits.size() == 2);
  bench.must(cmd::ToggleHead{1, 1});
  REQUIRE(bench.document.edits.size() == 1);
  CHECK(bench.document.edits[0].layer == 0);
  CHECK(bench.refused(cmd::ToggleHead{99, 0}) == "layer");

  // A head that is switched off by an edit that is not enabled is on: toggling it leaves one enabled edit.
  bench.must(cmd::EnableEdit{0, false});
  CHECK_FALSE(bench.document.edits[0].enabled);
  bench.must(cmd::ToggleHead{0, 1});
  REQUIRE(bench.document.edits.size() == 1);
  CHECK(bench.document.edits[0].enabled);
  // Two of them are one.
  bench.must(cmd::AddEdit{bench.document.edits[0]});
  bench.must(cmd::ToggleHead{0, 1});
  CHECK(bench.document.edits.empty());

  Edit part;  // only at one position: not the whole head
  part.head = 1;
  part.position_begin = 0;
  part.position_end = 1;
  bench.must(cmd::AddEdit{part});
  bench.must(cmd::ToggleHead{0, 1});
  bench.must(cmd::ToggleHead{0, 1});
  CHECK(bench.document.edits == std::vector<Edit>{part});

  Edit wrong;
  wrong.layer = 99;
  CHECK(bench.refused(cmd::AddEdit{wrong}) != "accepted");
  CHECK(bench.refused(cmd::RemoveEdit{1}) == "index");
  CHECK(bench.refused(cmd::RemoveEdit{-1}) == "index");
  CHECK(bench.refused(cmd::EnableEdit{1, true}) == "index");
  bench.document.edits.push_back(wrong);  // from a document made with a larger model
  CHECK(bench.refused(cmd::EnableEdit{1, true}) != "accepted");
  bench.must(cmd::EnableEdit{1, false});
  bench.must(cmd::RemoveEdit{1});
  bench.must(cmd::ClearEdits{});
  CHECK(bench.document.edits.empty());
}

TEST_CASE("window and lessons", "[command]") {
  Bench bench(nullptr);
  for (const int stage : {0, 9, -1}) CHECK(bench.refused(cmd::SetStage{stage}) == "stage");
  for (const float scale : {0.79f, 2.51f, std::numeric_limits<float>::quiet_NaN()}) {
    CHECK(bench.refused(cmd::SetScale{scale}) == "scale");
  }
  bench.must(cmd::SetScale{0.8f});
  bench.must(cmd::SetScale{2.5f});
  CHECK(bench.refused(cmd::ShowPanel{"", true}) == "panel");
  CHECK(bench.refused(cmd::ShowPanel{std::string(300, 'x'), true}) == "panel");
  CHECK(bench.refused(cmd::ShowPanel{"\xff", true}) == "panel, byte offset 0");
  CHECK(bench.refused(cmd::SetDocking{"3", "\xff"}) == "layout, byte offset 0");
  CHECK(bench.refused(cmd::SetDocking{"3", std::string(2 << 20, 'x')}) == "layout");
  SamplerSettings sampler;
  sampler.top_p = 0;
  CHECK(bench.refused(cmd::SetSampler{sampler}) == "top_p");
  bench.must(cmd::Predict{"a", "q", "rises"});
  bench.must(cmd::ReachGoal{"a", "g"});
  CHECK(bench.document.progress.at("a").goals.contains("g"));
  CHECK(bench.document.progress.at("a").predictions.at("q") == "rises");
  bench.must(cmd::ResetLesson{"a"});
  CHECK(bench.document.progress.empty());
  CHECK(bench.refused(cmd::ReachGoal{"a", ""}) == "goal");
  bench.must(cmd::OpenLesson{""});
}

TEST_CASE("any command on any document is refused or leaves it valid", "[command][fuzz]") {
  std::mt19937 random(17);
  const auto small = [&random] { return static_cast<int>(random() % 12) - 2; };
  for (const bool with_model : {true, false}) {
    Bench bench(with_model ? tiny_model() : nullptr);
    const std::vector<Command> all = one_of_each();
    int done = 0;
    for (int round = 0; round < 4000; ++round) {
      // Other numbers in the same shape: through JSON, as a file of commands would have them.
      json value = to_json(all[random() % all.size()]);
      for (auto& item : value.items()) {
        if (item.value().is_number_integer()) item.value() = small();
        if (item.key() == "text") item.value() = std::string(random() % 6, static_cast<char>('a' + random() % 4));
      }
      const Result<Command> read = command_from_json(value);
      if (!read) continue;
      const Document before = bench.document;
      if (bench(*read)) {
        ++done;
      } else {
        REQUIRE(bench.document == before);
      }
      const Result<Document> again = document_from_json(to_json(bench.document));
      if (!again) FAIL(value.dump() + "\n" + again.error().message());
      REQUIRE(*again == bench.document);
    }
    CHECK(done > 1000);
  }
}
