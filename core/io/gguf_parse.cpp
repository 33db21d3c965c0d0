// The bytes of a GGUF file → Gguf. A Cursor answers "are n bytes left?" before anything is read, and counts are
// compared with the bytes left before anything is allocated: a count of n entries of at least k bytes each needs n·k
// bytes.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "core/io/gguf.h"

namespace glassbox {

static_assert(std::endian::native == std::endian::little, "files are little-endian and are read as they lie");

namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMinEntryBytes = 8 + 4 + 1;           // key length, type, the shortest value
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;  // name length, rank, one dimension, type, offset
constexpr int kMaxRank = 4;
constexpr int kMaxArrayDepth = 4;  // arrays of arrays are legal; nobody nests deeper than two

struct TensorType {
  uint32_t id;
  std::string_view name;
  std::optional<DType> dtype;  // none: ggml has it, this program does not read it
};

// ggml's type numbers (enum ggml_type in ggml.h). The unsupported ones are here so that an error can name them.
constexpr TensorType kTensorTypes[] = {
    {0, "F32", DType::f32},    {1, "F16", DType::f16},    {30, "BF16", DType::bf16}, {8, "Q8_0", DType::q8_0},
    {2, "Q4_0", DType::q4_0},  {3, "Q4_1", DType::q4_1},  {6, "Q5_0", DType::q5_0},  {7, "Q5_1", DType::q5_1},
    {12, "Q4_K", DType::q4_k}, {13, "Q5_K", DType::q5_k}, {14, "Q6_K", DType::q6_k}, {9, "Q8_1", {}},
    {10, "Q2_K", {}},          {11, "Q3_K", {}},          {15, "Q8_K", {}},          {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},        {18, "IQ3_XXS", {}},       {19, "IQ1_S", {}},         {20, "IQ4_NL", {}},
    {21, "IQ3_S", {}},         {22, "IQ2_S", {}},         {23, "IQ4_XS", {}},        {24, "I8", {}},
    {25, "I16", {}},           {26, "I32", {}},           {27, "I64", {}},           {28, "F64", {}},
    {29, "IQ1_M", {}},         {34, "TQ1_0", {}},         {35, "TQ2_0", {}},         {39, "MXFP4", {}},
};

const TensorType* find_tensor_type(uint32_t id) {
  for (const TensorType& type : kTensorTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

std::string supported_tensor_types() {
  std::string list;
  for (const TensorType& type : kTensorTypes) {
    if (type.dtype) list += (list.empty() ? "" : ", ") + std::string(type.name);
  }
  return list;
}

// Names come from the file and may hold anything: shown in quotes, printable ASCII as it is, the rest as \xNN, cut
// at 80.
std::string quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out + (text.size() > kShown ? "…\"" : "\"");
}

}  // namespace

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, Gguf& gguf) : bytes_(bytes), gguf_(gguf) {}

  Result<void> parse() {
    uint64_t tensor_count = 0, entry_count = 0;
    if (auto r = parse_header(tensor_count, entry_count); !r) return r;
    if (auto r = parse_entries(entry_count); !r) return r;
    if (auto r = read_alignment(); !r) return r;
    if (auto r = parse_tensors(tensor_count); !r) return r;
    return check_overlaps();
  }

 private:
  uint64_t left() const { return bytes_.size() - at_; }

  Error error(std::string what, uint64_t offset, const std::string& field, std::string expected,
              std::string remedy = "fetch the file again: it is damaged or was not written as GGUF") const {
    return Error{ErrorKind::bad_file, std::move(what), gguf_.path_ + ", " + field + ", byte " + std::to_string(offset),
                 std::move(expected), std::move(remedy)};
  }

  Error truncated(const std::string& field, uint64_t needed) const {
    return error("the file ends in the middle of " + field, at_, field,
                 std::to_string(needed) + " more bytes; " + std::to_string(left()) + " are left of " +
                     std::to_string(bytes_.size()),
                 "fetch the file again: its download did not finish");
  }

  template <class T>
  Result<T> read(const std::string& field) {
    if (left() < sizeof(T)) return truncated(field, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> read_string(const std::string& field) {
    const uint64_t start = at_;
    auto length = read<uint64_t>("the length of " + field);
    if (!length) return length.error();
    if (*length > left()) {
      return error(field + " claims to be " + std::to_string(*length) + " bytes long", start, field,
                   "at most the " + std::to_string(left()) + " bytes that are left");
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), *length);
    at_ += *length;
    return text;
  }

  Result<void> parse_header(uint64_t& tensor_count, uint64_t& entry_count) {
    constexpr std::string_view kMagic = "GGUF";
    if (bytes_.size() < kMagic.size() || std::memcmp(bytes_.data(), kMagic.data(), kMagic.size()) != 0) {
      return error("this is no GGUF file", 0, "magic", "the four bytes GGUF at the start",
                   "name a model in GGUF form (its name usually ends in .gguf)");
    }
    at_ = kMagic.size();
    auto version = read<uint32_t>("version");
    if (!version) return version.error();
    if (*version >= 1u << 16) {  // a small number read from the wrong end
      return error("this GGUF file is big-endian", 4, "version", "a little-endian file",
                   "fetch the little-endian edition of this model");
    }
    if (*version != 2 && *version != 3) {
      return error("this is GGUF version " + std::to_string(*version), 4, "version", "version 2 or 3",
                   "convert the model again with a current converter");
    }
    gguf_.version_ = *version;
    auto tensors = read<uint64_t>("the number of tensors");
    if (!tensors) return tensors.error();
    auto entries = read<uint64_t>("the number of metadata entries");
    if (!entries) return entries.error();
    if (*tensors > left() / kMinTensorBytes) {
      return error("the file claims to hold " + std::to_string(*tensors) + " tensors", 8, "tensor count",
                   "at most " + std::to_string(left() / kMinTensorBytes) + ", by the file's length");
    }
    if (*entries > left() / kMinEntryBytes) {
      return error("the file claims to hold " + std::to_string(*entries) + " metadata entries", 16, "metadata count",
                   "at most " + std::to_string(left() / kMinEntryBytes) + ", by the file's length");
    }
    tensor_count = *tensors;
    entry_count = *entries;
    return {};
  }

  Result<GgufType> read_type(const std::string& field) {
    const uint64_t start = at_;
    auto id = read<uint32_t>("the type of " + field);
    if (!id) return id.error();
    if (*id >= kGgufTypeCount) {
      return error("unknown value type " + std::to_string(*id), start, field, "a type from 0 to 12");
    }
    return static_cast<GgufType>(*id);
  }

  // Fills in where the value lies and steps over it.
  Result<void> parse_value(GgufType type, const std::string& field, int depth, GgufValue& value) {
    value.type = type;
    if (type == GgufType::string) {
      auto text = read_string(field);
      if (!text) return text.error();
      value.count = text->size();
      value.offset = at_ - text->size();
    } else if (type == GgufType::array) {
      return parse_array(field, depth, value);
    } else {
      const uint64_t size = gguf_scalar_bytes(type);
      if (left() < size) return truncated(field, size);
      value.offset = at_;
      at_ += size;
    }
    value.data = bytes_.data() + value.offset;
    return {};
  }

  Result<void> parse_array(const std::string& field, int depth, GgufValue& value) {
    const uint64_t start = at_;
    if (depth >= kMaxArrayDepth) {
      return error("arrays are nested too deep", start, field, "at most " + std::to_string(kMaxArrayDepth) + " levels");
    }
    auto element = read_type(field);
    if (!element) return element.error();
    auto count = read<uint64_t>("the length of " + field);
    if (!count) return count.error();
    // A string has at least its length, an array its type and length.
    const uint64_t fixed = gguf_scalar_bytes(*element);
    const uint64_t least = fixed != 0 ? fixed : *element == GgufType::string ? 8 : 12;
    if (*count > left() / least) {
      return error(field + " claims to hold " + std::to_string(*count) + " elements", start, field,
                   "at most " + std::to_string(left() / least) + ", by the file's length");
    }
    value.element = *element;
    value.count = *count;
    value.offset = at_;
    value.data = bytes_.data() + at_;
    if (fixed != 0) {
      at_ += *count * fixed;
      return {};
    }
    for (uint64_t i = 0; i < *count; ++i) {
      GgufValue skipped;
      if (auto r = parse_value(*element, field, depth + 1, skipped); !r) return r;
    }
    return {};
  }

  Result<void> parse_entries(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t start = at_;
      auto key = read_string("metadata key " + std::to_string(i));
      if (!key) return key.error();
      const std::string field = "metadata " + quoted(*key);
      auto type = read_type(field);
      if (!type) return type.error();
      GgufEntry entry{*key, {}};
      if (auto r = parse_value(*type, field, 0, entry.value); !r) return r;
      if (!gguf_.entry_index_.emplace(*key, gguf_.entries_.size()).second) {
        return error("the metadata key " + quoted(*key) + " occurs twice", start, field, "each key once");
      }
      gguf_.entries_.push_back(entry);
    }
    return {};
  }

  Result<void> read_alignment() {
    auto stated = gguf_.find_u32("general.alignment");
    if (!stated) return stated.error();
    alignment_ = stated->value_or(kDefaultAlignment);
    if (alignment_ < 8 || !std::has_single_bit(alignment_)) {
      return error("the alignment is " + std::to_string(alignment_), gguf_.find_value("general.alignment")->offset,
                   "metadata \"general.alignment\"", "a power of two from 8");
    }
    return {};
  }

  struct TensorInfo {
    std::string_view name;
    DType dtype = DType::f32;
    int rank = 0;
    std::array<int64_t, 4> shape{};
    uint64_t bytes = 0;
    uint64_t offset = 0;        // from the start of the data
    uint64_t offset_field = 0;  // where in the file that number stands
  };

  Result<void> parse_tensors(uint64_t count) {
    std::vector<TensorInfo> infos;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t start = at_;
      TensorInfo info;
      if (auto r = parse_tensor_info(i, info); !r) return r;
      if (!gguf_.tensor_index_.emplace(info.name, infos.size()).second) {
        return error("the tensor " + quoted(info.name) + " occurs twice", start, "tensor " + quoted(info.name),
                     "each name once");
      }
      infos.push_back(info);
    }
    // With no tensors the padding may be missing.
    const uint64_t padding = (alignment_ - at_ % alignment_) % alignment_;
    if (padding > left() && count > 0) return truncated("the padding before the tensors", padding);
    gguf_.data_offset_ = at_ + std::min(padding, left());
    return place_tensors(infos);
  }

  Result<void> parse_tensor_info(uint64_t index, TensorInfo& info) {
    auto name = read_string("the name of tensor " + std::to_string(index));
    if (!name) return name.error();
    info.name = *name;
    const std::string field = "tensor " + quoted(*name);

    const uint64_t rank_at = at_;
    auto rank = read<uint32_t>(field);
    if (!rank) return rank.error();
    if (*rank < 1 || *rank > kMaxRank) {
      return error("a tensor has " + std::to_string(*rank) + " dimensions", rank_at, field, "1 to 4 dimensions");
    }
    info.rank = static_cast<int>(*rank);

    int64_t values = 1;
    for (int i = 0; i < info.rank; ++i) {
      const uint64_t dimension_at = at_;
      auto n = read<uint64_t>(field);
      if (!n) return n.error();
      if (*n < 1 || *n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
          __builtin_mul_overflow(values, static_cast<int64_t>(*n), &values)) {
        return error("dimension " + std::to_string(i) + " is " + std::to_string(*n), dimension_at, field,
                     "at least 1, and a product of all dimensions that fits 63 bits");
      }
      info.shape[static_cast<size_t>(info.rank - 1 - i)] = static_cast<int64_t>(*n);
    }

    const uint64_t type_at = at_;
    auto id = read<uint32_t>(field);
    if (!id) return id.error();
    const TensorType* type = find_tensor_type(*id);
    if (type == nullptr || !type->dtype) {
      const std::string shown =
          type == nullptr ? "the unknown type " + std::to_string(*id) : "type " + std::string(type->name);
      return error("the tensor " + quoted(*name) + " has " + shown + ", which is not supported", type_at, field,
                   "one of " + supported_tensor_types(),
                   "fetch this model in one of the supported types, for example Q4_K_M or Q8_0");
    }
    info.dtype = *type->dtype;

    const DTypeInfo& format = dtype_info(info.dtype);
    const int64_t columns = info.shape[static_cast<size_t>(info.rank - 1)];
    if (columns % format.block_size != 0) {
      return error("rows of " + std::to_string(columns) + " values are not a whole number of blocks", type_at, field,
                   "a multiple of " + std::to_string(format.block_size) + " for " + std::string(type->name));
    }
    int64_t bytes = 0;
    if (__builtin_mul_overflow(values / format.block_size, static_cast<int64_t>(format.block_bytes), &bytes)) {
      return error("the tensor's size overflows", type_at, field, "a size in bytes that fits 63 bits");
    }
    info.bytes = static_cast<uint64_t>(bytes);

    info.offset_field = at_;
    auto offset = read<uint64_t>(field);
    if (!offset) return offset.error();
    if (*offset % alignment_ != 0) {
      return error("the data offset " + std::to_string(*offset) + " is not aligned", info.offset_field, field,
                   "a multiple of " + std::to_string(alignment_));
    }
    info.offset = *offset;
    return {};
  }

  Result<void> place_tensors(const std::vector<TensorInfo>& infos) {
    const uint64_t available = bytes_.size() - gguf_.data_offset_;
    gguf_.tensors_.reserve(infos.size());
    for (const TensorInfo& info : infos) {
      if (info.offset > available || info.bytes > available - info.offset) {
        return error("the data of tensor " + quoted(info.name) + " reaches beyond the end of the file",
                     info.offset_field, "tensor " + quoted(info.name),
                     std::to_string(info.bytes) + " bytes at " + std::to_string(info.offset) +
                         "; the data section has " + std::to_string(available),
                     "fetch the file again: its download did not finish");
      }
      GgufTensor tensor;
      tensor.name = info.name;
      tensor.offset = gguf_.data_offset_ + info.offset;
      tensor.bytes = info.bytes;
      tensor.view.data = const_cast<std::byte*>(bytes_.data() + tensor.offset);
      tensor.view.dtype = info.dtype;
      tensor.view.rank = info.rank;
      tensor.view.shape = info.shape;
      tensor.view.row_bytes = row_bytes(info.dtype, tensor.view.columns());
      gguf_.tensors_.push_back(tensor);
    }
    return {};
  }

  Result<void> check_overlaps() const {
    std::vector<const GgufTensor*> order;
    order.reserve(gguf_.tensors_.size());
    for (const GgufTensor& tensor : gguf_.tensors_) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
        return error(
            "the data of the tensors " + quoted(order[i - 1]->name) + " and " + quoted(order[i]->name) + " overlap",
            order[i]->offset, "tensor " + quoted(order[i]->name), "data of its own for each tensor");
      }
    }
    return {};
  }

  std::span<const std::byte> bytes_;
  Gguf& gguf_;
  uint64_t at_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
};

Result<Gguf> Gguf::parse(std::span<const std::byte> bytes, std::string name) {
  Gguf gguf;
  gguf.path_ = std::move(name);
  gguf.bytes_ = bytes;
  if (auto r = GgufParser(bytes, gguf).parse(); !r) return r.error();
  return gguf;
}

}  // namespace glassbox
