// Every truncation and every changed byte of a small file: the answer is an Error or a file that can be used, never a
// crash. Under AddressSanitizer each copy lies in memory of exactly its size, so a read beyond the end is seen.
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <memory>
#include <string>

#include "core/io/gguf.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"
#include "tests/support/gguf_writer.h"

using namespace glassbox;
using test::GgufWriter;

namespace {

std::string small_file() {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("general.alignment", 32);
  writer.add_u32("llama.block_count", 1);
  writer.add_f64("real", 0.5);
  writer.add_strings("words", {"one", "two"});
  writer.add_numbers<int64_t>("numbers", GgufType::i64, {1, 2});
  writer.add("nested", GgufType::array,
             GgufWriter::array_head(GgufType::array, 2) + GgufWriter::array_head(GgufType::u8, 1) + "x" +
                 GgufWriter::array_head(GgufType::string, 1) + GgufWriter::string("y"));
  writer.add_string("tokenizer.chat_template", "{{ x }}");
  writer.add_tensor("token_embd.weight", 8, {32, 2}, std::string(68, 'q'));
  writer.add_tensor("norm", 0, {3}, std::string(12, 'n'));
  return writer.finish();
}

std::string small_tokenizer_file() {
  GgufWriter writer;
  test::add_tiny_tokenizer(writer);
  return writer.finish();
}

// Touches all that a file that was accepted offers. Returns whether it was accepted.
bool use(const std::string& file) {
  const std::unique_ptr<std::byte[]> copy(new std::byte[file.size()]);
  std::memcpy(copy.get(), file.data(), file.size());
  auto gguf = Gguf::parse({copy.get(), file.size()}, "mutated.gguf");
  if (!gguf) {
    const bool complete = gguf.error().kind == ErrorKind::bad_file && !gguf.error().where.empty();
    if (!complete) FAIL("an error without its place: " << gguf.error().message());
    return false;
  }
  size_t touched = 0;
  for (const GgufEntry& entry : gguf->entries()) {
    touched += describe(entry.value).size();
    if (auto list = gguf->strings(entry.key)) {
      for (const std::string_view text : *list) touched += std::string(text).size();
    }
    if (auto list = gguf->f32_array(entry.key)) touched += list->size();
    if (auto list = gguf->i32_array(entry.key)) touched += list->size();
    touched += gguf->u32(entry.key).ok() + gguf->f32(entry.key).ok() + gguf->boolean(entry.key).ok();
  }
  for (const GgufTensor& tensor : gguf->tensors()) {
    std::vector<float> row(static_cast<size_t>(tensor.view.columns()));
    for (int64_t r = 0; r < tensor.view.rows(); ++r) {
      dequantise_row(tensor.view.dtype, tensor.view.row(r), 0, tensor.view.columns(), row.data());
    }
    touched += row.size();
  }
  touched += gguf->content_hash() != 0;
  if (auto tokenizer = Tokenizer::make_from_gguf(*gguf)) {
    touched += tokenizer->encode("the aaaa <|end|>er 12 é").size();
    for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) touched += tokenizer->text_of(id).size();
    touched += ChatTemplate::make_from_gguf(*gguf, *tokenizer).ok();
  }
  return touched > 0;
}

void mutate_all(const std::string& file, size_t step) {
  REQUIRE(use(file));
  int accepted = 0;
  for (size_t at = 0; at < file.size(); at += step) {
    for (const int change : {0x01, 0x80, 0xff}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ change);
      accepted += use(changed);
    }
    std::string zeroed = file;
    zeroed[at] = '\0';
    accepted += use(zeroed);
  }
  CHECK(accepted > 0);  // names and weights may say anything; else this test would test nothing but the header
}

}  // namespace

TEST_CASE("a file cut off anywhere is refused") {
  const std::string file = small_file();
  REQUIRE(use(file));
  // The last 20 bytes pad the last tensor (12 bytes in 32): without them the file is still whole.
  for (size_t length = 0; length < file.size(); ++length) {
    CAPTURE(length);
    REQUIRE(use(file.substr(0, length)) == (length >= file.size() - 20));
  }
}

TEST_CASE("any byte of a file may be wrong") {
  mutate_all(small_file(), 1);
}

TEST_CASE("any byte of a vocabulary may be wrong") {
  mutate_all(small_tokenizer_file(), 3);
}

TEST_CASE("eight bytes at a time may be wrong") {
  const std::string file = small_file();
  for (size_t at = 0; at + 8 <= file.size(); ++at) {
    for (const uint64_t value : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 32, uint64_t{0x7fffffff}}) {
      std::string changed = file;
      std::memcpy(changed.data() + at, &value, sizeof value);
      use(changed);
    }
  }
}
