// GGUF, ggml's model file (docs/gguf.md in the ggml repository describes it), versions 2 and 3, little-endian:
//
//   magic "GGUF", version u32, tensor count u64, metadata count u64
//   metadata: key (string), type u32, value                    string = length u64, bytes
//   tensors:  name (string), rank u32, dimensions u64…, type u32, offset u64 (from the start of the data)
//   padding to `general.alignment` (32 unless stated), then the tensors' data
//
// Every count, length, offset and product is checked against the bytes that are there before it is used, and nothing is
// allocated on the word of the file alone. All errors have kind bad_file and name file, field and byte offset.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/io/mapped_file.h"
#include "kernels/tensor.h"

namespace glassbox {

// The numbers are the file's.
enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };
inline constexpr uint32_t kGgufTypeCount = 13;
std::string_view gguf_type_name(GgufType type);
uint64_t gguf_scalar_bytes(GgufType type);  // 0 for strings and arrays, which have no fixed size

// One metadata value, still in the file's bytes.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  // of an array
  uint64_t count = 1;               // elements of an array, bytes of a string
  uint64_t offset = 0;              // of `data` in the file
  const std::byte* data = nullptr;  // the number, the string's first byte, the array's first element
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string_view name;
  Tensor view;          // slowest axis first: the file's dimensions reversed. Its memory is the map: never write to it.
  uint64_t offset = 0;  // of the data, from the start of the file
  uint64_t bytes = 0;
};

class Gguf {
 public:
  static Result<Gguf> load(const std::string& path);
  // `bytes` must outlive the result; `name` stands for the path in errors.
  static Result<Gguf> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t file_bytes() const { return bytes_.size(); }

  std::span<const GgufEntry> entries() const { return entries_; }  // in the file's order
  const GgufValue* find_value(std::string_view key) const;         // null: absent
  bool has(std::string_view key) const { return find_value(key) != nullptr; }

  // A number is taken from any numeric type that holds it without loss (u32 from a u64 of 5, f32 from the integer 5;
  // not u32 from −1 or 2.5, and no number from a boolean). An error names the key, what was found and what was
  // expected.
  Result<uint32_t> u32(std::string_view key) const;
  Result<float> f32(std::string_view key) const;
  Result<bool> boolean(std::string_view key) const;
  Result<std::string_view> string(std::string_view key) const;  // bytes as they lie in the file, not checked for UTF-8

  // Absent is no error and gives nullopt; there and of another type is an error as above.
  Result<std::optional<uint32_t>> find_u32(std::string_view key) const;
  Result<std::optional<float>> find_f32(std::string_view key) const;
  Result<std::optional<bool>> find_boolean(std::string_view key) const;
  Result<std::optional<std::string_view>> find_string(std::string_view key) const;

  // Arrays. Numbers as above, each element; the strings point into the map.
  Result<std::vector<std::string_view>> strings(std::string_view key) const;
  Result<std::vector<int32_t>> i32_array(std::string_view key) const;
  Result<std::vector<float>> f32_array(std::string_view key) const;

  std::span<const GgufTensor> tensors() const { return tensors_; }  // in the file's order
  const GgufTensor* find_tensor(std::string_view name) const;       // null: absent
  Result<const GgufTensor*> tensor(std::string_view name) const;    // absent is an error

  // Tells model files apart in recipes. It covers the file's length, all bytes before the tensor data (metadata, names,
  // shapes), and of every tensor its first, middle and last kHashSample bytes (all of it when it is not longer than the
  // three). So another vocabulary, shape or fine-tuned weight changes it and reading it costs milliseconds, but it is
  // no proof against a forger nor against a flipped bit between the samples. The function: 64-bit little-endian words w
  // (the last one padded with zeros, then the length in bytes) are taken in by h ← mix(h ⊕ w) + 0x9e3779b97f4a7c15 with
  // SplitMix64's finaliser as `mix` (Steele, Lea & Flood 2014), from h = 0.
  uint64_t content_hash() const;
  // What was read of the file need not stay in this process's memory; see MappedFile.
  void release_pages() const {
    if (file_) file_->release_pages();
  }
  static constexpr uint64_t kHashSample = 4096;

 private:
  friend class GgufParser;
  Gguf() = default;
  Error value_error(std::string_view key, const GgufValue* value, std::string_view expected) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;  // null when parsed from memory
  std::span<const std::byte> bytes_;
  uint32_t version_ = 0;
  uint64_t data_offset_ = 0;  // where the tensors' data begins
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string_view, size_t> entry_index_, tensor_index_;
};

// A value for people: `"llama"`, `576`, `[49152 × string]`.
std::string describe(const GgufValue& value);

}  // namespace glassbox
