// The GGUF reader on right files, and on files of which one thing is a lie.
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "core/io/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_path.h"

using namespace glassbox;
using test::as_bytes;
using test::GgufWriter;

namespace {

constexpr uint32_t kF32 = 0, kQ4_0 = 2, kIQ4XS = 23;

Error parse_error(const std::string& file) {
  auto parsed = Gguf::parse(as_bytes(file), "test.gguf");
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().kind == ErrorKind::bad_file);
  CHECK(parsed.error().where.find("test.gguf") == 0);
  CHECK_FALSE(parsed.error().expected.empty());
  CHECK_FALSE(parsed.error().remedy.empty());
  return parsed.error();
}

bool says(const Error& error, std::string_view words) {
  return error.message().find(words) != std::string::npos;
}

GgufWriter one_tensor() {
  GgufWriter writer;
  writer.add_tensor("w", kF32, {4, 2}, std::string(32, 'x'));
  return writer;
}

template <class T>
std::string patched(std::string file, size_t at, T value) {
  std::memcpy(file.data() + at, &value, sizeof value);
  return file;
}

}  // namespace

TEST_CASE("a small file reads back as it was written") {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("n", 7);
  writer.add_f32("eps", 1e-5f);
  writer.add_boolean("flag", true);
  writer.add_strings("words", {"a", "", "ccc"});
  writer.add_numbers<int32_t>("types", GgufType::i32, {1, -2, 3});
  writer.add_numbers<float>("reals", GgufType::f32, {0.5f, -1.0f});
  writer.add_tensor("a", kF32, {4, 2, 3}, std::string(96, 'a'));
  writer.add_tensor("b", kQ4_0, {64, 5}, std::string(180, 'b'));
  const std::string file = writer.finish();
  auto gguf = Gguf::parse(as_bytes(file), "test.gguf");
  REQUIRE(gguf);
  CHECK(gguf->version() == 3);
  CHECK(gguf->entries().size() == 7);
  CHECK(*gguf->string("general.architecture") == "llama");
  CHECK(*gguf->u32("n") == 7);
  CHECK(*gguf->f32("eps") == 1e-5f);
  CHECK(*gguf->boolean("flag"));
  CHECK(*gguf->strings("words") == std::vector<std::string_view>{"a", "", "ccc"});
  CHECK(*gguf->i32_array("types") == std::vector<int32_t>{1, -2, 3});
  CHECK(*gguf->f32_array("reals") == std::vector<float>{0.5f, -1.0f});
  CHECK(*gguf->f32_array("types") == std::vector<float>{1, -2, 3});
  CHECK(gguf->has("n"));
  CHECK_FALSE(gguf->has("m"));
  CHECK(describe(*gguf->find_value("words")) == "[3 × string]");
  CHECK(describe(*gguf->find_value("general.architecture")) == "\"llama\"");

  REQUIRE(gguf->tensors().size() == 2);
  auto a = gguf->tensor("a");
  REQUIRE(a);
  CHECK((*a)->view.rank == 3);
  CHECK((*a)->view.shape[0] == 3);  // slowest first
  CHECK((*a)->view.shape[1] == 2);
  CHECK((*a)->view.shape[2] == 4);
  CHECK((*a)->view.row_bytes == 16);
  const GgufTensor* b = gguf->find_tensor("b");
  REQUIRE(b != nullptr);
  CHECK(b->view.dtype == DType::q4_0);
  CHECK(b->view.rows() == 5);
  CHECK(b->view.row_bytes == 36);
  CHECK(b->bytes == 180);
  CHECK(b->offset % 32 == 0);
  CHECK(b->view.data == file.data() + b->offset);
  CHECK(file[b->offset] == 'b');
  CHECK(gguf->find_tensor("c") == nullptr);
  auto c = gguf->tensor("c");
  REQUIRE_FALSE(c);
  CHECK(says(c.error(), "\"c\" is missing"));
}

TEST_CASE("version 2 is read too, others are refused") {
  GgufWriter writer = one_tensor();
  writer.version = 2;
  const std::string file = writer.finish();
  CHECK(Gguf::parse(as_bytes(file), "test.gguf").ok());
  writer.version = 1;
  CHECK(says(parse_error(writer.finish()), "version 1"));
  writer.version = 4;
  CHECK(says(parse_error(writer.finish()), "version 4"));
  writer.version = 0x03000000;
  CHECK(says(parse_error(writer.finish()), "big-endian"));
}

TEST_CASE("numbers widen without loss and never lose anything") {
  GgufWriter writer;
  writer.add_u64("u64", 5);
  writer.add_i64("i64", 4294967295);
  writer.add_i64("negative", -1);
  writer.add_u64("large", 4294967296);
  writer.add_f64("f64", 0.5);
  writer.add_f64("fine", 0.1);
  writer.add_f32("half", 2.5f);
  writer.add_u32("odd", (1u << 24) + 1);
  writer.add_boolean("flag", true);
  writer.add_string("text", "7");
  const std::string file = writer.finish();
  auto gguf = Gguf::parse(as_bytes(file), "test.gguf");
  REQUIRE(gguf);
  CHECK(*gguf->u32("u64") == 5);
  CHECK(*gguf->u32("i64") == 4294967295u);
  CHECK(*gguf->f32("u64") == 5.0f);
  CHECK(*gguf->f32("negative") == -1.0f);
  CHECK(*gguf->f32("f64") == 0.5f);
  for (const char* key : {"negative", "large", "half", "flag", "text"}) {
    CAPTURE(key);
    auto value = gguf->u32(key);
    REQUIRE_FALSE(value);
    CHECK(says(value.error(), key));
    CHECK(says(value.error(), "test.gguf"));
    CHECK(says(value.error(), "integer"));
  }
  CHECK(says(gguf->u32("negative").error(), "i64 -1"));
  CHECK_FALSE(gguf->f32("fine"));
  CHECK_FALSE(gguf->f32("odd"));
  CHECK_FALSE(gguf->f32("flag"));
  CHECK_FALSE(gguf->boolean("u64"));
  CHECK_FALSE(gguf->string("u64"));
  CHECK_FALSE(gguf->strings("text"));
  CHECK(says(gguf->u32("absent").error(), "missing"));

  REQUIRE(gguf->find_u32("absent"));
  CHECK_FALSE(gguf->find_u32("absent")->has_value());
  CHECK(gguf->find_u32("u64")->value() == 5);
  CHECK_FALSE(gguf->find_u32("text"));  // there, and of the wrong type: not the same as absent
}

TEST_CASE("lies in the header are found before anything is allocated") {
  const std::string good = one_tensor().finish();
  REQUIRE(Gguf::parse(as_bytes(good), "test.gguf").ok());
  CHECK(says(parse_error("GGML" + good.substr(4)), "no GGUF file"));
  CHECK(says(parse_error("GG"), "no GGUF file"));
  for (const uint64_t count : {uint64_t{1} << 20, uint64_t{1} << 60, ~uint64_t{0}}) {
    CHECK(says(parse_error(patched(good, 8, count)), "tensors"));
    CHECK(says(parse_error(patched(good, 16, count)), "metadata"));
  }
}

TEST_CASE("lies in the metadata") {
  const auto with = [](GgufType type, const std::string& data) {
    GgufWriter writer;
    writer.add("key", type, data);
    return writer.finish();
  };
  const auto head = GgufWriter::array_head;
  CHECK(says(parse_error(with(static_cast<GgufType>(13), "")), "unknown value type 13"));
  CHECK(says(parse_error(with(GgufType::string, GgufWriter::raw(~uint64_t{0}))), "bytes long"));
  CHECK(says(parse_error(with(GgufType::array, head(GgufType::u8, uint64_t{1} << 40))), "elements"));
  CHECK(says(parse_error(with(GgufType::array, head(GgufType::f64, uint64_t{1} << 61))), "elements"));  // 2⁶⁴ bytes
  CHECK(says(parse_error(with(GgufType::array, head(GgufType::string, uint64_t{1} << 61))), "elements"));
  CHECK(says(parse_error(with(GgufType::array, head(static_cast<GgufType>(99), 1))), "unknown value type 99"));

  std::string nested = head(GgufType::u8, 1) + "x";
  CHECK(Gguf::parse(as_bytes(with(GgufType::array, head(GgufType::array, 1) + nested)), "t").ok());
  for (int i = 0; i < 1000; ++i) nested = head(GgufType::array, 1) + nested;
  CHECK(says(parse_error(with(GgufType::array, nested)), "nested too deep"));

  GgufWriter twice;
  twice.add_u32("key", 1);
  twice.add_u32("key", 2);
  CHECK(says(parse_error(twice.finish()), "occurs twice"));

  for (const uint32_t alignment : {0u, 4u, 24u, 48u}) {
    GgufWriter writer = one_tensor();
    writer.add_u32("general.alignment", alignment);
    CHECK(says(parse_error(writer.finish()), "alignment"));
  }
  GgufWriter text;
  text.add_string("general.alignment", "32");
  CHECK(says(parse_error(text.finish()), "general.alignment"));
}

TEST_CASE("lies about tensors") {
  const auto with = [](uint32_t type, const std::vector<uint64_t>& dimensions, uint64_t offset = 0) {
    GgufWriter writer;
    writer.add_tensor_at("blk.3.w", type, dimensions, offset);
    return writer.finish() + std::string(64, '\0');
  };
  CHECK(Gguf::parse(as_bytes(with(kF32, {16})), "t").ok());
  CHECK(says(parse_error(with(kF32, {})), "0 dimensions"));
  CHECK(says(parse_error(with(kF32, {1, 1, 1, 1, 1})), "5 dimensions"));
  CHECK(says(parse_error(with(kF32, {0})), "dimension 0 is 0"));
  CHECK(says(parse_error(with(kF32, {~uint64_t{0}})), "dimension"));
  CHECK(says(parse_error(with(kF32, {uint64_t{1} << 32, uint64_t{1} << 32})), "dimension 1"));
  CHECK(says(parse_error(with(kF32, {uint64_t{1} << 62})), "overflow"));
  CHECK(says(parse_error(with(kQ4_0, {31})), "multiple of 32"));
  CHECK(says(parse_error(with(kF32, {17})), "beyond the end"));
  CHECK(says(parse_error(with(kF32, {16}, 32)), "beyond the end"));
  CHECK(says(parse_error(with(kF32, {1}, ~uint64_t{31})), "beyond the end"));
  CHECK(says(parse_error(with(kF32, {1}, 8)), "not aligned"));

  const Error unsupported = parse_error(with(kIQ4XS, {256}));
  CHECK(says(unsupported, "IQ4_XS"));
  CHECK(says(unsupported, "blk.3.w"));
  CHECK(says(unsupported, "Q4_K"));  // the list of what is supported
  CHECK(says(unsupported, ", byte "));
  CHECK(says(parse_error(with(77, {256})), "unknown type 77"));

  GgufWriter twice = one_tensor();
  twice.add_tensor("w", kF32, {4}, std::string(16, 'x'));
  CHECK(says(parse_error(twice.finish()), "occurs twice"));

  GgufWriter overlap = one_tensor();
  overlap.add_tensor_at("v", kF32, {4}, 0);
  CHECK(says(parse_error(overlap.finish()), "overlap"));
}

TEST_CASE("strange names do not spoil messages") {
  GgufWriter writer;
  writer.add_tensor_at(std::string("\x1b[31m\xff\n") + std::string(500, 'n'), kIQ4XS, {256}, 0);
  const Error error = parse_error(writer.finish());
  CHECK(error.what.find('\x1b') == std::string::npos);
  CHECK(error.what.size() < 300);
}

TEST_CASE("the content hash sees shapes, metadata and weights") {
  const std::string file = one_tensor().finish();
  const auto hash = [](const std::string& bytes) { return Gguf::parse(as_bytes(bytes), "t")->content_hash(); };
  CHECK(hash(file) == hash(std::string(file)));
  std::string weights = file;
  weights.back() = 'y';
  CHECK(hash(weights) != hash(file));
  GgufWriter renamed;
  renamed.add_tensor("v", kF32, {4, 2}, std::string(32, 'x'));
  CHECK(hash(renamed.finish()) != hash(file));

  // Of a long tensor its first, middle and last bytes count.
  std::string data(8 * Gguf::kHashSample, 'x');
  const auto long_file = [](const std::string& content) {
    GgufWriter writer;
    writer.add_tensor("w", kF32, {content.size() / 4}, content);
    return writer.finish();
  };
  const uint64_t plain = hash(long_file(data));
  for (const size_t at : {size_t{0}, data.size() / 2, data.size() - 1}) {
    std::string changed = data;
    changed[at] = 'y';
    CHECK(hash(long_file(changed)) != plain);
  }
}

TEST_CASE("files that are none are refused by name") {
  for (const char* path : {"/nonexistent/model.gguf", "/", "/dev/null"}) {
    CAPTURE(path);
    auto gguf = Gguf::load(path);
    REQUIRE_FALSE(gguf);
    CHECK(gguf.error().kind == ErrorKind::bad_file);
    CHECK(says(gguf.error(), path));
  }
}

TEST_CASE("the default model is as its makers describe it", "[model]") {
  CAPTURE(test::model_path());
  auto gguf = Gguf::load(test::model_path());
  if (!gguf) FAIL(gguf.error().message());
  CHECK(gguf->version() == 3);
  CHECK(gguf->file_bytes() == 98362432);
  CHECK(gguf->tensors().size() == 272);
  CHECK(*gguf->string("general.architecture") == "llama");
  CHECK(*gguf->u32("llama.block_count") == 30);
  CHECK(*gguf->f32("llama.rope.freq_base") == 100000.0f);
  CHECK(gguf->strings("tokenizer.ggml.tokens")->size() == 49152);
  int counts[kDTypeCount] = {};
  for (const GgufTensor& tensor : gguf->tensors()) ++counts[static_cast<int>(tensor.view.dtype)];
  CHECK(counts[static_cast<int>(DType::q4_1)] == 210);
  CHECK(counts[static_cast<int>(DType::f32)] == 61);
  CHECK(counts[static_cast<int>(DType::q8_0)] == 1);
  const GgufTensor* embedding = gguf->find_tensor("token_embd.weight");
  REQUIRE(embedding != nullptr);
  CHECK(embedding->view.dtype == DType::q8_0);
  CHECK(embedding->view.shape[0] == 49152);
  CHECK(embedding->view.shape[1] == 576);
  CHECK(gguf->content_hash() == 0xc80f477edde45c06u);  // recipes that were saved name the model by it
}
