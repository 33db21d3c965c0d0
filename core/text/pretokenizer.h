// Pre-tokenizers cut text into pieces before BPE merges inside each piece. Hugging Face and llama.cpp write them as
// regular expressions; here each is a scanner written by hand on the character classes of unicode.h.
//
//   gpt-2     '(s|t|re|ve|m|ll|d) | ␣?\p{L}+ | ␣?\p{N}+ | ␣?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
//   smollm    first every \p{N} stands alone, then gpt-2 inside what lies between
//   llama-bpe '(s|t|re|ve|m|ll|d), any case | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3} | ␣?[^\s\p{L}\p{N}]+[\r\n]*
//             | \s*[\r\n]+ | \s+(?!\S) | \s+
//   qwen2     as llama-bpe with \p{N} in place of \p{N}{1,3}
//
// At each place the first alternative that fits wins, taking as much as it can. A byte that is no UTF-8 is a character
// of class `other`.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace glassbox {

enum class PreTokenizer : uint8_t { gpt2, smollm, llama_bpe, qwen2 };

// By the name in GGUF's `tokenizer.ggml.pre`. Error (bad_file): unknown, with the list of those that are known.
Result<PreTokenizer> find_pre_tokenizer(std::string_view name);

struct ByteRange {
  uint32_t start = 0, end = 0;  // byte offsets, end not included
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// The pieces of text[from, to) in order; they tile it and none is empty. What lies outside that range is not looked at.
std::vector<ByteRange> split_pieces(PreTokenizer kind, std::string_view text, uint32_t from, uint32_t to);

}  // namespace glassbox
