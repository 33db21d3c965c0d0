#include "kernels/ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace glassbox {

void Ops::upload(const void* host, size_t bytes, void* to) {
  std::memcpy(to, host, bytes);
}

void Ops::download(const void* from, size_t bytes, void* host) {
  std::memcpy(host, from, bytes);
}

void Ops::copy(const void* from, size_t bytes, void* to) {
  std::memcpy(to, from, bytes);
}

void Ops::summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern, const PatternSummary& summary) {
  for (int r = 0; r < args.row_count; ++r) {
    const KeyRow& row = pattern[static_cast<size_t>(r)];
    for (int h = 0; h < args.heads && row.data != nullptr; ++h) {
      summarise_row(row.data + h * row.head_stride, args.rows[r].position + 1,
                    summary.from(int64_t{r} * args.heads + h));
    }
  }
}

void Ops::heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out) {
  const int64_t row_size = int64_t{heads} * head_dim;
  std::fill_n(out, rows * heads * row_size, 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t place = h * head_dim;
      std::copy_n(z + r * row_size + place, head_dim, out + (r * heads + h) * row_size + place);
    }
  }
}

bool Ops::decoder_layer(const DecoderLayer&, const AttentionArgs&, Precision, float*, const LayerScratch&,
                        const LayerOutputs&, const LayerOutputs*) {
  return false;
}

bool Ops::head(const Norm&, const Linear&, float, const float*, int64_t, std::span<const int32_t>, float*, float*) {
  return false;
}

void Ops::draw(const float*, int64_t, std::span<const DrawRow>) {}

void Ops::nearest_rows(const Tensor&, const float*, float, int32_t, int, RowCloseness*, NearestRow*) {}

void Ops::repeat(const RepeatKey&, const std::function<void()>& operations) {
  operations();
}

void Ops::gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x + rows[i] * columns, columns, out + static_cast<int64_t>(i) * columns);
  }
}

void Ops::scale(const float* x, float factor, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = factor * x[i];
}

void Ops::soft_cap(const float* x, float cap, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = cap * std::tanh(x[i] / cap);
}

void Ops::round_to_f16(const float* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = f16_to_f32(f32_to_f16(x[i]));
}

}  // namespace glassbox
