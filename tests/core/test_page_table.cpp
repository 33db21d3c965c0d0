// The table of pages against a list of the page that each position has.
#include <catch2/catch_test_macros.hpp>

#include <random>

#include "core/probe/page_table.h"

namespace glassbox {
namespace {

constexpr Tap kTap = Tap::attn_z;

// What the table should say.
struct Line {
  std::vector<const Page*> pages;  // by position; null: none
  void insert(const Page* page, int begin, int end) {
    pages.resize(static_cast<size_t>(std::min(begin, static_cast<int>(pages.size()))));
    pages.resize(static_cast<size_t>(begin), nullptr);
    pages.resize(static_cast<size_t>(end), page);
  }
  void truncate(int length) { pages.resize(std::min(pages.size(), static_cast<size_t>(length))); }
};

void check(const PageTable& table, const Line& line) {
  const int length = static_cast<int>(line.pages.size());
  for (int position = 0; position < length + 2; ++position) {
    const Page* const wanted = position < length ? line.pages[static_cast<size_t>(position)] : nullptr;
    if (table.find(kTap, 0, position) != wanted) FAIL("position " << position << " of " << length);
  }
  const auto gap = std::find(line.pages.begin(), line.pages.end(), nullptr);
  CHECK(table.first_missing(kTap, 0, length + 5) == static_cast<int>(gap - line.pages.begin()));
  CHECK(table.first_missing(kTap, 0, 3) == std::min<int>(3, static_cast<int>(gap - line.pages.begin())));
}

TEST_CASE("a table of pages says which page each position has, and its copies stay as they were") {
  const auto pool = std::make_shared<PagePool>();
  std::mt19937 random(1);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 20; ++round) {
    PageTable table;
    Line line;
    std::vector<std::pair<PageTable, Line>> copies;
    for (int step = 0; step < 400; ++step) {
      const int length = static_cast<int>(line.pages.size());
      if (below(40) == 0) {
        const int cut = below(length + 1);
        table.truncate(cut);
        line.truncate(cut);
      } else {
        // Mostly a token more, as when a text grows; now and then several, over what is there, or behind a gap.
        const int begin = below(60) == 0 ? below(length + 1) : below(200) == 0 ? length + 2 : length;
        const int size = below(10) == 0 ? 1 + below(20) : 1, end = begin + 1 + below(size);
        const auto page = std::make_shared<Page>(pool, kTap, 0, begin, begin + size, 1, 1, false);
        table.insert(page, end);
        line.insert(page.get(), begin, end);
      }
      if (step % 50 == 0) copies.emplace_back(table, line);
    }
    check(table, line);
    for (const auto& [copy, as_it_was] : copies) check(copy, as_it_was);
  }
}

TEST_CASE("a table without pages covers nothing") {
  PageTable table;
  CHECK(table.find(kTap, 0, 0) == nullptr);
  CHECK(table.first_missing(kTap, 0, 7) == 0);
  table.truncate(0);
  CHECK(table.first_missing(kTap, 3, 7) == 0);
}

}  // namespace
}  // namespace glassbox
