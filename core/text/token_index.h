// The tokens by their bytes: a hash table with open addressing that keeps ids only. The bytes stay where the tokenizer
// has them, so that neither building it nor looking up allocates for each token.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace glassbox {

class TokenIndex {
 public:
  TokenIndex() = default;
  explicit TokenIndex(size_t expected) {
    size_t slots = 16;
    while (slots < 2 * expected) slots *= 2;  // at most half full, so that a search ends soon
    slots_.resize(slots);
  }

  // Precondition: no more than `expected` calls. `bytes_of(id)` tells the bytes of an id that was added before. Of two
  // ids with the same bytes the later one is found.
  template <class BytesOf>
  void add(std::string_view bytes, int32_t id, const BytesOf& bytes_of) {
    const uint64_t hash = hash_of(bytes);
    slots_[slot_of(bytes, hash, bytes_of)] = {static_cast<uint32_t>(hash >> 32), id};
  }

  // −1: none has these bytes.
  template <class BytesOf>
  int32_t find(std::string_view bytes, const BytesOf& bytes_of) const {
    return slots_.empty() ? -1 : slots_[slot_of(bytes, hash_of(bytes), bytes_of)].id;
  }

 private:
  struct Slot {
    uint32_t tag = 0;  // upper half of the hash: saves most looks at the bytes themselves
    int32_t id = -1;
  };

  static uint64_t mix(uint64_t h) {
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
  }
  // Eight bytes at a time; the last eight may overlap those before.
  static uint64_t hash_of(std::string_view bytes) {
    const size_t size = bytes.size();
    uint64_t h = size, word = 0;
    if (size < 8) {
      std::memcpy(&word, bytes.data(), size);
      return mix(mix(h ^ word));
    }
    for (size_t at = 0; at + 8 < size; at += 8) {
      std::memcpy(&word, bytes.data() + at, 8);
      h = mix(h ^ word);
    }
    std::memcpy(&word, bytes.data() + size - 8, 8);
    return mix(mix(h ^ word));
  }

  template <class BytesOf>
  size_t slot_of(std::string_view bytes, uint64_t hash, const BytesOf& bytes_of) const {
    const size_t mask = slots_.size() - 1;
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t slot = hash & mask;
    while (slots_[slot].id >= 0 && (slots_[slot].tag != tag || bytes_of(slots_[slot].id) != bytes)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  std::vector<Slot> slots_;
};

}  // namespace glassbox
