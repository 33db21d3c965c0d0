// Token ids, one at a time → text that is complete at any moment.
#pragma once

#include <string>
#include <string_view>

#include "core/text/tokenizer.h"
#include "core/text/unicode.h"

namespace glassbox {

// A token may end in the middle of a character. What is not complete is kept back until the bytes that complete it
// arrive, and bytes that can never become a character give U+FFFD. The concatenation of all that push() and flush()
// return is replace_invalid_utf8() of all bytes together, however they were cut.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes) {
    pending_ += bytes;
    const size_t complete = complete_utf8_prefix(pending_);
    std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, complete));
    pending_.erase(0, complete);
    return text;
  }

  // The end: what is still incomplete becomes U+FFFD.
  std::string flush() {
    std::string text = replace_invalid_utf8(pending_);
    pending_.clear();
    return text;
  }

 private:
  std::string pending_;  // at most 3 bytes between calls
};

class Detokenizer {
 public:
  // `tokenizer` must outlive this. Without `show_special` special tokens give no text.
  explicit Detokenizer(const Tokenizer& tokenizer, bool show_special = true)
      : tokenizer_(tokenizer), show_special_(show_special) {}

  // Precondition: 0 ≤ id < vocab_size().
  std::string push(int32_t id) {
    if (!show_special_ && tokenizer_.is_special(id)) return {};
    return stream_.push(tokenizer_.bytes_of(id));
  }
  std::string flush() { return stream_.flush(); }

 private:
  const Tokenizer& tokenizer_;
  bool show_special_;
  Utf8Stream stream_;
};

}  // namespace glassbox
