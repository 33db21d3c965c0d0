// Rows, queries and a key/value cache, on the host and on the device.
#pragma once

#include <memory>

#include "tests/gpu/parity.h"
#include "tests/support/attention_case.h"
#include "tests/support/key_rows.h"

namespace glassbox::testing {

// The caches of a case once more, on the device.
class DeviceCaches {
 public:
  explicit DeviceCaches(const CacheBytes& host)
      : host_(host),
        memory_(bytes_of(host.memory())),
        table_(host.table_of(memory_.data())),
        sequences_(host.sequences_of(table_.data())) {}
  void describe(AttentionArgs& args) const { args.sequences = sequences_.data(); }
  // Bytes that the device's cache has otherwise than the host's.
  size_t differences() const {
    const std::vector<std::byte> found = memory_.read();
    size_t count = 0;
    for (size_t i = 0; i < found.size(); ++i) count += found[i] == host_.memory().data()[i] ? 0 : 1;
    return count;
  }
  const std::byte* device_memory() const { return memory_.data(); }

 private:
  static std::vector<std::byte> bytes_of(const Buffer& memory) {
    return {memory.data(), memory.data() + memory.bytes()};
  }
  const CacheBytes& host_;
  DeviceBuffer<std::byte> memory_;
  DeviceBuffer<std::byte*> table_;
  DeviceBuffer<std::byte* const*> sequences_;
};

// Some rows of some sequences, whose keys are all stored, on the host and on the device.
struct AttentionProblem : AttentionCase {
  AttentionProblem(const Shape& s, DType dtype, const std::vector<int32_t>& lengths, std::vector<RowPosition> r)
      : AttentionCase(s, dtype, lengths, std::move(r)), caches(cache), device_rows(rows) {}
  AttentionArgs device() const {
    AttentionArgs args = host;
    args.rows = device_rows.data();
    caches.describe(args);
    return args;
  }
  DeviceCaches caches;
  DeviceBuffer<RowPosition> device_rows;
};

}  // namespace glassbox::testing
