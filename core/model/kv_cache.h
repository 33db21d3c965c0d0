// The key/value cache: reference-counted blocks of positions that sequences share after a fork.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "core/model/config.h"
#include "kernels/ops.h"
#include "kernels/tensor.h"

namespace glassbox {

// Hands out blocks for one model and one precision, and keeps freed ones for reuse. Blocks may be given back from any
// thread. They are cut from slabs that are large enough for the system's large pages: attention jumps from block to
// block, and with small pages each jump costs a walk through the page tables.
// A block holds kKvBlock positions of all layers: for each layer K [G, D, kKvBlock], then V [G, kKvBlock, D].
class KvPool {
 public:
  // Blocks lie in the memory of `ops`; whoever uses these also takes blocks.
  KvPool(const ModelConfig& config, Precision precision, std::shared_ptr<Ops> ops);

  using Block = std::shared_ptr<std::byte>;
  Block take();

  // Gives back the memory of which no block is in use: other memory of the device may be wanted more.
  void release_unused();

  DType dtype() const { return dtype_; }
  size_t block_bytes() const { return block_bytes_; }
  // Where the layer's K and V begin in a block.
  size_t keys_at(int layer) const { return offsets_[static_cast<size_t>(layer)]; }
  size_t values_at(int layer) const { return keys_at(layer) + sizes_[static_cast<size_t>(layer)]; }
  size_t live_bytes() const;
  Ops& ops() const { return *ops_; }

 private:
  struct Shelf {  // outlives the pool while blocks are out
    std::mutex mutex;
    std::vector<Buffer> slabs;
    std::vector<std::byte*> free;
    size_t live = 0;
  };
  std::shared_ptr<Ops> ops_;
  std::shared_ptr<Shelf> shelf_;
  DType dtype_;
  size_t block_bytes_ = 0;
  size_t slab_blocks_ = 1;
  std::vector<size_t> offsets_;  // [L]
  std::vector<size_t> sizes_;    // [L] bytes of K (and of V)
};

// One line of positions. Its length changes only by commit() after a successful forward, and by truncate().
class KvSequence {
 public:
  explicit KvSequence(std::shared_ptr<KvPool> pool) : pool_(std::move(pool)) {}

  int length() const { return length_; }
  size_t bytes() const { return blocks_.size() * pool_->block_bytes(); }  // shared blocks count here too

  // A sequence with the same first `length` positions. Blocks are shared; whoever writes first copies.
  KvSequence fork(int length) const;
  void truncate(int length);

  // Makes room for the positions [length(), end), copying the last block if it is shared. Strong guarantee: on
  // std::bad_alloc nothing has changed.
  void reserve(int end);
  void commit(int length) { length_ = length; }

  // Its blocks in order, valid until the next reserve or truncate.
  std::span<const KvPool::Block> blocks() const { return blocks_; }
  const KvPool& pool() const { return *pool_; }

 private:
  std::shared_ptr<KvPool> pool_;
  std::vector<KvPool::Block> blocks_;
  int length_ = 0;
};

}  // namespace glassbox
