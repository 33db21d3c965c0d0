#include "core/model/kv_cache.h"

#include <algorithm>
#include <functional>

namespace glassbox {
namespace {

constexpr size_t kSlabBytes = size_t{16} << 20;  // untouched parts take no memory

}  // namespace

KvPool::KvPool(const ModelConfig& config, Precision precision, std::shared_ptr<Ops> ops)
    : ops_(std::move(ops)),
      shelf_(std::make_shared<Shelf>()),
      dtype_(precision == Precision::exact ? DType::f32 : DType::f16) {
  const size_t value_bytes = dtype_ == DType::f32 ? 4 : 2;
  for (const LayerConfig& layer : config.layers) {
    offsets_.push_back(block_bytes_);
    sizes_.push_back(static_cast<size_t>(layer.kv_heads) * kKvBlock * static_cast<size_t>(layer.head_dim) *
                     value_bytes);
    block_bytes_ += 2 * sizes_.back();
  }
  slab_blocks_ = std::max<size_t>(1, kSlabBytes / block_bytes_);
}

KvPool::Block KvPool::take() {
  std::byte* block = nullptr;
  {
    std::lock_guard lock(shelf_->mutex);
    if (shelf_->free.empty()) {
      Buffer slab = ops_->allocate(slab_blocks_ * block_bytes_);
      shelf_->free.reserve((shelf_->slabs.size() + 1) * slab_blocks_);  // so that giving back never throws
      for (size_t i = slab_blocks_; i > 0; --i) shelf_->free.push_back(slab.data() + (i - 1) * block_bytes_);
      shelf_->slabs.push_back(std::move(slab));
    }
    block = shelf_->free.back();
    shelf_->free.pop_back();
    shelf_->live += block_bytes_;
  }
  // If the keeper's memory runs out, shared_ptr gives the block back before it throws.
  return {block, [bytes = block_bytes_, shelf = shelf_](std::byte* data) {
            std::lock_guard lock(shelf->mutex);
            shelf->live -= bytes;
            shelf->free.push_back(data);
          }};
}

void KvPool::release_unused() {
  // Goes when the lock is gone: a device waits for all its work before it takes memory back.
  std::vector<Buffer> unused;
  std::lock_guard lock(shelf_->mutex);
  for (Buffer& slab : shelf_->slabs) {
    const auto inside = [&slab](const std::byte* block) {
      return !std::less<>()(block, slab.data()) && std::less<>()(block, slab.data() + slab.bytes());
    };
    std::vector<std::byte*>& free = shelf_->free;
    if (static_cast<size_t>(std::count_if(free.begin(), free.end(), inside)) < slab_blocks_) continue;
    std::erase_if(free, inside);
    unused.push_back(std::move(slab));
  }
  std::erase_if(shelf_->slabs, [](const Buffer& slab) { return slab.data() == nullptr; });
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
  return copy;
}

void KvSequence::truncate(int length) {
  length_ = length;
  const size_t needed = static_cast<size_t>((length + kKvBlock - 1) / kKvBlock);
  if (needed < blocks_.size()) blocks_.resize(needed);
}

void KvSequence::reserve(int end) {
  const size_t needed = static_cast<size_t>((end + kKvBlock - 1) / kKvBlock);
  // Blocks from the one that holds position length_ on are written to; whoever shares them keeps the old bytes.
  const size_t first_written = static_cast<size_t>(length_ / kKvBlock);
  const auto shared = [&](size_t b) { return b < blocks_.size() && blocks_[b].use_count() > 1; };
  bool enough = needed <= blocks_.size();
  for (size_t b = first_written; b < needed && enough; ++b) enough = !shared(b);
  if (enough) return;  // the usual case: nothing is allocated

  std::vector<KvPool::Block> fresh;
  for (size_t b = first_written; b < std::max(needed, first_written); ++b) {
    fresh.push_back(b >= blocks_.size() || shared(b) ? pool_->take() : blocks_[b]);
    if (shared(b) && fresh.back() != blocks_[b])
      pool_->ops().copy(blocks_[b].get(), pool_->block_bytes(), fresh.back().get());
  }
  const size_t count = std::max(needed, blocks_.size());
  blocks_.reserve(count);
  // Nothing below throws.
  blocks_.resize(count);
  std::move(fresh.begin(), fresh.end(), blocks_.begin() + static_cast<ptrdiff_t>(first_written));
}

}  // namespace glassbox
