#include "core/text/tokenizer.h"

#include <algorithm>

#include "core/text/unicode.h"

namespace glassbox {

int32_t Tokenizer::match_special(std::string_view text, size_t at, bool parse_special) const {
  const std::string_view rest = text.substr(at);
  for (const int32_t id : specials_by_byte_[static_cast<uint8_t>(rest[0])]) {
    if (!parse_special && tokens_[static_cast<size_t>(id)].control) continue;
    const std::string_view name = bytes_of(id);
    if (rest.substr(0, name.size()) == name) return id;
  }
  return -1;
}

void Tokenizer::symbols_of(std::string_view text, ByteRange piece, std::vector<Symbol>& symbols) const {
  symbols.clear();
  for (uint32_t i = piece.start; i < piece.end; ++i) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(text[i])];
    if (id >= 0) symbols.push_back({id, i, i + 1});
  }
}

int32_t Tokenizer::whole_token(std::string_view piece) const {
  if (piece.size() > longest_) return -1;
  const int32_t id = find_id(piece);
  return id >= 0 && (whole_pieces_ || merges_to_itself(id, piece)) ? id : -1;
}

bool Tokenizer::merges_to_itself(int32_t id, std::string_view bytes) const {
  std::atomic<Itself>& known = itself_[static_cast<size_t>(id)];
  Itself itself = known.load(std::memory_order_relaxed);
  if (itself == Itself::unknown) {
    std::vector<Symbol> symbols;
    symbols_of(bytes, {0, static_cast<uint32_t>(bytes.size())}, symbols);
    merge_symbols(merges_, symbols);
    itself = symbols.size() == 1 && symbols[0].id == id ? Itself::yes : Itself::no;
    known.store(itself, std::memory_order_relaxed);  // who else computes it finds the same
  }
  return itself == Itself::yes;
}

void Tokenizer::encode_piece(std::string_view text, ByteRange piece, std::vector<Symbol>& symbols) const {
  if (const int32_t id = whole_token(text.substr(piece.start, piece.end - piece.start)); id >= 0) {
    symbols.assign(1, {id, piece.start, piece.end});
    return;
  }
  symbols_of(text, piece, symbols);
  merge_symbols(merges_, symbols);
}

// Calls sink(range, symbols, special) for each piece in order.
template <class Sink>
void Tokenizer::encode_pieces(std::string_view text, bool parse_special, Sink&& sink) const {
  std::vector<Symbol> symbols;
  const auto plain = [&](uint32_t from, uint32_t to) {
    for (const ByteRange piece : split_pieces(pre_, text, from, to)) {
      encode_piece(text, piece, symbols);
      sink(piece, symbols, false);
    }
  };

  const auto end = static_cast<uint32_t>(text.size());
  uint32_t from = 0;  // of the stretch without special tokens
  for (uint32_t at = 0; at < end;) {
    const int32_t id = begins_special_[static_cast<uint8_t>(text[at])] ? match_special(text, at, parse_special) : -1;
    if (id < 0) {
      ++at;
      continue;
    }
    const ByteRange range{at, at + static_cast<uint32_t>(bytes_of(id).size())};
    plain(from, at);
    symbols.assign(1, {id, range.start, range.end});
    sink(range, symbols, true);
    from = at = range.end;
  }
  plain(from, end);
}

std::vector<Token> Tokenizer::encode(std::string_view text, bool parse_special) const {
  std::vector<Token> tokens;
  tokens.reserve(text.size() / 3);
  encode_pieces(text, parse_special, [&](ByteRange, const std::vector<Symbol>& symbols, bool special) {
    for (const Symbol& s : symbols) tokens.push_back({s.id, s.start, s.end, special});
  });
  return tokens;
}

EncodeTrace Tokenizer::trace(std::string_view text, bool parse_special) const {
  EncodeTrace trace;
  encode_pieces(text, parse_special, [&](ByteRange range, const std::vector<Symbol>& symbols, bool special) {
    trace.pieces.push_back({range.start, range.end, static_cast<uint32_t>(trace.tokens.size()),
                            static_cast<uint32_t>(symbols.size()), special});
    for (const Symbol& s : symbols) trace.tokens.push_back({s.id, s.start, s.end, special});
  });
  return trace;
}

Result<MergeTrace> Tokenizer::trace_merges(std::string_view piece) const {
  if (piece.size() > kMaxTracedPiece) {
    return Error{ErrorKind::usage,
                 "the piece is too long to show its merges: " + std::to_string(piece.size()) + " bytes", "",
                 "at most " + std::to_string(kMaxTracedPiece) + " bytes", "choose a shorter piece"};
  }
  MergeTrace trace;
  const ByteRange range{0, static_cast<uint32_t>(piece.size())};
  symbols_of(piece, range, trace.bytes);
  const int32_t whole = whole_pieces_ ? find_id(piece) : -1;
  trace.whole_piece = whole >= 0;
  if (trace.whole_piece) {
    trace.tokens = {{whole, range.start, range.end}};
    return trace;
  }
  trace.steps = trace_merge_steps(merges_, trace.bytes);
  trace.tokens = trace.steps.empty() ? trace.bytes : trace.steps.back().symbols;
  return trace;
}

std::vector<uint32_t> Tokenizer::missing_bytes(std::string_view text) const {
  std::vector<uint32_t> offsets;
  for (uint32_t i = 0; i < text.size(); ++i) {
    if (byte_ids_[static_cast<uint8_t>(text[i])] < 0) offsets.push_back(i);
  }
  return offsets;
}

std::string_view Tokenizer::bytes_of(int32_t id) const {
  const Entry& entry = tokens_[static_cast<size_t>(id)];
  return {bytes_.data() + entry.start, entry.length};
}

std::string Tokenizer::text_of(int32_t id) const {
  return replace_invalid_utf8(bytes_of(id));
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size()) out += bytes_of(id);
  }
  return out;
}

int32_t Tokenizer::find_id(std::string_view bytes) const {
  return ids_.find(bytes, [this](int32_t id) { return bytes_of(id); });
}

int32_t Tokenizer::find_special(std::string_view text) const {
  const auto found = specials_.find(std::string(text));
  return found == specials_.end() ? -1 : found->second;
}

bool Tokenizer::is_end(int32_t id) const {
  return std::find(end_ids_.begin(), end_ids_.end(), id) != end_ids_.end();
}

}  // namespace glassbox
