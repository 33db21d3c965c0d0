// A Tokenizer out of a GGUF's metadata: `tokenizer.ggml.*`.
#include <algorithm>

#include "core/text/tokenizer.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

// The numbers of `tokenizer.ggml.token_type` (llama.h, enum llama_token_type).
enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// GPT-2 writes each byte of a token as one visible character: the bytes that Latin-1 shows as visible characters stand
// for themselves, the other 68 follow from U+0100 on in order (so the space is U+0120, Ġ).
bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t kFirstOther = 0x100;

class ByteAlphabet {
 public:
  ByteAlphabet() {
    byte_of_.fill(-1);
    char32_t next = kFirstOther;
    for (int byte = 0; byte < 256; ++byte) {
      byte_of_[stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++] = byte;
    }
  }

  // The bytes that a token's text stands for. False when a character stands for none; then `out` is the text itself.
  bool decode(std::string_view text, std::string& out) const {
    out.clear();
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = decode_utf8(text, at);
      if (!c.valid || c.code >= byte_of_.size() || byte_of_[c.code] < 0) {
        out = text;
        return false;
      }
      out += static_cast<char>(byte_of_[c.code]);
      at += c.length;
    }
    return true;
  }

 private:
  std::array<int, kFirstOther + 68> byte_of_;
};

}  // namespace

class TokenizerBuilder {
 public:
  explicit TokenizerBuilder(const Gguf& gguf) : gguf_(gguf) {}

  Result<Tokenizer> build() {
    if (auto r = read_kind(); !r) return r.error();
    if (auto r = read_tokens(); !r) return r.error();
    if (auto r = read_merges(); !r) return r.error();
    if (auto r = read_ids(); !r) return r.error();
    index_specials();
    return std::move(out_);
  }

 private:
  Error error(std::string what, const std::string& key, std::string expected) const {
    return Error{ErrorKind::bad_file, std::move(what), gguf_.path() + ", metadata \"" + key + "\"", std::move(expected),
                 "convert the model again with a current converter, or choose another file"};
  }

  Result<void> read_kind() {
    auto kind = gguf_.string("tokenizer.ggml.model");
    if (!kind) return kind.error();
    if (*kind != "gpt2") {
      return error("the tokenizer is of the kind \"" + std::string(*kind) + "\", which is not supported",
                   "tokenizer.ggml.model", "\"gpt2\" (byte-level BPE)");
    }
    auto pre = gguf_.string("tokenizer.ggml.pre");
    if (!pre) return pre.error();
    auto found = find_pre_tokenizer(*pre);
    if (!found) {
      Error unknown = found.error();
      unknown.where = gguf_.path() + ", " + unknown.where;
      return unknown;
    }
    out_.pre_ = *found;
    out_.pre_name_ = *pre;
    out_.whole_pieces_ = *found == PreTokenizer::llama_bpe;  // "ignore_merges" in Llama 3's tokenizer.json
    return {};
  }

  Result<void> read_tokens() {
    auto texts = gguf_.strings("tokenizer.ggml.tokens");
    if (!texts) return texts.error();
    if (texts->empty() || texts->size() > INT32_MAX) {
      return error("the vocabulary has " + std::to_string(texts->size()) + " tokens", "tokenizer.ggml.tokens",
                   "1 to 2147483647 tokens");
    }
    auto types = gguf_.i32_array("tokenizer.ggml.token_type");
    if (!types) return types.error();
    if (types->size() != texts->size()) {
      return error(std::to_string(types->size()) + " token types for " + std::to_string(texts->size()) + " tokens",
                   "tokenizer.ggml.token_type", "one type a token");
    }
    out_.byte_ids_.fill(-1);
    out_.tokens_.reserve(texts->size());
    out_.ids_ = TokenIndex(texts->size());
    out_.itself_ = std::vector<std::atomic<Tokenizer::Itself>>(texts->size());
    for (size_t i = 0; i < texts->size(); ++i) add_token(static_cast<int32_t>(i), (*texts)[i], (*types)[i]);
    if (out_.bytes_.size() > UINT32_MAX) {
      return error("the vocabulary's tokens are too long together", "tokenizer.ggml.tokens", "less than 4 GiB");
    }
    return {};
  }

  void add_token(int32_t id, std::string_view text, int32_t type) {
    Tokenizer::Entry entry;
    entry.control = type == kControl || type == kUnknown;
    entry.special = entry.control || type == kUserDefined;
    std::string bytes(text);  // special tokens are written as they are
    const bool plain = !entry.special && alphabet_.decode(text, bytes);
    if (entry.special && !text.empty()) {
      out_.specials_.insert_or_assign(bytes, id);
      out_.special_ids_.push_back(id);
    }
    entry.start = static_cast<uint32_t>(out_.bytes_.size());
    entry.length = static_cast<uint32_t>(bytes.size());
    out_.bytes_ += bytes;
    out_.tokens_.push_back(entry);
    if (!plain) return;
    if (bytes.size() == 1) out_.byte_ids_[static_cast<uint8_t>(bytes[0])] = id;
    out_.ids_.add(bytes, id, [this](int32_t known) { return out_.bytes_of(known); });
    out_.longest_ = std::max(out_.longest_, bytes.size());
  }

  Result<void> read_merges() {
    constexpr const char* kKey = "tokenizer.ggml.merges";
    auto lines = gguf_.strings(kKey);
    if (!lines) return lines.error();
    if (lines->size() > INT32_MAX) return error("too many merges", kKey, "at most 2147483647");
    out_.merges_ = MergeTable(lines->size());
    for (size_t rank = 0; rank < lines->size(); ++rank) {
      const std::string_view line = (*lines)[rank];
      const size_t space = line.find(' ');
      std::string left, right;
      const bool two = space != std::string_view::npos && space > 0 && space + 1 < line.size() &&
                       alphabet_.decode(line.substr(0, space), left) && alphabet_.decode(line.substr(space + 1), right);
      const int32_t left_id = two ? out_.find_id(left) : -1;
      const int32_t right_id = two ? out_.find_id(right) : -1;
      const int32_t merged = two ? out_.find_id(left + right) : -1;
      if (left_id < 0 || right_id < 0 || merged < 0) {
        return error(
            "merge " + std::to_string(rank) + ", \"" + replace_invalid_utf8(line.substr(0, 80)) + "\", joins no tokens",
            kKey, "two tokens and a space between them, which together are a token too");
      }
      out_.merges_.add(left_id, right_id, {static_cast<int32_t>(rank), merged});
    }
    return {};
  }

  Result<void> read_id(const std::string& key, int32_t& id) const {
    auto found = gguf_.find_u32(key);
    if (!found) return found.error();
    // A file that has no such token may say so with −1, which is 2³² − 1 here.
    if (!*found || **found == UINT32_MAX) return {};
    if (**found >= out_.tokens_.size()) {
      return error("the id " + std::to_string(**found) + " is outside the vocabulary", key,
                   "an id below " + std::to_string(out_.tokens_.size()));
    }
    id = static_cast<int32_t>(**found);
    return {};
  }

  Result<void> read_ids() {
    if (auto r = read_id("tokenizer.ggml.bos_token_id", out_.bos_id_); !r) return r;
    if (auto r = read_id("tokenizer.ggml.eos_token_id", out_.eos_id_); !r) return r;
    if (auto r = read_id("tokenizer.ggml.unknown_token_id", out_.unknown_id_); !r) return r;
    int32_t turn_end = -1, message_end = -1;
    if (auto r = read_id("tokenizer.ggml.eot_token_id", turn_end); !r) return r;
    if (auto r = read_id("tokenizer.ggml.eom_token_id", message_end); !r) return r;
    for (const int32_t id : {out_.eos_id_, turn_end, message_end}) {
      if (id >= 0 && !out_.is_end(id)) out_.end_ids_.push_back(id);
    }
    auto adds_bos = gguf_.find_boolean("tokenizer.ggml.add_bos_token");
    if (!adds_bos) return adds_bos.error();
    out_.adds_bos_ = adds_bos->value_or(false) && out_.bos_id_ >= 0;
    return {};
  }

  void index_specials() {
    for (const int32_t id : out_.special_ids_) {
      const auto first = static_cast<uint8_t>(out_.bytes_of(id)[0]);
      out_.specials_by_byte_[first].push_back(id);
      out_.begins_special_[first] = true;
    }
    for (auto& ids : out_.specials_by_byte_) {
      std::stable_sort(ids.begin(), ids.end(),
                       [&](int32_t a, int32_t b) { return out_.bytes_of(a).size() > out_.bytes_of(b).size(); });
    }
  }

  const Gguf& gguf_;
  Tokenizer out_;
  ByteAlphabet alphabet_;
};

Result<Tokenizer> Tokenizer::make_from_gguf(const Gguf& gguf) {
  return TokenizerBuilder(gguf).build();
}

}  // namespace glassbox
