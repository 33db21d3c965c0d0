// Byte-pair encoding inside one piece (Sennrich, Haddow & Birch 2016; on bytes as in GPT-2, Radford et al. 2019): the
// piece starts as one symbol a byte; the pair of neighbours that was learned first (the lowest rank, the leftmost of
// equals) is merged, until no pair of neighbours is in the list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace glassbox {

struct Merge {
  int32_t rank = -1;  // place in the list of merges; −1: this pair is none
  int32_t id = -1;    // of the token that the pair becomes
};

// The list of merges by pair of token ids, as a hash table with open addressing. Read-only once built.
class MergeTable {
 public:
  MergeTable() = default;
  explicit MergeTable(size_t expected);
  // False when the pair is there already (the earlier rank stays).
  bool add(int32_t left, int32_t right, Merge merge);
  Merge find(int32_t left, int32_t right) const;
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  size_t slot_of(uint64_t pair) const;
  void grow();

  std::vector<Slot> slots_;
  size_t size_ = 0;
};

// A run of bytes of the piece that is one token so far.
struct Symbol {
  int32_t id;
  uint32_t start, end;  // byte offsets
  friend bool operator==(const Symbol&, const Symbol&) = default;
};

// Merges `symbols` in place. O(n log n) in their number, also for a million equal letters.
void merge_symbols(const MergeTable& merges, std::vector<Symbol>& symbols);

// One step of the same, seen in full.
struct MergeStep {
  std::vector<Merge> pairs;     // of the symbols before the step: pairs[i] joins symbols i and i + 1; rank −1: none
  uint32_t left = 0;            // index of the winning pair
  Merge merge;                  // its rank and the token it becomes
  std::vector<Symbol> symbols;  // after the step
};

// All steps from `symbols` to the end, found the obvious way. O(n²) in time and memory: for pieces that people look at.
std::vector<MergeStep> trace_merge_steps(const MergeTable& merges, std::vector<Symbol> symbols);

}  // namespace glassbox
