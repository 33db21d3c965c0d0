#include "tests/parity/op_run.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace glassbox::testing {
namespace {

// Over and over: NaN as f32, f16 and bf16, and as eight bytes no address. As f32 it is a signalling one, which comes
// quieter out of whatever computes with it; and what only moves an input's sentinel to an output's shows too.
constexpr uint16_t kOfInputs = 0xffad, kOfOutputs = 0xffa5;
// Where weights begin in a file, and blocks of a cache in memory.
constexpr size_t kWeightAlignment = 32, kCacheAlignment = 64;

}  // namespace

OpRun::~OpRun() {
  for (const Array& array : arrays_) close(array, false);
}

void OpRun::close([[maybe_unused]] const Array& array, [[maybe_unused]] bool closed) {
#ifdef __SANITIZE_ADDRESS__
  const std::byte* const all = array.memory.data();
  const std::pair<size_t, size_t> sides[] = {{0, array.begin}, {array.begin + array.bytes, array.memory.bytes()}};
  for (const auto& [first, end] : sides) {
    if (closed) {
      ASAN_POISON_MEMORY_REGION(all + first, end - first);
    } else {
      ASAN_UNPOISON_MEMORY_REGION(all + first, end - first);
    }
  }
#endif
}

std::byte* OpRun::place(const void* values, size_t bytes, size_t alignment, const Role& role) {
  const size_t begin = sentinel_bytes_ + (ops.on_host() ? alignment : 0);  // an odd multiple of it
  std::vector<std::byte> image(begin + bytes + sentinel_bytes_);
  const unsigned sentinel = role.output ? kOfOutputs : kOfInputs;
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::byte>(sentinel >> (i % 2 * 8));
  if (values != nullptr && bytes > 0) std::memcpy(image.data() + begin, values, bytes);
  Array& array = arrays_.emplace_back(Array{role, ops.allocate(image.size()), std::move(image), begin, bytes});
  ops.upload(array.image.data(), array.image.size(), array.memory.data());
  close(array, true);
  return array.memory.data() + begin;
}

Tensor OpRun::weights(const Tensor& host, int64_t gap) {
  Tensor tensor = host;
  tensor.row_bytes += gap;
  std::vector<std::byte> bytes(static_cast<size_t>(host.rows() * tensor.row_bytes - gap), std::byte{0xff});
  for (int64_t r = 0; r < host.rows(); ++r) {
    std::memcpy(bytes.data() + r * tensor.row_bytes, host.row(r), static_cast<size_t>(host.row_bytes));
  }
  tensor.data = place(bytes.data(), bytes.size(), kWeightAlignment, {});
  return tensor;
}

Linear OpRun::layer(const Linear& host, int64_t gap) {
  return {weights(host.weight, gap), host.bias.empty() ? Tensor{} : weights(host.bias)};
}

AttentionArgs OpRun::attention(const AttentionCase& host) {
  AttentionArgs args = host.host;
  const Buffer& cache = host.cache.memory();
  std::byte* memory = place(cache.data(), cache.bytes(), kCacheAlignment, {writes_cache_, false, Kind::same});
  args.rows = input(host.rows);
  args.sequences = input(host.cache.sequences_of(input(host.cache.table_of(memory))));
  return args;
}

float* OpRun::output(size_t n, Kind kind) {
  return reinterpret_cast<float*>(place(nullptr, n * sizeof(float), sizeof(float), {true, false, kind}));
}

float* OpRun::output(const KeyRows& rows, Kind kind) {
  return reinterpret_cast<float*>(place(nullptr, rows.size * sizeof(float), sizeof(float), {true, true, kind}));
}

float* OpRun::in_place(const std::vector<float>& values, Kind kind) {
  return reinterpret_cast<float*>(
      place(values.data(), values.size() * sizeof(float), sizeof(float), {true, false, kind}));
}

std::vector<Output> OpRun::finish() {
  std::vector<std::vector<std::byte>> found;
  for (const Array& array : arrays_) {
    close(array, false);
    found.emplace_back(array.image.size());
    ops.download(array.memory.data(), array.image.size(), found.back().data());
  }
  ops.wait();
  std::vector<Output> outputs;
  size_t inputs = 0;
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const auto& [role, memory, image, begin, bytes] = arrays_[i];
    const size_t end = begin + bytes;
    const auto changed = [&, &before = image](size_t first, size_t count) {
      return std::memcmp(found[i].data() + first, before.data() + first, count) != 0;
    };
    const std::string name =
        role.output ? "output " + std::to_string(outputs.size() + 1) : "input " + std::to_string(++inputs);
    if (changed(0, begin)) FAIL_CHECK("something was written before " << name);
    if (changed(end, image.size() - end)) FAIL_CHECK("something was written behind " << name);
    if (!role.output) {
      if (changed(begin, bytes)) FAIL_CHECK(name << " was changed");
      continue;
    }
    outputs.push_back(
        {role.kind,
         role.gaps,
         {found[i].begin() + static_cast<std::ptrdiff_t>(begin), found[i].begin() + static_cast<std::ptrdiff_t>(end)}});
  }
  return outputs;
}

}  // namespace glassbox::testing
