// Any bytes as a GGUF file: an Error, or a file all of which can be read. Traps on a broken promise.
#include <cstdint>
#include <string>
#include <vector>

#include "core/io/gguf.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"

using namespace glassbox;

namespace {

void require(bool promise) {
  if (!promise) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto gguf = Gguf::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.gguf");
  if (!gguf) {
    require(gguf.error().kind == ErrorKind::bad_file && !gguf.error().where.empty());
    return 0;
  }
  for (const GgufEntry& entry : gguf->entries()) {
    require(gguf->find_value(entry.key) != nullptr);
    (void)describe(entry.value);
    (void)gguf->u32(entry.key).ok();
    (void)gguf->f32(entry.key).ok();
    (void)gguf->i32_array(entry.key).ok();
    (void)gguf->f32_array(entry.key).ok();
    if (auto list = gguf->strings(entry.key)) {
      for (const std::string_view text : *list) (void)std::string(text);
    }
  }
  for (const GgufTensor& tensor : gguf->tensors()) {
    require(tensor.offset + tensor.bytes <= size);
    require(static_cast<uint64_t>(tensor.view.rows() * tensor.view.row_bytes) == tensor.bytes);
    std::vector<float> row(static_cast<size_t>(tensor.view.columns()));
    dequantise_row(tensor.view.dtype, tensor.view.row(tensor.view.rows() - 1), 0, tensor.view.columns(), row.data());
  }
  (void)gguf->content_hash();
  if (auto tokenizer = Tokenizer::make_from_gguf(*gguf)) {
    for (const Token& token : tokenizer->encode("the <|end|> 12 é\n")) {
      require(token.id >= 0 && token.id < tokenizer->vocab_size());
    }
    (void)ChatTemplate::make_from_gguf(*gguf, *tokenizer).ok();
  }
  return 0;
}
