// Rows, queries and a key/value cache, on the host and on the device.
#pragma once

#include <memory>

#include "tests/gpu/parity.h"

namespace glassbox::testing {

struct Shape {
  int heads, kv_heads, head_dim;
};
// The caches of some sequences twice, on the host and on the device, in blocks that are poisoned with NaN. Before a
// block's keys and values lies what another layer would have.
class Caches {
 public:
  Caches(const Shape& shape, DType dtype, const std::vector<int32_t>& lengths)
      : dtype_(dtype),
        side_(static_cast<size_t>(shape.kv_heads * kKvBlock * shape.head_dim * dtype_info(dtype).block_bytes)) {
    const auto blocks_of = [](int32_t length) { return static_cast<size_t>((length + kKvBlock - 1) / kKvBlock); };
    size_t blocks = 0;
    for (const int32_t length : lengths) blocks += blocks_of(length);
    const size_t block = 2 * side_ + kGap;
    host_memory_.assign(blocks * block, std::byte{0xff});
    device_memory_ = std::make_unique<DeviceBuffer<std::byte>>(host_memory_);
    // Last block first, so that none follows the one before it.
    std::vector<std::byte*> device_table;
    for (size_t b = 0; b < blocks; ++b) {
      host_table_.push_back(host_memory_.data() + (blocks - 1 - b) * block);
      device_table.push_back(device_memory_->data() + (blocks - 1 - b) * block);
    }
    device_table_ = std::make_unique<DeviceBuffer<std::byte*>>(device_table);
    std::vector<std::byte* const*> on_device;
    size_t at = 0;
    for (const int32_t length : lengths) {
      host_sequences_.push_back(host_table_.data() + at);
      on_device.push_back(device_table_->data() + at);
      at += blocks_of(length);
    }
    device_sequences_ = std::make_unique<DeviceBuffer<std::byte* const*>>(on_device);
  }
  void describe_host(AttentionArgs& args) const { describe(args, host_sequences_.data()); }
  void describe_device(AttentionArgs& args) const { describe(args, device_sequences_->data()); }
  void upload() { device_memory_->write(host_memory_); }
  // Bytes that the device's cache has otherwise than the host's.
  size_t differences() const {
    const std::vector<std::byte> found = device_memory_->read();
    size_t count = 0;
    for (size_t i = 0; i < found.size(); ++i) count += found[i] == host_memory_[i] ? 0 : 1;
    return count;
  }
  const std::byte* device_memory() const { return device_memory_->data(); }

 private:
  static constexpr size_t kGap = 64;
  void describe(AttentionArgs& args, std::byte* const* const* sequences) const {
    args.sequences = sequences;
    args.sequence_count = static_cast<int>(host_sequences_.size());
    args.keys_at = kGap;
    args.values_at = static_cast<int64_t>(kGap + side_);
    args.dtype = dtype_;
  }
  DType dtype_;
  size_t side_;
  std::vector<std::byte> host_memory_;
  std::unique_ptr<DeviceBuffer<std::byte>> device_memory_;
  std::vector<std::byte*> host_table_;
  std::unique_ptr<DeviceBuffer<std::byte*>> device_table_;
  std::vector<std::byte* const*> host_sequences_;
  std::unique_ptr<DeviceBuffer<std::byte* const*>> device_sequences_;
};

// Some rows of some sequences, whose keys are all stored.
struct AttentionProblem {
  AttentionProblem(const Shape& s, DType dtype, const std::vector<int32_t>& lengths, std::vector<RowPosition> r)
      : shape(s), caches(s, dtype, lengths), rows(std::move(r)), device_rows(rows) {
    set_rows(host, rows);
    caches.describe_host(host);
    host.heads = s.heads;
    host.kv_heads = s.kv_heads;
    host.head_dim = s.head_dim;
    host.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
    q = random_floats(rows.size() * static_cast<size_t>(s.heads * s.head_dim), 1, 1.5f);
    std::vector<RowPosition> all;
    for (size_t i = 0; i < lengths.size(); ++i) {
      for (int32_t p = 0; p < lengths[i]; ++p) all.push_back({static_cast<int32_t>(i), p});
    }
    const size_t n = all.size() * static_cast<size_t>(s.kv_heads * s.head_dim);
    AttentionArgs store = host;
    set_rows(store, all);
    make_reference_ops()->kv_store(store, random_floats(n, 2).data(), random_floats(n, 3).data());
    caches.upload();
  }
  AttentionArgs device() const {
    AttentionArgs args = host;
    args.rows = device_rows.data();
    caches.describe_device(args);
    return args;
  }
  Shape shape;
  Caches caches;
  std::vector<RowPosition> rows;
  DeviceBuffer<RowPosition> device_rows;
  AttentionArgs host;
  std::vector<float> q;
};

}  // namespace glassbox::testing
