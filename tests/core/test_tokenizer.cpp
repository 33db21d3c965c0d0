// Ids and pieces against PyPI's `tokenizers` (tests/golden/make_tokens.py) on the default model's vocabulary.
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/text/detokenizer.h"
#include "core/text/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_path.h"

using namespace glassbox;
using nlohmann::json;

namespace {

json read_json(const std::string& name) {
  std::ifstream file(std::string(GLASSBOX_SOURCE_DIR "/tests/golden/") + name);
  REQUIRE(file);
  return json::parse(file);
}

// Loaded once: the tests share it as the program's threads do.
const Tokenizer& smollm() {
  static const Tokenizer tokenizer = [] {
    auto gguf = Gguf::load(test::model_path());
    if (!gguf) FAIL(gguf.error().message());
    auto made = Tokenizer::make_from_gguf(*gguf);
    if (!made) FAIL(made.error().message());
    return made.take();
  }();
  return tokenizer;
}

Tokenizer tiny(const std::string& pre = "smollm") {
  test::GgufWriter writer;
  test::add_tiny_tokenizer(writer, pre);
  const std::string file = writer.finish();
  auto gguf = Gguf::parse(test::as_bytes(file), "tiny.gguf");
  REQUIRE(gguf);
  auto made = Tokenizer::make_from_gguf(*gguf);
  if (!made) FAIL(made.error().message());
  return made.take();
}

std::vector<int32_t> ids_of(const std::vector<Token>& tokens) {
  std::vector<int32_t> ids;
  for (const Token& token : tokens) ids.push_back(token.id);
  return ids;
}

// For each byte offset the index of the character it lies in; one more entry for the end.
std::vector<uint32_t> char_index(const std::string& text) {
  std::vector<uint32_t> index;
  uint32_t n = 0;
  for (size_t at = 0; at < text.size(); ++n) {
    const uint32_t length = decode_utf8(text, at).length;
    index.insert(index.end(), length, n);
    at += length;
  }
  index.push_back(n);
  return index;
}

// In order, tiling the text, each equal to its bytes.
void check_ranges(const Tokenizer& tokenizer, const std::string& text, const std::vector<Token>& tokens) {
  uint32_t at = 0;
  for (const Token& token : tokens) {
    REQUIRE(token.start == at);
    REQUIRE(token.end > token.start);
    REQUIRE(tokenizer.bytes_of(token.id) == std::string_view(text).substr(token.start, token.end - token.start));
    at = token.end;
  }
  REQUIRE(at == text.size());
}

}  // namespace

TEST_CASE("ids and places equal the golden ones", "[golden][model]") {
  const json golden = read_json("tokens.json");
  REQUIRE(golden.size() >= 400);
  size_t lossless = 0;
  for (const json& entry : golden) {
    const std::string text = entry["text"];
    CAPTURE(text);
    const std::vector<Token> tokens = smollm().encode(text);
    REQUIRE(ids_of(tokens) == entry["ids"].get<std::vector<int32_t>>());
    const std::vector<Token> literal = smollm().encode(text, false);
    REQUIRE(ids_of(literal) ==
            (entry.contains("literal") ? entry["literal"] : entry["ids"]).get<std::vector<int32_t>>());

    if (smollm().missing_bytes(text).empty()) {
      ++lossless;
      const std::vector<uint32_t> chars = char_index(text);
      for (size_t i = 0; i < tokens.size(); ++i) {
        REQUIRE(chars[tokens[i].start] == entry["chars"][2 * i]);
        REQUIRE(chars[tokens[i].end - 1] + 1 == entry["chars"][2 * i + 1]);
      }
      check_ranges(smollm(), text, tokens);
      check_ranges(smollm(), text, literal);
      REQUIRE(smollm().decode(ids_of(tokens)) == text);
      Detokenizer stream(smollm());
      std::string out;
      for (const Token& token : tokens) {
        const std::string now = stream.push(token.id);
        REQUIRE(find_invalid_utf8(now) == now.size());
        out += now;
      }
      REQUIRE(out + stream.flush() == text);
    }
  }
  CHECK(lossless > golden.size() - 20);
}

TEST_CASE("pieces equal the golden ones under every pre-tokenizer", "[golden]") {
  const json golden = read_json("pieces.json");
  REQUIRE(golden.size() >= 400);
  for (const char* name : {"smollm", "gpt-2", "llama-bpe", "qwen2"}) {
    auto kind = find_pre_tokenizer(name);
    REQUIRE(kind);
    for (const json& entry : golden) {
      const std::string text = entry["text"];
      CAPTURE(name, text);
      std::vector<uint32_t> lengths;
      for (const ByteRange piece : split_pieces(*kind, text, 0, static_cast<uint32_t>(text.size()))) {
        lengths.push_back(piece.end - piece.start);
      }
      REQUIRE(lengths == entry[name].get<std::vector<uint32_t>>());
    }
  }
  auto unknown = find_pre_tokenizer("mystery");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::bad_file);
  CHECK(unknown.error().expected.find("smollm") != std::string::npos);
}

TEST_CASE("a trace agrees with the encoding", "[golden][model]") {
  for (const json& entry : read_json("tokens.json")) {
    const std::string text = entry["text"];
    CAPTURE(text);
    const EncodeTrace trace = smollm().trace(text);
    REQUIRE(trace.tokens == smollm().encode(text));
    uint32_t at = 0, token = 0;
    for (const Piece& piece : trace.pieces) {
      REQUIRE(piece.start == at);
      REQUIRE(piece.first_token == token);
      at = piece.end;
      token += piece.token_count;
      if (piece.special) {
        REQUIRE(piece.token_count == 1);
        REQUIRE(trace.tokens[piece.first_token].special);
        continue;
      }
      const std::string_view bytes = std::string_view(text).substr(piece.start, piece.end - piece.start);
      const MergeTrace merges = *smollm().trace_merges(bytes);
      REQUIRE(merges.tokens.size() == piece.token_count);
      for (uint32_t i = 0; i < piece.token_count; ++i) {
        const Token& expected = trace.tokens[piece.first_token + i];
        REQUIRE(merges.tokens[i] == Symbol{expected.id, expected.start - piece.start, expected.end - piece.start});
      }
    }
    REQUIRE(at == text.size());
    REQUIRE(token == trace.tokens.size());
  }
}

TEST_CASE("merge steps show the pairs that compete and the one that wins", "[model]") {
  const MergeTrace trace = *smollm().trace_merges(" tokenization");
  REQUIRE_FALSE(trace.whole_piece);
  REQUIRE(trace.bytes.size() == 13);
  std::vector<Symbol> symbols = trace.bytes;
  for (const MergeStep& step : trace.steps) {
    REQUIRE(step.pairs.size() == symbols.size() - 1);
    for (size_t i = 0; i < step.pairs.size(); ++i) {
      const Merge pair = smollm().find_merge(symbols[i].id, symbols[i + 1].id);
      CHECK(step.pairs[i].rank == pair.rank);
      // Nothing better stood to the left of the winner, nor anything strictly better to its right.
      if (pair.rank >= 0) CHECK((pair.rank > step.merge.rank || i >= step.left));
    }
    CHECK(step.pairs[step.left].rank == step.merge.rank);
    CHECK(step.pairs[step.left].id == step.merge.id);
    const std::string joined = std::string(smollm().bytes_of(symbols[step.left].id)) +
                               std::string(smollm().bytes_of(symbols[step.left + 1].id));
    CHECK(smollm().bytes_of(step.merge.id) == joined);
    CHECK(step.symbols.size() == symbols.size() - 1);
    symbols = step.symbols;
  }
  CHECK(symbols == trace.tokens);
  CHECK(trace.tokens.size() + trace.steps.size() == trace.bytes.size());

  CHECK(smollm().trace_merges(std::string(Tokenizer::kMaxTracedPiece, 'a')));
  auto longer = smollm().trace_merges(std::string(Tokenizer::kMaxTracedPiece + 1, 'a'));
  REQUIRE_FALSE(longer);
  CHECK(longer.error().kind == ErrorKind::usage);
  CHECK(smollm().trace_merges("")->tokens.empty());
}

TEST_CASE("the vocabulary of the default model", "[model]") {
  const Tokenizer& t = smollm();
  CHECK(t.vocab_size() == 49152);
  CHECK(t.merge_count() == 48900);
  CHECK(t.pre_name() == "smollm");
  CHECK(t.bos_id() == 1);
  CHECK(t.eos_id() == 2);
  CHECK(t.unknown_id() == 0);
  CHECK(t.is_end(2));
  CHECK_FALSE(t.is_end(0));
  CHECK_FALSE(t.adds_bos());
  CHECK(t.special_ids().size() == 17);
  CHECK(t.find_special("<|im_start|>") == 1);
  CHECK(t.find_special("the") == -1);
  CHECK(t.is_special(16));
  CHECK_FALSE(t.is_special(17));
  CHECK(t.bytes_of(t.find_id(" the")) == " the");
  CHECK(t.find_id("<|im_start|>") == -1);
  CHECK(t.find_id("no such token at all") == -1);
  CHECK(t.text_of(1) == "<|im_start|>");
  CHECK(t.decode(std::vector<int32_t>{-1, 49152, t.find_id("a")}) == "a");

  int missing = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    missing += !t.missing_bytes(text).empty();
    CHECK(t.missing_bytes(text).empty() == (t.find_id(text) >= 0));
  }
  CHECK(missing == 21);
  CHECK(t.missing_bytes("a\x04z\x06") == std::vector<uint32_t>{1, 3});
}

TEST_CASE("bytes that are no UTF-8 keep their places") {
  const Tokenizer t = tiny();  // it has a token for each byte
  std::string all;
  for (int byte = 255; byte >= 0; --byte) all += static_cast<char>(byte);
  for (const std::string& text : {std::string("a\xff\xfe z"), std::string("\xe4\xb8"), std::string("\xc3(\xa9"), all,
                                  std::string("the\x80the"), std::string("1\x80\x31"), std::string("\xf0\x9f\x98")}) {
    const std::vector<Token> tokens = t.encode(text);
    check_ranges(t, text, tokens);
    CHECK(t.decode(ids_of(tokens)) == text);
    for (const Token& token : tokens) {
      const std::string shown = t.text_of(token.id);
      CHECK(find_invalid_utf8(shown) == shown.size());
    }
  }
  // No letter: it parts words.
  CHECK(t.trace("the\x80the").pieces.size() == 3);
}

TEST_CASE("special tokens: the longest wins, and only where they may") {
  const Tokenizer t = tiny();
  const auto ids = [&](const std::string& text, bool special) { return ids_of(t.encode(text, special)); };
  CHECK(ids("<|end|>", true) == std::vector<int32_t>{0});
  CHECK(ids("<|end|>er", true) == std::vector<int32_t>{1});
  CHECK(ids("<tag>", true) == std::vector<int32_t>{2});
  CHECK(ids("<tag>", false) == std::vector<int32_t>{2});  // user defined: part of ordinary text
  CHECK(ids("<|end|>", false).size() == 7);
  for (const int32_t id : ids("x<|end|>er<|end|>", false)) CHECK_FALSE(t.is_special(id));
  const std::vector<Token> tokens = t.encode("a<|end|>a");
  REQUIRE(tokens.size() == 3);
  CHECK(tokens[1] == Token{0, 1, 8, true});
  CHECK_FALSE(tokens[0].special);
  CHECK(ids("<<|end|>", true).size() == 2);
  CHECK(ids("", true).empty());
}

TEST_CASE("Llama 3 takes a piece that is a token without merging") {
  // "ther" is a token, but by the ranks t and h join first, and then nothing leads to it.
  const Tokenizer merged = tiny("gpt-2"), whole = tiny("llama-bpe");
  const int32_t id = whole.find_id("ther");
  REQUIRE(id >= 0);
  CHECK(ids_of(whole.encode("ther")) == std::vector<int32_t>{id});
  CHECK(whole.trace_merges("ther")->whole_piece);
  CHECK(ids_of(merged.encode("ther")) == std::vector<int32_t>{merged.find_id("the"), merged.find_id("r")});
  CHECK_FALSE(merged.trace_merges("ther")->whole_piece);
}

TEST_CASE("long texts take no longer than their length", "[model]") {
  using Clock = std::chrono::steady_clock;
  const size_t mebibyte = size_t{1} << 20;
  // A quadratic way would take minutes; the bound leaves room for a slow machine and a sanitizer.
  const auto limit = std::chrono::seconds(20);
  for (const char c : {'a', ' ', '<', '1', '\n', '\x80'}) {
    CAPTURE(static_cast<int>(c));
    const std::string text(mebibyte, c);
    const auto start = Clock::now();
    const std::vector<Token> tokens = smollm().encode(text);
    CHECK(Clock::now() - start < limit);
    CHECK(smollm().decode(ids_of(tokens)) == text);
  }
}

TEST_CASE("a vocabulary that lies is refused") {
  const auto error = [](const test::GgufWriter& writer) {
    const std::string file = writer.finish();
    auto gguf = Gguf::parse(test::as_bytes(file), "bad.gguf");
    REQUIRE(gguf);
    auto made = Tokenizer::make_from_gguf(*gguf);
    REQUIRE_FALSE(made);
    CHECK(made.error().kind == ErrorKind::bad_file);
    CHECK(made.error().where.find("bad.gguf") == 0);
    return made.error().message();
  };
  const auto contains = [](const std::string& text, const char* words) {
    return text.find(words) != std::string::npos;
  };
  const auto writer = [](const char* model, const char* pre, const std::vector<std::string>& tokens,
                         const std::vector<int32_t>& types, const std::vector<std::string>& merges) {
    test::GgufWriter w;
    w.add_string("tokenizer.ggml.model", model);
    w.add_string("tokenizer.ggml.pre", pre);
    w.add_strings("tokenizer.ggml.tokens", tokens);
    w.add_numbers("tokenizer.ggml.token_type", GgufType::i32, types);
    w.add_strings("tokenizer.ggml.merges", merges);
    return w;
  };
  CHECK(contains(error(test::GgufWriter()), "tokenizer.ggml.model"));
  CHECK(contains(error(writer("llama", "smollm", {"a"}, {1}, {})), "\"llama\""));
  CHECK(contains(error(writer("gpt2", "mystery", {"a"}, {1}, {})), "mystery"));
  CHECK(contains(error(writer("gpt2", "smollm", {}, {}, {})), "0 tokens"));
  CHECK(contains(error(writer("gpt2", "smollm", {"a", "b"}, {1}, {})), "1 token types for 2 tokens"));
  for (const char* merge : {"a c", "ab", "a ", " a", "", "a b"}) {
    CAPTURE(merge);
    CHECK(contains(error(writer("gpt2", "smollm", {"a", "b"}, {1, 1}, {merge})), "merge 0"));
  }
  test::GgufWriter outside = writer("gpt2", "smollm", {"a"}, {1}, {});
  outside.add_u32("tokenizer.ggml.eos_token_id", 1);
  CHECK(contains(error(outside), "outside the vocabulary"));
}
