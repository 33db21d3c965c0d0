#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <set>

#include "core/run/random.h"

using namespace glassbox;

TEST_CASE("philox gives the published known answers", "[random]") {
  // Random123's kat_vectors for philox4x32-10.
  using Words = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xffffffffu;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a draw takes its bits from the block of its place", "[random]") {
  // Counter 0 under key 0: the upper 27 bits of 6627e8d5 and the upper 26 of e169c58d.
  CHECK(draw_uniform(0, 0, 0) == (std::ldexp(0x6627e8d5u >> 5, 26) + (0xe169c58du >> 6)) / 0x1p53);
  CHECK(draw_uniform(42, 3, 7) == draw_uniform(42, 3, 7));
}

TEST_CASE("seed, branch and position each change the number", "[random]") {
  std::set<double> seen;
  for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{42}, uint64_t{1} << 32, (uint64_t{1} << 53) - 1}) {
    for (uint32_t branch : {0u, 1u, 0xffffffffu}) {
      for (uint64_t position : {uint64_t{0}, uint64_t{1}, uint64_t{8191}, uint64_t{1} << 32}) {
        seen.insert(draw_uniform(seed, branch, position));
      }
    }
  }
  CHECK(seen.size() == 5 * 3 * 4);
}

TEST_CASE("draws lie in [0, 1) and are uniform", "[random]") {
  constexpr int kCount = 200000, kBins = 100;
  std::array<int, kBins> bins{};
  double sum = 0, products = 0, previous = 0.5;
  for (int i = 0; i < kCount; ++i) {
    const double u = draw_uniform(42, static_cast<uint32_t>(i % 7), static_cast<uint64_t>(i / 7));
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    ++bins[static_cast<size_t>(u * kBins)];
    sum += u;
    products += (u - 0.5) * (previous - 0.5);
    previous = u;
  }
  double chi = 0;
  for (const int bin : bins) chi += std::pow(bin - kCount / kBins, 2) / (kCount / kBins);
  CHECK(chi < 148.2);  // 99 degrees of freedom, p = 0.001
  CHECK(std::abs(sum / kCount - 0.5) < 4 * std::sqrt(1.0 / 12 / kCount));
  CHECK(std::abs(products / kCount) < 4 * (1.0 / 12) / std::sqrt(kCount));
}
