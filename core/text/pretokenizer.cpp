#include "core/text/pretokenizer.h"

#include <string>

#include "core/text/unicode.h"

namespace glassbox {

namespace {

struct NamedPreTokenizer {
  std::string_view name;
  PreTokenizer kind;
};

constexpr NamedPreTokenizer kPreTokenizers[] = {
    {"smollm", PreTokenizer::smollm},    {"gpt-2", PreTokenizer::gpt2},  {"llama-bpe", PreTokenizer::llama_bpe},
    {"llama3", PreTokenizer::llama_bpe}, {"qwen2", PreTokenizer::qwen2},
};

struct Char {
  char32_t code;
  uint32_t length;
  CharClass kind;
};

class Scanner {
 public:
  // `text` ends where the scan ends: a lookahead sees nothing beyond.
  explicit Scanner(std::string_view text) : text_(text) {}

  bool done(uint32_t at) const { return at >= text_.size(); }

  Char at(uint32_t place) const {
    const Utf8Char c = decode_utf8(text_, place);
    return {c.code, c.length, c.valid ? char_class(c.code) : CharClass::other};
  }

  // The end of the run of characters of one class, at most `limit` of them.
  uint32_t run(uint32_t place, CharClass kind, uint32_t limit = UINT32_MAX) const {
    for (uint32_t n = 0; n < limit && !done(place); ++n) {
      if (const auto byte = static_cast<uint8_t>(text_[place]); byte < kAsciiClasses.size()) {
        if (kAsciiClasses[byte] != kind) break;
        ++place;
        continue;
      }
      const Char c = at(place);
      if (c.kind != kind) break;
      place += c.length;
    }
    return place;
  }

  // The end of a contraction's letters after an apostrophe at `place`; `place` itself when there is none.
  uint32_t contraction(uint32_t place, bool any_case) const {
    static constexpr std::string_view kEndings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (text_[place] != '\'') return place;
    const std::string_view rest = text_.substr(place + 1);
    for (const std::string_view ending : kEndings) {
      if (rest.size() < ending.size()) continue;
      bool same = true;
      for (size_t i = 0; i < ending.size() && same; ++i) {
        const char c = any_case && rest[i] >= 'A' && rest[i] <= 'Z' ? static_cast<char>(rest[i] + 32) : rest[i];
        same = c == ending[i];
      }
      if (same) return place + 1 + static_cast<uint32_t>(ending.size());
    }
    // Unicode folds the long s to s, and so does a pattern that ignores case.
    constexpr std::string_view kLongS = "\u017F";
    if (any_case && rest.substr(0, kLongS.size()) == kLongS) return place + 1 + static_cast<uint32_t>(kLongS.size());
    return place;
  }

  // \s+(?!\S), then \s+: a run of white space leaves its last character to what follows, unless it is the only one or
  // nothing follows.
  uint32_t white_space(uint32_t place) const {
    uint32_t end = place, last = place;
    while (!done(end)) {
      const Char c = at(end);
      if (c.kind != CharClass::space) break;
      last = end;
      end += c.length;
    }
    return done(end) || last == place ? end : last;
  }

  // \s*[\r\n]+: up to and with the last line break of a run of white space; `place` when it has none.
  uint32_t line_breaks(uint32_t place) const {
    uint32_t end = place;
    for (uint32_t i = place; !done(i);) {
      const Char c = at(i);
      if (c.kind != CharClass::space) break;
      i += c.length;
      if (is_line_break(c.code)) end = i;
    }
    return end;
  }

  static bool is_line_break(char32_t code) { return code == '\r' || code == '\n'; }

 private:
  std::string_view text_;
};

uint32_t next_gpt2(const Scanner& scan, uint32_t place) {
  if (const uint32_t end = scan.contraction(place, false); end > place) return end;
  const Char first = scan.at(place);
  if (first.kind != CharClass::space) return scan.run(place, first.kind);
  if (first.code == ' ' && !scan.done(place + 1)) {
    const CharClass after = scan.at(place + 1).kind;
    if (after != CharClass::space) return scan.run(place + 1, after);
  }
  return scan.white_space(place);
}

uint32_t next_llama_bpe(const Scanner& scan, uint32_t place, uint32_t digits) {
  if (const uint32_t end = scan.contraction(place, true); end > place) return end;
  const Char first = scan.at(place);
  if (first.kind == CharClass::letter) return scan.run(place, CharClass::letter);
  if (first.kind == CharClass::number) return scan.run(place, CharClass::number, digits);

  const uint32_t second = place + first.length;
  if (!Scanner::is_line_break(first.code)) {  // one character that is no letter sticks to the letters after it
    if (const uint32_t end = scan.run(second, CharClass::letter); end > second) return end;
  }
  const uint32_t others = first.code == ' ' ? second : place;
  if (uint32_t end = scan.run(others, CharClass::other); end > others) {
    while (!scan.done(end) && Scanner::is_line_break(scan.at(end).code)) ++end;
    return end;
  }
  if (const uint32_t end = scan.line_breaks(place); end > place) return end;
  return scan.white_space(place);
}

void scan_gpt2(std::string_view text, uint32_t from, uint32_t to, std::vector<ByteRange>& pieces) {
  const Scanner scan(text.substr(0, to));
  for (uint32_t at = from; at < to;) {
    const uint32_t end = next_gpt2(scan, at);
    pieces.push_back({at, end});
    at = end;
  }
}

void scan_smollm(std::string_view text, uint32_t from, uint32_t to, std::vector<ByteRange>& pieces) {
  const Scanner scan(text.substr(0, to));
  uint32_t start = from;  // of the stretch without numbers
  for (uint32_t at = from; at < to;) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < kAsciiClasses.size() && kAsciiClasses[byte] != CharClass::number) {
      ++at;
      continue;
    }
    const Char c = scan.at(at);
    const uint32_t end = at + c.length;
    if (c.kind == CharClass::number) {
      scan_gpt2(text, start, at, pieces);
      pieces.push_back({at, end});
      start = end;
    }
    at = end;
  }
  scan_gpt2(text, start, to, pieces);
}

void scan_llama_bpe(std::string_view text, uint32_t from, uint32_t to, uint32_t digits,
                    std::vector<ByteRange>& pieces) {
  const Scanner scan(text.substr(0, to));
  for (uint32_t at = from; at < to;) {
    const uint32_t end = next_llama_bpe(scan, at, digits);
    pieces.push_back({at, end});
    at = end;
  }
}

}  // namespace

Result<PreTokenizer> find_pre_tokenizer(std::string_view name) {
  std::string known;
  for (const NamedPreTokenizer& entry : kPreTokenizers) {
    if (entry.name == name) return entry.kind;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error{ErrorKind::bad_file, "the pre-tokenizer \"" + std::string(name) + "\" is not supported",
               "metadata \"tokenizer.ggml.pre\"", "one of " + known,
               "choose a model whose pre-tokenizer is in this list"};
}

std::vector<ByteRange> split_pieces(PreTokenizer kind, std::string_view text, uint32_t from, uint32_t to) {
  std::vector<ByteRange> pieces;
  switch (kind) {
    case PreTokenizer::gpt2:
      scan_gpt2(text, from, to, pieces);
      break;
    case PreTokenizer::smollm:
      scan_smollm(text, from, to, pieces);
      break;
    case PreTokenizer::llama_bpe:
      scan_llama_bpe(text, from, to, 3, pieces);
      break;
    case PreTokenizer::qwen2:
      scan_llama_bpe(text, from, to, 1, pieces);
      break;
  }
  return pieces;
}

}  // namespace glassbox
