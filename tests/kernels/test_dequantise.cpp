// Dequantisation against the values that the `gguf` package gives (tests/golden/make_quants.py), bit for bit.
#include <algorithm>
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "kernels/tensor.h"

using namespace glassbox;

namespace {

struct Golden {
  std::vector<std::byte> blocks;
  std::vector<float> values;
};

Golden read_golden(DType type) {
  const std::string path =
      std::string(GLASSBOX_SOURCE_DIR "/tests/golden/quants/") + std::string(dtype_info(type).name) + ".bin";
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  const std::string data((std::istreambuf_iterator<char>(file)), {});
  uint32_t sizes[2];
  REQUIRE(data.size() > sizeof sizes);
  std::memcpy(sizes, data.data(), sizeof sizes);
  REQUIRE(data.size() == sizeof sizes + sizes[0] + sizes[1] * sizeof(float));
  Golden golden;
  golden.blocks.resize(sizes[0]);
  golden.values.resize(sizes[1]);
  std::memcpy(golden.blocks.data(), data.data() + sizeof sizes, sizes[0]);
  std::memcpy(golden.values.data(), data.data() + sizeof sizes + sizes[0], sizes[1] * sizeof(float));
  return golden;
}

bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// The definition of IEEE 754 binary16, the slow way.
float half_by_definition(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  if (exponent == 31) return sign * std::numeric_limits<float>::infinity();
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

bool is_half_nan(uint16_t bits) {
  return (bits & 0x7fff) > 0x7c00;
}

}  // namespace

TEST_CASE("every format dequantises to the golden values") {
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    CAPTURE(dtype_info(type).name);
    const Golden golden = read_golden(type);
    const auto count = static_cast<int64_t>(golden.values.size());
    REQUIRE(static_cast<size_t>(row_bytes(type, count)) == golden.blocks.size());

    std::vector<float> out(golden.values.size() + 1, 123.0f);
    dequantise_row(type, golden.blocks.data(), 0, count, out.data());
    for (int64_t i = 0; i < count; ++i) {
      CAPTURE(i);
      REQUIRE(same_bits(out[static_cast<size_t>(i)], golden.values[static_cast<size_t>(i)]));
    }
    CHECK(out.back() == 123.0f);
  }
}

TEST_CASE("a part of a row is the same as that part of the whole row") {
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    CAPTURE(dtype_info(type).name);
    const Golden golden = read_golden(type);
    const int block = dtype_info(type).block_size;
    const auto total = static_cast<int64_t>(golden.values.size());
    for (const int64_t count : {int64_t{1}, int64_t{block - 1}, int64_t{block}, int64_t{block + 1}, total - block}) {
      const int64_t wanted = std::min(count, total - block);
      if (wanted < 1) continue;
      std::vector<float> out(static_cast<size_t>(wanted) + 1, 123.0f);
      dequantise_row(type, golden.blocks.data(), block, wanted, out.data());
      for (int64_t i = 0; i < wanted; ++i) {
        REQUIRE(same_bits(out[static_cast<size_t>(i)], golden.values[static_cast<size_t>(block + i)]));
      }
      CHECK(out.back() == 123.0f);  // nothing beyond what was asked for
    }
  }
}

TEST_CASE("blocks may lie at any address") {
  for (int t = 0; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    CAPTURE(dtype_info(type).name);
    const Golden golden = read_golden(type);
    std::vector<std::byte> shifted(golden.blocks.size() + 1);
    std::copy(golden.blocks.begin(), golden.blocks.end(), shifted.begin() + 1);
    std::vector<float> out(golden.values.size());
    dequantise_row(type, shifted.data() + 1, 0, static_cast<int64_t>(out.size()), out.data());
    CHECK(std::equal(out.begin(), out.end(), golden.values.begin(), same_bits));
  }
}

TEST_CASE("every half float reads as its definition says") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (is_half_nan(half)) {
      if (!std::isnan(value)) FAIL("half " << bits);
    } else if (!same_bits(value, half_by_definition(half))) {
      FAIL("half " << bits << " reads as " << value);
    }
  }
}

TEST_CASE("writing halves inverts reading and rounds to nearest even") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (is_half_nan(half)) continue;
    if (f32_to_f16(f16_to_f32(half)) != half) FAIL("half " << bits);
  }
  // Between two neighbouring halves: just below the middle goes down, just above goes up, the middle to the even one.
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    // Above the largest half lies 65536, where the next one would be: from the middle on values round to infinity.
    const float above = high == 0x7c00 ? 65536.0f : f16_to_f32(high);
    const float middle = f16_to_f32(low) + (above - f16_to_f32(low)) / 2;
    const uint16_t even = (bits & 1) == 0 ? low : high;
    const bool right = f32_to_f16(middle) == even && f32_to_f16(-middle) == (even | 0x8000) &&
                       f32_to_f16(std::nextafter(middle, 0.0f)) == low &&
                       f32_to_f16(std::nextafter(middle, std::numeric_limits<float>::infinity())) == high;
    if (!right) FAIL("around half " << bits);
  }
  CHECK(f32_to_f16(1e10f) == 0x7c00);
  CHECK(f32_to_f16(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(is_half_nan(f32_to_f16(std::numeric_limits<float>::quiet_NaN())));
  CHECK(is_half_nan(f32_to_f16(std::bit_cast<float>(0x7f800001u))));  // a NaN whose payload lies in the dropped bits
}

TEST_CASE("brain floats are the upper half of a float") {
  CHECK(bf16_to_f32(0x3f80) == 1.0f);
  CHECK(bf16_to_f32(0xc040) == -3.0f);
  CHECK(bf16_to_f32(0x7f80) == std::numeric_limits<float>::infinity());
}

TEST_CASE("tensors know their rows") {
  std::vector<std::byte> memory(4096);
  const Tensor tensor = make_tensor(memory.data(), DType::q4_1, {2, 3, 64});
  CHECK(tensor.rank == 3);
  CHECK(tensor.rows() == 6);
  CHECK(tensor.columns() == 64);
  CHECK(tensor.size() == 384);
  CHECK(tensor.row_bytes == 40);
  CHECK(tensor.row(5) == memory.data() + 200);
  CHECK(row_bytes(DType::q6_k, 512) == 420);
  CHECK(row_bytes(DType::bf16, 3) == 6);
}

TEST_CASE("buffers are aligned and may be empty") {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}}) {
    const Buffer buffer(bytes);
    CHECK(buffer.bytes() == bytes);
    REQUIRE(buffer.data() != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % 64 == 0);
  }
  CHECK(Buffer().data() == nullptr);
}
