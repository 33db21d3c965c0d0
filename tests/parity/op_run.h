// One run of an operation on one backend: what it reads and what it writes, in that backend's memory.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "tests/support/key_rows.h"
#include "tests/support/op_bounds.h"

namespace glassbox::testing {

// What an operation has written.
struct Output {
  Kind kind;
  bool gaps;  // some values are not the operation's to write, and are still NaN
  std::vector<std::byte> bytes;
  std::vector<float> floats() const {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

// Every array lies between sentinels, and outputs are poisoned; both are NaN in every float format and no address, so
// that a value which was read where it should not, or not written, is seen in what comes out. Where the memory is the
// host's, arrays begin wherever their type may begin, and not at multiples of a register's size; under AddressSanitizer
// the sentinels are out of bounds.
class OpRun {
 public:
  // sentinel_bytes: on each side of an array, a multiple of 256; 0 where somebody else watches the bounds.
  OpRun(Ops& backend, size_t sentinel_bytes) : ops(backend), sentinel_bytes_(sentinel_bytes) {}
  ~OpRun();
  OpRun(const OpRun&) = delete;
  OpRun& operator=(const OpRun&) = delete;

  Ops& ops;

  // ---- What the operation only reads. finish() sees that it has.

  template <class T>
  const T* input(const std::vector<T>& values) {
    return reinterpret_cast<const T*>(place(values.data(), values.size() * sizeof(T), alignof(T), {}));
  }
  template <class T>
  std::span<const T> inputs(const std::vector<T>& values) {
    return {input(values), values.size()};
  }
  // A matrix of the host, with its rows `gap` bytes further apart.
  Tensor weights(const Tensor& host, int64_t gap = 0);
  // A layer of the host.
  Linear layer(const Linear& host, int64_t gap = 0);
  AttentionArgs attention(const AttentionCase& host);
  std::span<const KeyRow> key_rows(const KeyRows& rows, float* data) { return inputs(rows.at(data)); }

  // ---- What it writes, in the order of these calls.

  float* output(size_t n, Kind kind);
  // With gaps that must stay as they are.
  float* output(const KeyRows& rows, Kind kind);
  // Where it reads `values` first.
  float* in_place(const std::vector<float>& values, Kind kind);
  // The cache of attention(), which must be called after it then.
  void writes_cache() { writes_cache_ = true; }

  // Waits, looks at the inputs and the sentinels, and returns the outputs.
  std::vector<Output> finish();

 private:
  struct Role {
    bool output = false, gaps = false;
    Kind kind = Kind::same;
  };
  struct Array {
    Role role;
    Buffer memory;
    std::vector<std::byte> image;  // of the memory, sentinels too, before the run
    size_t begin, bytes;           // of the array in it
  };
  // values: null for poison.
  std::byte* place(const void* values, size_t bytes, size_t alignment, const Role& role);
  static void close(const Array& array, bool closed);

  size_t sentinel_bytes_;
  bool writes_cache_ = false;
  std::vector<Array> arrays_;
};

}  // namespace glassbox::testing
