// Text ↔ token ids: byte-level BPE as GPT-2, Llama 3, Qwen and SmolLM use it, read from a GGUF's metadata.
//
//   text → special tokens cut out → pieces (pretokenizer.h) → bytes → merges (bpe.h) → ids
//
// A Tokenizer is immutable and shared between threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/io/gguf.h"
#include "core/text/bpe.h"
#include "core/text/pretokenizer.h"
#include "core/text/token_index.h"

namespace glassbox {

struct Token {
  int32_t id = 0;
  uint32_t start = 0, end = 0;  // byte offsets into the input, end not included
  bool special = false;         // written out as a special token's text, and parsed as that
  friend bool operator==(const Token&, const Token&) = default;
};

// A piece of the text between pre-tokenizer and merges; a special token is a piece of its own.
struct Piece {
  uint32_t start = 0, end = 0;                // byte offsets into the input
  uint32_t first_token = 0, token_count = 0;  // its tokens among the trace's
  bool special = false;
};

struct EncodeTrace {
  std::vector<Token> tokens;
  std::vector<Piece> pieces;
};

// How one piece becomes tokens. Offsets count from the start of the piece.
struct MergeTrace {
  std::vector<Symbol> bytes;     // one a byte, before any merge; bytes without a token are left out
  std::vector<MergeStep> steps;  // in order
  std::vector<Symbol> tokens;    // the result
  bool whole_piece = false;      // the vocabulary has the piece as it is, and this tokenizer then asks for no merges
};

class Tokenizer {
 public:
  // Errors (bad_file): a key is missing or of the wrong type, another kind than "gpt2" (byte-level BPE), an unknown
  // pre-tokenizer, a merge whose parts or result are no tokens, a special id outside the vocabulary.
  static Result<Tokenizer> make_from_gguf(const Gguf& gguf);

  // Any bytes are accepted; a byte that is no UTF-8 counts as a character that is no letter (check_utf8() in unicode.h
  // tells of it). Special tokens are found in the text, longest first, unless `parse_special` is false: then control
  // tokens are plain text (tokens that the model's makers added as "user defined" are found in both cases, as in other
  // engines). No token is added at the start; see adds_bos().
  //
  // The tokens' ranges are in order and tile the text, and bytes_of() of each equals its range, with one exception: a
  // byte that the vocabulary has no token for is dropped, as the reference does (SmolLM2 lacks 21 of the 256, among
  // them 0x04 and those that no UTF-8 has). missing_bytes() lists them. Precondition: fewer than 2³² bytes.
  std::vector<Token> encode(std::string_view text, bool parse_special = true) const;
  EncodeTrace trace(std::string_view text, bool parse_special = true) const;

  // Longest piece whose merges are traced: a trace takes n² memory, and nobody reads more.
  static constexpr size_t kMaxTracedPiece = 512;
  // Error (usage): the piece is longer than kMaxTracedPiece bytes.
  Result<MergeTrace> trace_merges(std::string_view piece) const;

  // Byte offsets in `text` of bytes that have no token of their own and so are dropped.
  std::vector<uint32_t> missing_bytes(std::string_view text) const;

  int32_t vocab_size() const { return static_cast<int32_t>(tokens_.size()); }
  size_t merge_count() const { return merges_.size(); }
  // The merge with which a pair of tokens joins; rank −1 when they do not.
  Merge find_merge(int32_t left, int32_t right) const { return merges_.find(left, right); }

  // What the id stands for. Precondition of these: 0 ≤ id < vocab_size().
  std::string_view bytes_of(int32_t id) const;  // raw bytes, maybe a part of a character
  std::string text_of(int32_t id) const;        // UTF-8, with U+FFFD for bytes that are none
  bool is_special(int32_t id) const { return tokens_[static_cast<size_t>(id)].special; }  // control or user defined

  // The ids' bytes one after the other. Ids out of range give nothing.
  std::string decode(std::span<const int32_t> ids) const;

  int32_t find_id(std::string_view bytes) const;                         // of a token that is not special; −1: none
  int32_t find_special(std::string_view text) const;                     // −1: none
  std::span<const int32_t> special_ids() const { return special_ids_; }  // in order

  int32_t bos_id() const { return bos_id_; }  // −1: none, and so for the next ones
  int32_t eos_id() const { return eos_id_; }  // of a text, or of a turn in a chat model
  int32_t unknown_id() const { return unknown_id_; }
  // Ids after which generation ends: eos, and the ends of turn and message that the file names.
  std::span<const int32_t> end_ids() const { return end_ids_; }
  bool is_end(int32_t id) const;
  bool adds_bos() const { return adds_bos_; }              // the model expects bos_id() before the text
  std::string_view pre_name() const { return pre_name_; }  // as the file says, e.g. "smollm"

 private:
  friend class TokenizerBuilder;
  struct Entry {
    uint32_t start = 0, length = 0;  // in bytes_
    bool special = false;
    bool control = false;
  };
  Tokenizer() = default;

  // The special token at `at`, or −1.
  int32_t match_special(std::string_view text, size_t at, bool parse_special) const;
  void symbols_of(std::string_view text, ByteRange piece, std::vector<Symbol>& symbols) const;
  // The one token that the whole piece becomes, or −1 where it has to be merged to know.
  int32_t whole_token(std::string_view piece) const;
  bool merges_to_itself(int32_t id, std::string_view bytes) const;
  void encode_piece(std::string_view text, ByteRange piece, std::vector<Symbol>& symbols) const;
  template <class Sink>
  void encode_pieces(std::string_view text, bool parse_special, Sink&& sink) const;

  std::string bytes_;          // of all tokens, one after the other
  std::vector<Entry> tokens_;  // [V]
  std::array<int32_t, 256> byte_ids_{};
  MergeTable merges_;
  PreTokenizer pre_ = PreTokenizer::gpt2;
  std::string pre_name_;
  bool whole_pieces_ = false;  // a piece that is a token needs no merges (Llama 3)
  TokenIndex ids_;  // of the tokens that are not special
  size_t longest_ = 0;  // bytes of the longest of them
  // Most pieces are tokens, and merging nearly always finds these; whether it does is found out once a token.
  enum class Itself : uint8_t { unknown, yes, no };
  mutable std::vector<std::atomic<Itself>> itself_;  // [V]
  // Keys are copies: views into bytes_ would not survive a move of a short string.
  std::unordered_map<std::string, int32_t> specials_;
  std::vector<int32_t> special_ids_;
  std::array<bool, 256> begins_special_{};
  std::array<std::vector<int32_t>, 256> specials_by_byte_;  // by first byte, longest first
  int32_t bos_id_ = -1, eos_id_ = -1, unknown_id_ = -1;
  std::vector<int32_t> end_ids_;
  bool adds_bos_ = false;
};

}  // namespace glassbox
