// Writes small GGUF files in memory, so that tests can make right and wrong ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/gguf.h"

namespace glassbox::test {

class GgufWriter {
 public:
  static constexpr uint64_t kAlignment = 32;

  uint32_t version = 3;

  void add_u32(std::string_view key, uint32_t value) { add(key, GgufType::u32, raw(value)); }
  void add_i32(std::string_view key, int32_t value) { add(key, GgufType::i32, raw(value)); }
  void add_u64(std::string_view key, uint64_t value) { add(key, GgufType::u64, raw(value)); }
  void add_i64(std::string_view key, int64_t value) { add(key, GgufType::i64, raw(value)); }
  void add_f32(std::string_view key, float value) { add(key, GgufType::f32, raw(value)); }
  void add_f64(std::string_view key, double value) { add(key, GgufType::f64, raw(value)); }
  void add_boolean(std::string_view key, bool value) { add(key, GgufType::boolean, std::string(1, value ? 1 : 0)); }
  void add_string(std::string_view key, std::string_view value) { add(key, GgufType::string, string(value)); }

  void add_strings(std::string_view key, const std::vector<std::string>& values) {
    std::string data = array_head(GgufType::string, values.size());
    for (const std::string& value : values) data += string(value);
    add(key, GgufType::array, data);
  }

  template <class T>
  void add_numbers(std::string_view key, GgufType element, const std::vector<T>& values) {
    std::string data = array_head(element, values.size());
    for (const T value : values) data += raw(value);
    add(key, GgufType::array, data);
  }

  // Any value: `data` is what stands after the type.
  void add(std::string_view key, GgufType type, std::string_view data) {
    entries_ += string(key) + raw(static_cast<uint32_t>(type)) + std::string(data);
    ++entry_count_;
  }

  // `dimensions` in the file's order, fastest first; `type` is ggml's number.
  void add_tensor(std::string_view name, uint32_t type, const std::vector<uint64_t>& dimensions,
                  std::string_view data) {
    add_tensor_at(name, type, dimensions, data_.size());
    data_ += data;
    data_.resize((data_.size() + kAlignment - 1) / kAlignment * kAlignment);
  }

  // Only the entry, with an offset of the caller's choice.
  void add_tensor_at(std::string_view name, uint32_t type, const std::vector<uint64_t>& dimensions, uint64_t offset) {
    tensors_ += string(name) + raw(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t n : dimensions) tensors_ += raw(n);
    tensors_ += raw(type) + raw(offset);
    ++tensor_count_;
  }

  std::string finish() const {
    std::string out = "GGUF" + raw(version) + raw(tensor_count_) + raw(entry_count_) + entries_ + tensors_;
    out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
    return out + data_;
  }

  template <class T>
  static std::string raw(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string string(std::string_view text) { return raw(uint64_t{text.size()}) + std::string(text); }
  static std::string array_head(GgufType element, uint64_t count) {
    return raw(static_cast<uint32_t>(element)) + raw(count);
  }

 private:
  uint64_t entry_count_ = 0, tensor_count_ = 0;
  std::string entries_, tensors_, data_;
};

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// The characters that stand for the bytes 0…255 in a byte-level vocabulary, built as GPT-2's paper code describes it:
// the visible ones of Latin-1 are themselves, the others follow from U+0100.
inline std::vector<std::string> byte_alphabet() {
  std::vector<std::string> out;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool visible = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const int code = visible ? byte : next++;
    if (code < 0x80) {
      out.push_back(std::string(1, static_cast<char>(code)));
    } else {
      out.push_back({static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
    }
  }
  return out;
}

// A vocabulary of <|end|> (0), <|end|>er (1), a user-defined <tag> (2), the 256 bytes (3 + byte) and a few merges; then
// `more` tokens that no text makes.
inline constexpr uint32_t kTinyTokens = 3 + 256 + 13;
inline void add_tiny_tokenizer(GgufWriter& writer, const std::string& pre = "smollm", int more = 0) {
  std::vector<std::string> tokens{"<|end|>", "<|end|>er", "<tag>"};
  std::vector<int32_t> types{3, 3, 4};
  for (const std::string& text : byte_alphabet()) tokens.push_back(text);
  std::vector<std::string> merges;
  const std::pair<const char*, const char*> pairs[] = {
      {"a", "a"},  {"aa", "aa"}, {"t", "h"}, {"th", "e"}, {"Ġ", "the"}, {"Ġ", "Ġ"},  {"h", "e"},
      {"he", "r"}, {"Ã", "©"},   {"a", "b"}, {"ab", "a"}, {"Ċ", "Ċ"},   {"t", "her"}};
  for (const auto& [left, right] : pairs) {
    merges.push_back(std::string(left) + " " + right);
    tokens.push_back(std::string(left) + right);
  }
  types.resize(tokens.size(), 1);
  for (int i = 0; i < more; ++i) tokens.push_back("more " + std::to_string(i));
  types.resize(tokens.size(), 5);
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", pre);
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  writer.add_numbers("tokenizer.ggml.token_type", GgufType::i32, types);
  writer.add_strings("tokenizer.ggml.merges", merges);
  writer.add_u32("tokenizer.ggml.eos_token_id", 0);
}

}  // namespace glassbox::test
