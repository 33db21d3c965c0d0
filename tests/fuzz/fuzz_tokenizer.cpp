// Any bytes as text, for each pre-tokenizer: ranges tile the text and equal their tokens' bytes, decoding gives the
// text back, traces agree with the encoding, and streams with the whole. Traps on a broken promise.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/detokenizer.h"
#include "core/text/tokenizer.h"
#include "tests/support/gguf_writer.h"

using namespace glassbox;

namespace {

void require(bool promise) {
  if (!promise) __builtin_trap();
}

Tokenizer make(const char* pre) {
  test::GgufWriter writer;
  test::add_tiny_tokenizer(writer, pre);
  const std::string file = writer.finish();
  auto gguf = Gguf::parse(test::as_bytes(file), "fuzz.gguf");
  require(gguf.ok());
  auto tokenizer = Tokenizer::make_from_gguf(*gguf);
  require(tokenizer.ok());
  return tokenizer.take();
}

void check(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const EncodeTrace trace = tokenizer.trace(text, parse_special);
  require(trace.tokens == tokenizer.encode(text, parse_special));

  Detokenizer stream(tokenizer);
  std::string decoded, streamed;
  uint32_t at = 0;
  for (const Token& token : trace.tokens) {
    require(token.start == at && token.end > at && token.end <= text.size());
    require(tokenizer.bytes_of(token.id) == text.substr(token.start, token.end - token.start));
    at = token.end;
    decoded += tokenizer.bytes_of(token.id);
    const std::string now = stream.push(token.id);
    require(find_invalid_utf8(now) == now.size());
    streamed += now;
  }
  require(at == text.size() && decoded == text);
  require(streamed + stream.flush() == replace_invalid_utf8(text));

  at = 0;
  for (const Piece& piece : trace.pieces) {
    require(piece.start == at && piece.end > at);
    at = piece.end;
    if (piece.special || piece.end - piece.start > 64) continue;  // a merge trace is quadratic
    const auto merges = tokenizer.trace_merges(text.substr(piece.start, piece.end - piece.start));
    require(merges.ok() && merges->tokens.size() == piece.token_count);
    for (uint32_t i = 0; i < piece.token_count; ++i) {
      require(merges->tokens[i].id == trace.tokens[piece.first_token + i].id);
    }
  }
  require(at == text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::array<Tokenizer, 4> kTokenizers{make("smollm"), make("gpt-2"), make("llama-bpe"), make("qwen2")};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : kTokenizers) {
    check(tokenizer, text, true);
    check(tokenizer, text, false);
  }
  return 0;
}
