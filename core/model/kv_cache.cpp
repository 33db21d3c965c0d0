#include "core/model/kv_cache.h"

#include <cstring>

namespace glassbox {

KvPool::KvPool(const ModelConfig& config, Precision precision)
    : shelf_(std::make_shared<Shelf>()), dtype_(precision == Precision::exact ? DType::f32 : DType::f16) {
  const size_t value_bytes = dtype_ == DType::f32 ? 4 : 2;
  for (const LayerConfig& layer : config.layers) {
    offsets_.push_back(block_bytes_);
    sizes_.push_back(static_cast<size_t>(layer.kv_heads) * kKvBlock * static_cast<size_t>(layer.head_dim) * value_bytes);
    block_bytes_ += 2 * sizes_.back();
  }
}

KvPool::Block KvPool::take() {
  Buffer buffer;
  {
    std::lock_guard lock(shelf_->mutex);
    if (!shelf_->free.empty()) {
      buffer = std::move(shelf_->free.back());
      shelf_->free.pop_back();
    }
  }
  if (buffer.bytes() == 0) buffer = Buffer(block_bytes_);
  {
    std::lock_guard lock(shelf_->mutex);
    shelf_->live += block_bytes_;
  }
  std::byte* data = buffer.data();
  auto keeper = std::make_shared<Buffer>(std::move(buffer));
  return {data, [keeper, shelf = shelf_](std::byte*) {
            std::lock_guard lock(shelf->mutex);
            shelf->live -= keeper->bytes();
            shelf->free.push_back(std::move(*keeper));
          }};
}

size_t KvPool::live_bytes() const {
  std::lock_guard lock(shelf_->mutex);
  return shelf_->live;
}

KvSequence KvSequence::fork(int length) const {
  KvSequence copy(pool_);
  const size_t needed = static_cast<size_t>((length + kKvBlock - 1) / kKvBlock);
  copy.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(needed));
  copy.length_ = length;
  copy.lay_out();
  return copy;
}

void KvSequence::truncate(int length) {
  length_ = length;
  const size_t needed = static_cast<size_t>((length + kKvBlock - 1) / kKvBlock);
  if (needed < blocks_.size()) {
    blocks_.resize(needed);
    lay_out();
  }
}

void KvSequence::reserve(int end) {
  const size_t needed = static_cast<size_t>((end + kKvBlock - 1) / kKvBlock);
  std::vector<KvPool::Block> blocks = blocks_;
  bool changed = false;
  // Only the block that holds position length_ can be both shared and written to.
  const size_t first_written = static_cast<size_t>(length_ / kKvBlock);
  for (size_t b = first_written; b < blocks.size() && b < needed; ++b) {
    // Two references are our own: blocks_ and its copy here.
    if (blocks[b].use_count() > 2) {
      KvPool::Block fresh = pool_->take();
      std::memcpy(fresh.get(), blocks[b].get(), pool_->block_bytes());
      blocks[b] = std::move(fresh);
      changed = true;
    }
  }
  while (blocks.size() < needed) {
    blocks.push_back(pool_->take());
    changed = true;
  }
  if (!changed) return;
  pointers_.reserve(static_cast<size_t>(pool_->layer_count()) * 2 * blocks.size());
  blocks_ = std::move(blocks);
  lay_out();
}

void KvSequence::lay_out() {
  pointers_.resize(static_cast<size_t>(pool_->layer_count()) * 2 * blocks_.size());
  size_t i = 0;
  for (int layer = 0; layer < pool_->layer_count(); ++layer) {
    for (const KvPool::Block& block : blocks_) pointers_[i++] = block.get() + pool_->layer_offset(layer);
    for (const KvPool::Block& block : blocks_) {
      pointers_[i++] = block.get() + pool_->layer_offset(layer) + pool_->values_offset(layer);
    }
  }
}

KvSpan KvSequence::layer(int layer) const {
  const size_t base = static_cast<size_t>(layer) * 2 * blocks_.size();
  return {pointers_.data() + base, pointers_.data() + base + blocks_.size(), pool_->dtype()};
}

}  // namespace glassbox
