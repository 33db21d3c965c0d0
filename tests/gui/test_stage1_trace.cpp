// What stage 1 shows, before anything is drawn: text, pieces, tokens and merges. The expected ids, pieces and ranks were
// made with PyPI's `tokenizers` from the default model's vocabulary and merges.
#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <string>
#include <vector>

#include "app/panels/stage1_parts.h"
#include "app/panels/stage1_trace.h"
#include "core/run/prompt.h"
#include "tests/support/model_path.h"

namespace glassbox {
namespace {

std::shared_ptr<const Model> load() {
  static const std::shared_ptr<const Model> model = [] {
    auto loaded = Model::load(test::model_path());
    if (!loaded) FAIL(loaded.error().message());
    return loaded.take();
  }();
  return model;
}

Document document_of(const Model& model, const std::string& text, bool chat = false, bool literal = false) {
  Document document = make_document();
  const CommandContext context{&model};
  REQUIRE(apply(document, cmd::SetLiteral{literal}, context).ok());
  REQUIRE(apply(document, cmd::SetText{text}, context).ok());
  REQUIRE(apply(document, cmd::SetChat{chat}, context).ok());
  return document;
}

// Tokens and pieces hang together, whatever the text.
void check_whole(const Model& model, const TextTrace& trace, const Document& document) {
  const std::vector<int32_t> ids = document.shown_tokens();
  REQUIRE(trace.tokens.size() == ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(trace.tokens[i].id == ids[i]);
    CHECK(trace.bytes(trace.tokens[i].start, trace.tokens[i].end) == model.tokenizer().bytes_of(ids[i]));
  }
  uint32_t at = 0;
  for (size_t p = 0; p < trace.pieces.size(); ++p) {
    CHECK(trace.pieces[p].start == at);
    at = trace.pieces[p].end;
    for (uint32_t t = 0; t < trace.pieces[p].token_count; ++t)
      CHECK(trace.tokens[trace.pieces[p].first_token + t].piece == static_cast<int32_t>(p));
  }
  CHECK(at == trace.prompt_bytes);
}

constexpr const char* kPrompt = "Strawberry has 3 r's. Das Frühstück ist um 07:45 — 草莓 🍓 unbelievability";

TEST_CASE("without a selection the last piece with something to merge is shown") {
  const auto model = load();
  const auto chosen = [&](const std::string& text, bool chat, int selected) {
    const TextTrace trace = make_text_trace(*model, document_of(*model, text, chat).run());
    const int piece = chosen_piece(trace.pieces, selected);
    if (piece < 0) return std::string("none");
    return std::string(trace.bytes(trace.pieces[static_cast<size_t>(piece)].start, trace.pieces[static_cast<size_t>(piece)].end));
  };
  CHECK(chosen("Hello there.", false, -1) == " there");
  CHECK(chosen("Hello there.", false, 2) == ".");
  CHECK(chosen("Hello there.", false, 9) == ".");
  CHECK(chosen("Hello", true, -1) == "assistant");
  CHECK(chosen("a<|im_end|>", false, -1) == "<|im_end|>");  // nothing to merge in either
  CHECK(chosen("", false, -1) == "none");
}

TEST_CASE("the trace holds the tokens, pieces and split characters of a text") {
  const auto model = load();
  const Document document = document_of(*model, kPrompt);
  const TextTrace trace = make_text_trace(*model, document.run());
  check_whole(*model, trace, document);
  CHECK(trace.tokens.size() == 36);
  CHECK(trace.text.size() == 82);
  CHECK(trace.characters == 71);
  CHECK(trace.pieces.size() == 21);
  CHECK(trace.tokens[0].id == 1393);
  CHECK(trace.tokens[2].id == 9500);

  REQUIRE(trace.splits.size() == 3);
  CHECK(trace.splits[0].text == "草");
  CHECK(trace.splits[1].text == "莓");
  CHECK(trace.splits[2].text == "🍓");
  for (const SplitCharacters& split : trace.splits) {
    CHECK(split.count == 1);
    CHECK(split.last - split.first == 2);
    CHECK(trace.find_split(split.first) == &split);
    CHECK(trace.find_split(split.last) == &split);
  }
  CHECK(trace.find_split(0) == nullptr);
  CHECK(trace.find_split(35) == nullptr);
}

TEST_CASE("special tokens are pieces of their own, unless the text is literal") {
  const auto model = load();
  const std::string text = "one<|im_start|>two";
  const Document parsed = document_of(*model, text);
  const TextTrace trace = make_text_trace(*model, parsed.run());
  check_whole(*model, trace, parsed);
  REQUIRE(trace.pieces.size() == 3);
  CHECK_FALSE(trace.pieces[0].special);
  CHECK(trace.pieces[1].special);
  CHECK(trace.tokens[trace.pieces[1].first_token].special);
  CHECK(make_piece_merges(model->tokenizer(), trace, 1).special);
  CHECK_FALSE(make_piece_merges(model->tokenizer(), trace, 1).merges);

  const Document literal = document_of(*model, text, false, true);
  const TextTrace plain = make_text_trace(*model, literal.run());
  check_whole(*model, plain, literal);
  for (const Piece& piece : plain.pieces) CHECK_FALSE(piece.special);
  CHECK(plain.tokens.size() > trace.tokens.size());
}

TEST_CASE("a chat is traced as the template wraps it, and its message has no control tokens") {
  const auto model = load();
  const Document document = document_of(*model, "Hi <|im_end|> 草", true);
  const TextTrace trace = make_text_trace(*model, document.run());
  check_whole(*model, trace, document);
  size_t special = 0;
  for (const ShownToken& token : trace.tokens) special += token.special;
  CHECK(special == 5);  // system, user and assistant begin, system and user end
  CHECK(trace.text.find("Hi <|im_end|> 草") != std::string::npos);
  REQUIRE_FALSE(trace.pieces.empty());
  CHECK(trace.pieces.front().special);
}

TEST_CASE("tokens after the prompt have no piece") {
  const auto model = load();
  Document document = document_of(*model, "The capital of France is");
  const CommandContext context{model.get()};
  REQUIRE(apply(document, cmd::Append{7042, 0.5, 0.7f, false}, context).ok());
  REQUIRE(apply(document, cmd::Append{30, 0.5, 0.4f, false}, context).ok());
  const TextTrace trace = make_text_trace(*model, document.run());
  check_whole(*model, trace, document);
  REQUIRE(trace.tokens.size() == 7);
  CHECK_FALSE(trace.tokens[4].generated);
  CHECK(trace.tokens[5].generated);
  CHECK(trace.tokens[5].piece == -1);
  CHECK(trace.text == "The capital of France is Paris.");
  CHECK(trace.prompt_bytes == 24);
}

TEST_CASE("ids that are not those of the text leave no pieces to show") {
  const auto model = load();
  Document document = document_of(*model, "two words");
  document.run().prompt.push_back(7042);
  document.run().prompt.push_back(7042);
  const TextTrace trace = make_text_trace(*model, document.run());
  CHECK(trace.pieces.empty());
  CHECK(trace.tokens.size() == document.run().prompt.size());
  CHECK(trace.text == "two words Paris Paris");
}

TEST_CASE("the merges of a piece go from its bytes to its tokens by rank") {
  const auto model = load();
  const Document document = document_of(*model, kPrompt);
  const TextTrace trace = make_text_trace(*model, document.run());
  const PieceMerges merges = make_piece_merges(model->tokenizer(), trace, static_cast<int>(trace.pieces.size()) - 1);
  CHECK(merges.bytes == " unbelievability");
  REQUIRE(merges.merges);
  REQUIRE(merges.steps() == 13);
  const std::vector<int> ranks = {17, 47, 49, 74, 117, 131, 267, 299, 531, 1055, 8898, 23030, 33030};
  for (int step = 1; step <= 13; ++step) CHECK(merges.merges->steps[static_cast<size_t>(step - 1)].merge.rank == ranks[static_cast<size_t>(step - 1)]);
  CHECK(merges.symbols_after(0).size() == 16);
  const std::vector<Symbol>& last = merges.symbols_after(13);
  REQUIRE(last.size() == 3);
  CHECK(last[0].id == 33282);
  CHECK(last[1].id == 102);
  CHECK(last[2].id == 1307);
  // The last row wears the colours of the chips, so it must know which tokens it is.
  for (size_t i = 0; i < last.size(); ++i) CHECK(trace.tokens[static_cast<size_t>(merges.first_token) + i].id == last[i].id);
  // The race at step 9: seven pairs, four of them in the list; the last wins.
  const MergeStep& race = merges.merges->steps[8];
  REQUIRE(race.pairs.size() == 7);
  CHECK(race.left == 6);
  CHECK(race.pairs[0].rank == -1);
  CHECK(race.pairs[1].rank == 8898);
  CHECK(race.pairs[3].rank == 31189);
  CHECK(race.pairs[5].rank == 7822);
}

TEST_CASE("a piece too long to trace says so and stalls nothing") {
  const auto model = load();
  const Document document = document_of(*model, std::string(20000, 'a'));
  const TextTrace trace = make_text_trace(*model, document.run());
  check_whole(*model, trace, document);
  REQUIRE(trace.pieces.size() == 1);
  const PieceMerges merges = make_piece_merges(model->tokenizer(), trace, 0);
  CHECK_FALSE(merges.merges);
  CHECK_FALSE(merges.special);
  CHECK(merges.steps() == 0);
}

TEST_CASE("bytes without a token are counted") {
  const auto model = load();
  const Document document = document_of(*model, std::string("a\x04" "b"));
  const TextTrace trace = make_text_trace(*model, document.run());
  REQUIRE(trace.dropped.size() == 1);
  CHECK(trace.dropped[0] == 1);
  CHECK(trace.text.size() == 3);
}

TEST_CASE("things that belong together stay in one line when one can hold them") {
  FlowLayout flow(100, 10);
  std::vector<FlowLayout::Place> places;
  flow.add(60, places);
  flow.add_together({20, 20}, places);  // 50 more would not fit behind 60 + 10
  flow.add(40, places);
  flow.add_together({60, 60}, places);  // longer than any line: cut where it must be
  REQUIRE(places.size() == 6);
  CHECK(places[0].line == 0);
  CHECK(places[1].line == 1);
  CHECK(places[1].x == 0);
  CHECK(places[2].line == 1);
  CHECK(places[2].x == 30);
  CHECK(places[3].line == 1);
  CHECK(places[3].x == 60);
  CHECK(places[4].line == 2);
  CHECK(places[5].line == 3);
}

TEST_CASE("bytes are written in hexadecimal") {
  CHECK(hex_bytes("草") == "e8 8d 89");
  CHECK(hex_bytes("").empty());
}

}  // namespace
}  // namespace glassbox
