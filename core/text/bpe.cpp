#include "core/text/bpe.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace glassbox {

namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(size_t expected) {
  size_t slots = 16;
  while (slots < 2 * expected) slots *= 2;  // at most half full, so that a search ends soon
  slots_.resize(slots);
}

size_t MergeTable::slot_of(uint64_t pair) const {
  uint64_t h = pair * 0x9e3779b97f4a7c15u;  // Fibonacci hashing: the upper bits depend on all bits of the pair
  h ^= h >> 32;
  size_t slot = h & (slots_.size() - 1);
  while (slots_[slot].pair != kEmpty && slots_[slot].pair != pair) slot = (slot + 1) & (slots_.size() - 1);
  return slot;
}

void MergeTable::grow() {
  std::vector<Slot> old(std::max<size_t>(16, 2 * slots_.size()));
  old.swap(slots_);
  for (const Slot& entry : old) {
    if (entry.pair != kEmpty) slots_[slot_of(entry.pair)] = entry;
  }
}

bool MergeTable::add(int32_t left, int32_t right, Merge merge) {
  if (2 * (size_ + 1) > slots_.size()) grow();
  Slot& slot = slots_[slot_of(pair_key(left, right))];
  if (slot.pair != kEmpty) return false;
  slot = {pair_key(left, right), merge};
  ++size_;
  return true;
}

Merge MergeTable::find(int32_t left, int32_t right) const {
  if (slots_.empty()) return {};
  const Slot& slot = slots_[slot_of(pair_key(left, right))];
  return slot.pair == kEmpty ? Merge{} : slot.merge;
}

namespace {

// Up to here looking at all pairs for each merge costs less than keeping them in order.
constexpr size_t kShortPiece = 32;

void merge_short(const MergeTable& merges, std::vector<Symbol>& symbols) {
  Merge pairs[kShortPiece];  // pairs[i] joins symbols i and i + 1
  size_t last = symbols.size() - 1;
  for (size_t i = 0; i < last; ++i) pairs[i] = merges.find(symbols[i].id, symbols[i + 1].id);
  while (last > 0) {
    size_t best = 0;
    uint32_t rank = UINT32_MAX;  // what is no pair has −1, and so the highest
    for (size_t i = 0; i < last; ++i) {
      if (static_cast<uint32_t>(pairs[i].rank) < rank) rank = static_cast<uint32_t>(pairs[i].rank), best = i;
    }
    if (rank == UINT32_MAX) break;
    symbols[best].id = pairs[best].id;
    symbols[best].end = symbols[best + 1].end;
    for (size_t i = best + 1; i < last; ++i) symbols[i] = symbols[i + 1], pairs[i - 1] = pairs[i];
    --last;
    if (best > 0) pairs[best - 1] = merges.find(symbols[best - 1].id, symbols[best].id);
    if (best < last) pairs[best] = merges.find(symbols[best].id, symbols[best + 1].id);
  }
  symbols.resize(last + 1);
}

}  // namespace

void merge_symbols(const MergeTable& merges, std::vector<Symbol>& symbols) {
  if (symbols.size() < 2) return;
  if (symbols.size() <= kShortPiece) return merge_short(merges, symbols);
  constexpr uint32_t kNone = UINT32_MAX;
  const auto count = static_cast<uint32_t>(symbols.size());

  // The symbols stay where they are and are linked to their living neighbours; a merged pair lives on in its left one.
  struct Link {
    uint32_t before, after;
  };
  std::vector<Link> links(count);
  for (uint32_t i = 0; i < count; ++i) links[i] = {i == 0 ? kNone : i - 1, i + 1 == count ? kNone : i + 1};

  struct Candidate {
    int32_t rank;
    uint32_t left;
    int32_t left_id, right_id;  // as they were: a pair that has changed since is recognised and dropped
    int32_t id;
    bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  std::vector<Candidate> first;
  const auto candidate = [&](uint32_t left, uint32_t right) {
    const Merge merge = merges.find(symbols[left].id, symbols[right].id);
    return Candidate{merge.rank, left, symbols[left].id, symbols[right].id, merge.id};
  };
  first.reserve(count);
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (const Candidate c = candidate(i, i + 1); c.rank >= 0) first.push_back(c);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>{}, std::move(first));

  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    const uint32_t right = symbols[c.left].id == c.left_id ? links[c.left].after : kNone;
    if (right == kNone || symbols[right].id != c.right_id) continue;

    symbols[c.left].id = c.id;
    symbols[c.left].end = symbols[right].end;
    symbols[right].id = -1;  // dead
    const Link gone = links[right];
    links[c.left].after = gone.after;
    if (gone.after != kNone) {
      links[gone.after].before = c.left;
      if (const Candidate n = candidate(c.left, gone.after); n.rank >= 0) queue.push(n);
    }
    if (const uint32_t before = links[c.left].before; before != kNone) {
      if (const Candidate n = candidate(before, c.left); n.rank >= 0) queue.push(n);
    }
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.id < 0; });
}

std::vector<MergeStep> trace_merge_steps(const MergeTable& merges, std::vector<Symbol> symbols) {
  std::vector<MergeStep> steps;
  for (;;) {
    MergeStep step;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      step.pairs.push_back(merges.find(symbols[i].id, symbols[i + 1].id));
      const Merge& pair = step.pairs.back();
      if (pair.rank >= 0 && (step.merge.rank < 0 || pair.rank < step.merge.rank)) {
        step.merge = pair;
        step.left = static_cast<uint32_t>(i);
      }
    }
    if (step.merge.rank < 0) return steps;
    symbols[step.left].id = step.merge.id;
    symbols[step.left].end = symbols[step.left + 1].end;
    symbols.erase(symbols.begin() + step.left + 1);
    step.symbols = symbols;
    steps.push_back(std::move(step));
  }
}

}  // namespace glassbox
