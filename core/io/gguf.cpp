#include "core/io/gguf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

namespace glassbox {

namespace {

constexpr std::array<std::string_view, kGgufTypeCount> kTypeNames{
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "boolean", "string", "array", "u64", "i64", "f64"};

template <class T>
T read_as(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// A number of any numeric type without loss: the integers as sign and magnitude, the rest as double.
struct Number {
  bool integer = false;
  bool negative = false;
  uint64_t magnitude = 0;
  double real = 0;
};

Number from_signed(int64_t value) {
  Number n;
  n.integer = true;
  n.negative = value < 0;
  n.magnitude = n.negative ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  return n;
}

Number from_unsigned(uint64_t value) {
  Number n;
  n.integer = true;
  n.magnitude = value;
  return n;
}

Number from_real(double value) {
  Number n;
  n.real = value;
  return n;
}

std::optional<Number> read_number(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::u8:
      return from_unsigned(read_as<uint8_t>(at));
    case GgufType::u16:
      return from_unsigned(read_as<uint16_t>(at));
    case GgufType::u32:
      return from_unsigned(read_as<uint32_t>(at));
    case GgufType::u64:
      return from_unsigned(read_as<uint64_t>(at));
    case GgufType::i8:
      return from_signed(read_as<int8_t>(at));
    case GgufType::i16:
      return from_signed(read_as<int16_t>(at));
    case GgufType::i32:
      return from_signed(read_as<int32_t>(at));
    case GgufType::i64:
      return from_signed(read_as<int64_t>(at));
    case GgufType::f32:
      return from_real(read_as<float>(at));
    case GgufType::f64:
      return from_real(read_as<double>(at));
    case GgufType::boolean:
    case GgufType::string:
    case GgufType::array:
      break;
  }
  return std::nullopt;
}

std::optional<uint32_t> to_u32(const Number& n) {
  if (!n.integer || n.negative || n.magnitude > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(n.magnitude);
}

std::optional<int32_t> to_i32(const Number& n) {
  const uint64_t limit = n.negative ? 0x80000000u : 0x7fffffffu;
  if (!n.integer || n.magnitude > limit) return std::nullopt;
  const auto magnitude = static_cast<int64_t>(n.magnitude);
  return static_cast<int32_t>(n.negative ? -magnitude : magnitude);
}

std::optional<float> to_f32(const Number& n) {
  if (n.integer) {
    constexpr uint64_t kExact = 1u << 24;  // floats hold every integer up to here
    if (n.magnitude > kExact) return std::nullopt;
    return n.negative ? -static_cast<float>(n.magnitude) : static_cast<float>(n.magnitude);
  }
  if (std::isnan(n.real) || std::isinf(n.real)) return static_cast<float>(n.real);
  if (std::abs(n.real) > static_cast<double>(std::numeric_limits<float>::max())) return std::nullopt;
  const float narrow = static_cast<float>(n.real);
  if (static_cast<double>(narrow) != n.real) return std::nullopt;
  return narrow;
}

std::string show_number(const Number& n) {
  if (n.integer) return (n.negative ? "-" : "") + std::to_string(n.magnitude);
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", n.real);
  return text;
}

uint64_t mix(uint64_t h) {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

class Hasher {
 public:
  void word(uint64_t w) { state_ = mix(state_ ^ w) + 0x9e3779b97f4a7c15u; }

  void bytes(std::span<const std::byte> bytes) {
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) word(read_as<uint64_t>(bytes.data() + i));
    if (i < bytes.size()) {
      uint64_t last = 0;
      std::memcpy(&last, bytes.data() + i, bytes.size() - i);
      word(last);
    }
    word(bytes.size());
  }

  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0;
};

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

uint64_t gguf_scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      break;
  }
  return 0;
}

std::string describe(const GgufValue& value) {
  switch (value.type) {
    case GgufType::string:
      return "\"" + std::string(reinterpret_cast<const char*>(value.data), value.count) + "\"";
    case GgufType::array:
      return "[" + std::to_string(value.count) + " × " + std::string(gguf_type_name(value.element)) + "]";
    case GgufType::boolean:
      return read_as<uint8_t>(value.data) != 0 ? "true" : "false";
    default:
      return show_number(*read_number(value.type, value.data));
  }
}

Result<Gguf> Gguf::load(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file) return file.error();
  auto shared = std::make_shared<const MappedFile>(file.take());
  auto gguf = parse(shared->bytes(), path);
  if (gguf) gguf->file_ = std::move(shared);
  return gguf;
}

const GgufValue* Gguf::find_value(std::string_view key) const {
  const auto found = entry_index_.find(key);
  return found == entry_index_.end() ? nullptr : &entries_[found->second].value;
}

Error Gguf::value_error(std::string_view key, const GgufValue* value, std::string_view expected) const {
  const std::string name = "\"" + std::string(key) + "\"";
  if (value == nullptr) {
    return Error{ErrorKind::bad_file, "the metadata key " + name + " is missing", path_, std::string(expected),
                 "convert the model again with a current converter, or choose another file"};
  }
  std::string found(gguf_type_name(value->type));
  if (value->type == GgufType::array) {
    found = describe(*value);
  } else if (value->type != GgufType::string) {
    found += " " + describe(*value);
  }
  return Error{ErrorKind::bad_file, "the metadata key " + name + " has a value of the wrong kind: " + found,
               path_ + ", metadata " + name + ", byte " + std::to_string(value->offset), std::string(expected),
               "convert the model again with a current converter, or choose another file"};
}

Result<std::optional<uint32_t>> Gguf::find_u32(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (value == nullptr) return std::optional<uint32_t>{};
  if (const auto number = read_number(value->type, value->data)) {
    if (const auto narrow = to_u32(*number)) return narrow;
  }
  return value_error(key, value, "an integer from 0 to 4294967295");
}

Result<std::optional<float>> Gguf::find_f32(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (value == nullptr) return std::optional<float>{};
  if (const auto number = read_number(value->type, value->data)) {
    if (const auto narrow = to_f32(*number)) return narrow;
  }
  return value_error(key, value, "a number that a 32-bit float holds exactly");
}

Result<std::optional<bool>> Gguf::find_boolean(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (value == nullptr) return std::optional<bool>{};
  if (value->type == GgufType::boolean) return std::optional<bool>(read_as<uint8_t>(value->data) != 0);
  return value_error(key, value, "true or false");
}

Result<std::optional<std::string_view>> Gguf::find_string(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (value == nullptr) return std::optional<std::string_view>{};
  if (value->type == GgufType::string) {
    return std::optional<std::string_view>({reinterpret_cast<const char*>(value->data), value->count});
  }
  return value_error(key, value, "a string");
}

Result<uint32_t> Gguf::u32(std::string_view key) const {
  auto found = find_u32(key);
  if (!found) return found.error();
  if (!*found) return value_error(key, nullptr, "an integer from 0 to 4294967295");
  return **found;
}

Result<float> Gguf::f32(std::string_view key) const {
  auto found = find_f32(key);
  if (!found) return found.error();
  if (!*found) return value_error(key, nullptr, "a number");
  return **found;
}

Result<bool> Gguf::boolean(std::string_view key) const {
  auto found = find_boolean(key);
  if (!found) return found.error();
  if (!*found) return value_error(key, nullptr, "true or false");
  return **found;
}

Result<std::string_view> Gguf::string(std::string_view key) const {
  auto found = find_string(key);
  if (!found) return found.error();
  if (!*found) return value_error(key, nullptr, "a string");
  return **found;
}

Result<std::vector<std::string_view>> Gguf::strings(std::string_view key) const {
  const GgufValue* value = find_value(key);
  if (value == nullptr || value->type != GgufType::array || value->element != GgufType::string) {
    return value_error(key, value, "an array of strings");
  }
  std::vector<std::string_view> out;
  out.reserve(value->count);
  const std::byte* at = value->data;
  for (uint64_t i = 0; i < value->count; ++i) {  // the parser has walked these lengths already
    const auto length = read_as<uint64_t>(at);
    out.emplace_back(reinterpret_cast<const char*>(at + 8), length);
    at += 8 + length;
  }
  return out;
}

Result<std::vector<int32_t>> Gguf::i32_array(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of 32-bit integers";
  const GgufValue* value = find_value(key);
  if (value == nullptr || value->type != GgufType::array) return value_error(key, value, kExpected);
  std::vector<int32_t> out;
  out.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = read_number(value->element, value->data + i * gguf_scalar_bytes(value->element));
    const auto narrow = number ? to_i32(*number) : std::nullopt;
    if (!narrow) return value_error(key, value, kExpected);
    out.push_back(*narrow);
  }
  return out;
}

Result<std::vector<float>> Gguf::f32_array(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of numbers that a 32-bit float holds exactly";
  const GgufValue* value = find_value(key);
  if (value == nullptr || value->type != GgufType::array) return value_error(key, value, kExpected);
  std::vector<float> out;
  out.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = read_number(value->element, value->data + i * gguf_scalar_bytes(value->element));
    const auto narrow = number ? to_f32(*number) : std::nullopt;
    if (!narrow) return value_error(key, value, kExpected);
    out.push_back(*narrow);
  }
  return out;
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

Result<const GgufTensor*> Gguf::tensor(std::string_view name) const {
  if (const GgufTensor* found = find_tensor(name)) return found;
  return Error{ErrorKind::bad_file, "the tensor \"" + std::string(name) + "\" is missing", path_,
               "a tensor of that name among the file's " + std::to_string(tensors_.size()),
               "choose a complete model file (a part of a split model must be merged with its other parts first)"};
}

uint64_t Gguf::content_hash() const {
  Hasher hash;
  hash.word(bytes_.size());
  hash.bytes(bytes_.first(data_offset_));
  for (const GgufTensor& tensor : tensors_) {
    const auto data = bytes_.subspan(tensor.offset, tensor.bytes);
    if (data.size() <= 3 * kHashSample) {
      hash.bytes(data);
    } else {
      hash.bytes(data.first(kHashSample));
      hash.bytes(data.subspan((data.size() - kHashSample) / 2, kHashSample));
      hash.bytes(data.last(kHashSample));
    }
  }
  return hash.value();
}

}  // namespace glassbox
