// The oracle: every operation as its equation says, one loop after the other, with sums in double precision. It is slow
// and it is what all other backends are tested against. Both precisions compute the same here.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/ops.h"

namespace glassbox {
namespace {

// One head of the cache: the value at index d of position j.
class CachedHead {
 public:
  // keys: [G, D, kKvBlock] in a block; else values, [G, kKvBlock, D].
  CachedHead(bool keys, const AttentionArgs& args, int32_t sequence, int kv_head)
      : blocks_(args.sequences[sequence]),
        layer_(keys ? args.keys_at : args.values_at),
        dtype_(args.dtype),
        start_(int64_t{kv_head} * kKvBlock * args.head_dim),
        position_stride_(keys ? 1 : args.head_dim),
        dim_stride_(keys ? kKvBlock : 1) {}

  float get(int32_t j, int d) const {
    if (dtype_ == DType::f32) return reinterpret_cast<const float*>(block(j))[index(j, d)];
    return f16_to_f32(reinterpret_cast<const uint16_t*>(block(j))[index(j, d)]);
  }
  void set(int32_t j, int d, float value) {
    if (dtype_ == DType::f32) {
      reinterpret_cast<float*>(block(j))[index(j, d)] = value;
    } else {
      reinterpret_cast<uint16_t*>(block(j))[index(j, d)] = f32_to_f16(value);
    }
  }

 private:
  std::byte* block(int32_t j) const { return blocks_[j / kKvBlock] + layer_; }
  int64_t index(int32_t j, int d) const { return start_ + j % kKvBlock * position_stride_ + d * dim_stride_; }

  std::byte* const* blocks_;
  int64_t layer_;
  DType dtype_;
  int64_t start_, position_stride_, dim_stride_;
};

class ReferenceOps : public Ops {
 public:
  std::string description() const override { return "reference"; }

  void embed(const Tensor& table, std::span<const int32_t> ids, float* out) override {
    const int64_t columns = table.columns();
    for (const int32_t id : ids) {
      dequantise_row(table.dtype, table.row(id), 0, columns, out);
      out += columns;
    }
  }

  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override {
    for (int64_t r = 0; r < rows; ++r, x += n, out += n) {
      double square = 0;
      for (int64_t i = 0; i < n; ++i) square += double{x[i]} * x[i];
      const double scale = 1 / std::sqrt(square / static_cast<double>(n) + eps);
      for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * scale * weight[i]);
    }
  }

  void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                 float* out) override {
    for (int64_t r = 0; r < rows; ++r, x += n, out += n) {
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < n; ++i) mean += x[i];
      mean /= static_cast<double>(n);
      for (int64_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
      variance /= static_cast<double>(n);
      const double scale = 1 / std::sqrt(variance + eps);
      for (int64_t i = 0; i < n; ++i) {
        out[i] = static_cast<float>((x[i] - mean) * scale * weight[i] + (bias == nullptr ? 0.0f : bias[i]));
      }
    }
  }

  void linears(const float* x, std::span<const Projection> layers, Precision, int64_t rows) override {
    for (const auto& [layer, out] : layers) project(x, layer, rows, out);
  }
  void project(const float* x, const Linear& layer, int64_t rows, float* out) {
    const int64_t outputs = layer.weight.rows(), columns = layer.weight.columns();
    std::vector<float> weight(static_cast<size_t>(columns));
    for (int64_t n = 0; n < outputs; ++n) {
      dequantise_row(layer.weight.dtype, layer.weight.row(n), 0, columns, weight.data());
      for (int64_t r = 0; r < rows; ++r) {
        double sum = layer.bias.empty() ? 0.0 : layer.bias.f32()[n];
        for (int64_t k = 0; k < columns; ++k) sum += double{x[r * columns + k]} * weight[static_cast<size_t>(k)];
        out[r * outputs + n] = static_cast<float>(sum);
      }
    }
  }

  void rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
            float attention_factor, float* out) override {
    const int half = head_dim / 2;
    for (const RowPosition& row : rows) {
      for (int h = 0; h < heads; ++h, x += head_dim, out += head_dim) {
        for (int i = 0; i < half; ++i) {
          const double angle = double(row.position) * double{frequency[i]};
          const double cosine = std::cos(angle) * attention_factor, sine = std::sin(angle) * attention_factor;
          const double a = x[i], b = x[i + half];
          out[i] = static_cast<float>(a * cosine - b * sine);
          out[i + half] = static_cast<float>(b * cosine + a * sine);
        }
      }
    }
  }

  void kv_store(const AttentionArgs& args, const float* k, const float* v) override {
    for (const RowPosition& row : args.all_rows()) {
      for (int g = 0; g < args.kv_heads; ++g) {
        for (int d = 0; d < args.head_dim; ++d) {
          keys(args, row, g).set(row.position, d, *k++);
          values(args, row, g).set(row.position, d, *v++);
        }
      }
    }
  }

  void attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                 std::span<const KeyRow> pattern, const PatternSummary& summary) override {
    // The group's definition: its steps one after the other, through rows that the caller wants or rows of our own.
    std::vector<std::vector<float>> own;
    const auto filled = [&](std::span<const KeyRow> wanted) {
      std::vector<KeyRow> rows(static_cast<size_t>(args.row_count));
      for (size_t r = 0; r < rows.size(); ++r) {
        if (!wanted.empty() && wanted[r].data != nullptr) {
          rows[r] = wanted[r];
          continue;
        }
        const int64_t keys_seen = args.rows[r].position + 1;
        own.emplace_back(static_cast<size_t>(args.heads * keys_seen));
        rows[r] = {own.back().data(), keys_seen};
      }
      return rows;
    };
    const std::vector<KeyRow> s = filled(scores), p = filled(pattern);
    attention_scores(args, q, s);
    attention_softmax(args, s, p);
    attention_mix(args, p, z);
    if (summary.wanted()) summarise_pattern(args, p, summary);
  }

  void attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) override {
    for_heads(args, [&](size_t r, const RowPosition& row, int h) {
      const CachedHead head = keys(args, row, h / (args.heads / args.kv_heads));
      const float* query = q + vector_index(args, r, h);
      float* out = scores[r].data + h * scores[r].head_stride;
      for (int32_t j = 0; j <= row.position; ++j) {
        double dot = 0;
        for (int d = 0; d < args.head_dim; ++d) dot += double{query[d]} * head.get(j, d);
        double score = dot * args.scale;
        if (args.soft_cap > 0) score = args.soft_cap * std::tanh(score / args.soft_cap);
        out[j] = static_cast<float>(score);
      }
      for (int64_t j = row.position + 1; j < scores[r].width; ++j) out[j] = -std::numeric_limits<float>::infinity();
    });
  }

  void attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                         std::span<const KeyRow> pattern) override {
    for_heads(args, [&](size_t r, const RowPosition& row, int h) {
      const float* score = scores[r].data + h * scores[r].head_stride;
      float* out = pattern[r].data + h * pattern[r].head_stride;
      const int32_t first = args.window > 0 ? std::max(0, row.position + 1 - args.window) : 0;
      float largest = -std::numeric_limits<float>::infinity();
      for (int32_t j = first; j <= row.position; ++j) largest = std::max(largest, score[j]);
      const bool none = largest == -std::numeric_limits<float>::infinity();
      double total = 0;
      for (int32_t j = first; j <= row.position && !none; ++j) total += std::exp(double{score[j]} - largest);
      for (int32_t j = 0; j <= row.position; ++j) {
        out[j] = none || j < first ? 0.0f : static_cast<float>(std::exp(double{score[j]} - largest) / total);
      }
      for (int64_t j = row.position + 1; j < pattern[r].width; ++j) out[j] = 0.0f;
    });
  }

  void attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) override {
    for_heads(args, [&](size_t r, const RowPosition& row, int h) {
      const CachedHead head = values(args, row, h / (args.heads / args.kv_heads));
      const float* weight = pattern[r].data + h * pattern[r].head_stride;
      for (int d = 0; d < args.head_dim; ++d) {
        double sum = 0;
        for (int32_t j = 0; j <= row.position; ++j) sum += double{weight[j]} * head.get(j, d);
        z[vector_index(args, r, h) + d] = static_cast<float>(sum);
      }
    });
  }

  void add(const float* a, const float* b, int64_t n, float* out) override {
    for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
  }

  void multiply(const float* a, const float* b, int64_t n, float* out) override {
    for (int64_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
  }

  void silu(const float* x, int64_t n, float* out) override {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] / (1 + std::exp(-double{x[i]})));
  }

  void gelu_tanh(const float* x, int64_t n, float* out) override {
    constexpr double kRootTwoOverPi = 0.79788456080286535588;
    for (int64_t i = 0; i < n; ++i) {
      const double v = x[i];
      out[i] = static_cast<float>(0.5 * v * (1 + std::tanh(kRootTwoOverPi * (v + 0.044715 * v * v * v))));
    }
  }

 private:
  static CachedHead keys(const AttentionArgs& args, const RowPosition& row, int kv_head) {
    return {true, args, row.sequence, kv_head};
  }
  static CachedHead values(const AttentionArgs& args, const RowPosition& row, int kv_head) {
    return {false, args, row.sequence, kv_head};
  }
  // Where q or z of row r and head h starts in [R, H, D].
  static int64_t vector_index(const AttentionArgs& args, size_t r, int h) {
    return (static_cast<int64_t>(r) * args.heads + h) * args.head_dim;
  }
  template <class Visit>
  static void for_heads(const AttentionArgs& args, const Visit& visit) {
    for (size_t r = 0; r < args.all_rows().size(); ++r) {
      for (int h = 0; h < args.heads; ++h) visit(r, args.rows[r], h);
    }
  }
};

}  // namespace

std::unique_ptr<Ops> make_reference_ops() {
  return std::make_unique<ReferenceOps>();
}

}  // namespace glassbox
