#include "kernels/cpu/cpu_ops.h"

#include <algorithm>

namespace glassbox::cpu {
namespace {

// Sets of rotary frequencies in one model are one or two; more than these are not worth looking through.
constexpr size_t kRopeTables = 8;

}  // namespace

CpuOps::CpuOps(const KernelTable& kernels, int threads, bool pin_threads)
    : kernels_(kernels), pool_(threads, pin_threads), scratch_(static_cast<size_t>(threads)) {}

std::string CpuOps::description() const {
  return std::string("cpu ") + kernels_.name + " ×" + std::to_string(pool_.threads());
}

void CpuOps::reserve_scratch(size_t bytes) {
  for (Buffer& buffer : scratch_) {
    if (buffer.bytes() < bytes) buffer = Buffer(bytes);
  }
}

template <class Body>
void CpuOps::for_parts(int64_t n, const Body& body) {
  if (n < kParallelElements) return body(0, n);
  pool_.parallel_for((n + kPartElements - 1) / kPartElements, [&](int, int64_t part) {
    const int64_t first = part * kPartElements;
    body(first, std::min(kPartElements, n - first));
  });
}

void CpuOps::embed(const Tensor& table, std::span<const int32_t> ids, float* out) {
  const int64_t columns = table.columns();
  for_rows(static_cast<int64_t>(ids.size()), columns, [&](int64_t r) {
    dequantise_row(table.dtype, table.row(ids[static_cast<size_t>(r)]), 0, columns, out + r * columns);
  });
}

void CpuOps::rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) {
  for_rows(rows, n, [&](int64_t r) { kernels_.rmsnorm(x + r * n, weight, eps, n, out + r * n); });
}

void CpuOps::layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                       float* out) {
  for_rows(rows, n, [&](int64_t r) { kernels_.layernorm(x + r * n, weight, bias, eps, n, out + r * n); });
}

void CpuOps::rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
                  float attention_factor, float* out) {
  const int half = head_dim / 2;
  auto table = std::find_if(rope_tables_.begin(), rope_tables_.end(),
                            [&](const RopeTable& t) { return t.fits(frequency, half, attention_factor); });
  if (table == rope_tables_.end()) {
    if (rope_tables_.size() == kRopeTables) rope_tables_.erase(rope_tables_.begin());
    rope_tables_.emplace_back(frequency, half, attention_factor);
    table = rope_tables_.end() - 1;
  }
  for (const RowPosition& row : rows) table->prepare(row.position);
  const int64_t columns = static_cast<int64_t>(heads) * head_dim;
  for_rows(static_cast<int64_t>(rows.size()), columns, [&](int64_t r) {
    const int32_t position = rows[static_cast<size_t>(r)].position;
    kernels_.rotate(x + r * columns, table->cosine(position), table->sine(position), heads, head_dim,
                    out + r * columns);
  });
}

void CpuOps::add(const float* a, const float* b, int64_t n, float* out) {
  for_parts(n, [&](int64_t first, int64_t count) { kernels_.add(a + first, b + first, count, out + first); });
}

void CpuOps::multiply(const float* a, const float* b, int64_t n, float* out) {
  for_parts(n, [&](int64_t first, int64_t count) { kernels_.multiply(a + first, b + first, count, out + first); });
}

void CpuOps::silu(const float* x, int64_t n, float* out) {
  for_parts(n, [&](int64_t first, int64_t count) { kernels_.silu(x + first, count, out + first); });
}

void CpuOps::gelu_tanh(const float* x, int64_t n, float* out) {
  for_parts(n, [&](int64_t first, int64_t count) { kernels_.gelu_tanh(x + first, count, out + first); });
}

}  // namespace glassbox::cpu
