// Attention of every backend against the reference; fused against composed; and that its bits depend on nothing but a
// row's own keys.
#include <catch2/catch_test_macros.hpp>

#include "tests/support/ops_testing.h"

namespace glassbox::testing {
namespace {

struct Shape {
  int heads, kv_heads, head_dim;
};

// The cache of some sequences, in blocks that lie scattered and are poisoned with NaN where nothing was stored. Between
// keys and values, and before them, lies what another layer would have.
struct Cache {
  Cache(const Shape& shape, DType dtype, std::vector<int32_t> lengths)
      : dtype_(dtype),
        side_(static_cast<size_t>(shape.kv_heads * kKvBlock * shape.head_dim * dtype_info(dtype).block_bytes)) {
    for (const int32_t length : lengths) {
      blocks.emplace_back();
      for (int32_t first = 0; first < length; first += kKvBlock) {
        const size_t bytes = 2 * side_ + 2 * kGap;
        memory.emplace_back(bytes);
        std::memset(memory.back().data(), 0xff, bytes);  // NaN in both types
        blocks.back().push_back(memory.back().data());
      }
    }
    for (const auto& table : blocks) sequences.push_back(table.data());
  }
  void describe(AttentionArgs& args) const {
    args.sequences = sequences.data();
    args.keys_at = kGap;
    args.values_at = static_cast<int64_t>(side_ + 2 * kGap);
    args.dtype = dtype_;
  }
  std::vector<Buffer> memory;
  std::vector<std::vector<std::byte*>> blocks;
  std::vector<std::byte* const*> sequences;

 private:
  static constexpr size_t kGap = 64;
  DType dtype_;
  size_t side_;
};

// One problem: some rows of some sequences whose earlier keys are stored too.
struct Problem {
  Problem(const Shape& s, DType dtype, std::vector<int32_t> lengths, std::vector<RowPosition> r, uint32_t seed = 1)
      : shape(s), cache(s, dtype, lengths), rows(std::move(r)) {
    cache.describe(args);
    set_rows(args, rows);
    args.heads = s.heads;
    args.kv_heads = s.kv_heads;
    args.head_dim = s.head_dim;
    args.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
    q = random_floats(rows.size() * static_cast<size_t>(s.heads * s.head_dim), seed, 1.5f);
    std::vector<RowPosition> all;
    for (size_t i = 0; i < lengths.size(); ++i) {
      for (int32_t p = 0; p < lengths[i]; ++p) all.push_back({static_cast<int32_t>(i), p});
    }
    const size_t n = all.size() * static_cast<size_t>(s.kv_heads * s.head_dim);
    k = random_floats(n, seed + 1);
    v = random_floats(n, seed + 2);
    AttentionArgs store = args;
    set_rows(store, all);
    make_reference_ops()->kv_store(store, k.data(), v.data());
  }
  Shape shape;
  Cache cache;
  std::vector<RowPosition> rows;
  std::vector<float> q, k, v;
  AttentionArgs args;
};

constexpr float kHidden = -std::numeric_limits<float>::infinity();

// Room for what has a key axis, [R] rows of [H, position + 1] with a gap between heads.
struct KeyRows {
  // masked: what an op writes beyond a row's own keys; every second row asks for two of it.
  KeyRows(const Problem& p, float masked) : masked_(masked) {
    for (const RowPosition& row : p.rows) {
      const int64_t stride = row.position + 1 + 3;
      memory.emplace_back(static_cast<size_t>(p.shape.heads * stride));
      rows.push_back({memory.back().data(), stride, rows.size() % 2 == 0 ? stride - 1 : 0});
      lengths.push_back(row.position + 1);
    }
  }
  // All values, head by head; checks that the gaps are untouched.
  std::vector<float> values() {
    std::vector<float> all;
    for (size_t r = 0; r < rows.size(); ++r) {
      CHECK(memory[r].intact());
      const std::vector<float> row = memory[r].values();
      const auto stride = static_cast<size_t>(rows[r].head_stride), length = static_cast<size_t>(lengths[r]);
      for (size_t h = 0; h < row.size() / stride; ++h) {
        const auto width = static_cast<size_t>(rows[r].width);
        for (size_t i = length; i < width; ++i) CHECK(row[h * stride + i] == masked_);
        for (size_t i = std::max(length, width); i < stride; ++i) CHECK(std::isnan(row[h * stride + i]));
        all.insert(all.end(), row.begin() + static_cast<std::ptrdiff_t>(h * stride),
                   row.begin() + static_cast<std::ptrdiff_t>(h * stride + length));
      }
    }
    return all;
  }
  std::vector<Guarded> memory;
  std::vector<KeyRow> rows;
  std::vector<int32_t> lengths;

 private:
  const float masked_;
};

struct Result {
  std::vector<float> z, scores, pattern;
};

Result fused(Ops& ops, const Problem& p, bool store) {
  Guarded z(p.q.size());
  KeyRows scores(p, kHidden), pattern(p, 0.0f);
  if (!store) {
    ops.attention(p.args, p.q.data(), z.data(), {}, {});
    CHECK(z.intact());
    return {z.values(), {}, {}};
  }
  ops.attention(p.args, p.q.data(), z.data(), scores.rows, pattern.rows);
  CHECK(z.intact());
  return {z.values(), scores.values(), pattern.values()};
}

Result composed(Ops& ops, const Problem& p) {
  Guarded z(p.q.size());
  KeyRows scores(p, kHidden), pattern(p, 0.0f);
  ops.attention_scores(p.args, p.q.data(), scores.rows);
  ops.attention_softmax(p.args, scores.rows, pattern.rows);
  ops.attention_mix(p.args, pattern.rows, z.data());
  CHECK(z.intact());
  return {z.values(), scores.values(), pattern.values()};
}

std::vector<RowPosition> positions(int32_t sequence, int32_t first, int32_t end) {
  std::vector<RowPosition> rows;
  for (int32_t p = first; p < end; ++p) rows.push_back({sequence, p});
  return rows;
}

const Shape kShapes[] = {{1, 1, 1}, {2, 1, 7}, {4, 4, 16}, {9, 3, 64}, {6, 2, 80}, {40, 1, 33}};

TEST_CASE("attention agrees with the reference, fused and composed have the same bits") {
  const auto reference = make_reference_ops();
  for (const Shape& shape : kShapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      for (const int32_t length : {1, 5, 63, 64, 65, 128, 200}) {
        for (const int32_t window : {0, 1, 50, 64}) {
          for (const float cap : {0.0f, 2.0f}) {
            Problem p(shape, dtype, {length}, positions(0, std::max(0, length - 7), length));
            p.args.window = window;
            p.args.soft_cap = cap;
            const Result truth = fused(*reference, p, true);
            for (const std::string& isa : available_isas()) {
              INFO(isa << " H " << shape.heads << " G " << shape.kv_heads << " D " << shape.head_dim << " "
                       << dtype_info(dtype).name << " S " << length << " window " << window << " cap " << cap);
              const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
              const Result result = fused(*ops, p, true);
              CHECK(nmse(result.scores, truth.scores) < 1e-12);
              CHECK(nmse(result.pattern, truth.pattern) < 1e-11);  // the exponential magnifies rounding of scores
              CHECK(nmse(result.z, truth.z) < 1e-11);
              CHECK(same_bits(fused(*ops, p, false).z, result.z));
              const Result steps = composed(*ops, p);
              CHECK(same_bits(steps.scores, result.scores));
              CHECK(same_bits(steps.pattern, result.pattern));
              CHECK(same_bits(steps.z, result.z));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("storing only some rows changes no bit") {
  Problem p({9, 3, 64}, DType::f16, {150}, positions(0, 130, 150));
  p.args.window = 40;
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
    const Result all = fused(*ops, p, true);
    KeyRows scores(p, kHidden), pattern(p, 0.0f);
    std::vector<KeyRow> some_scores(p.rows.size()), some_pattern(p.rows.size());
    some_scores[4] = scores.rows[4];
    some_pattern[17] = pattern.rows[17];
    Guarded z(p.q.size());
    ops->attention(p.args, p.q.data(), z.data(), some_scores, some_pattern);
    CHECK(same_bits(z.values(), all.z));
    CHECK(std::isnan(scores.memory[5].values()[0]));
    CHECK(!std::isnan(scores.memory[4].values()[0]));
    CHECK(!std::isnan(pattern.memory[17].values()[0]));
  }
}

TEST_CASE("a row of attention has the same bits alone, in a prompt, beside other sequences and on any threads") {
  for (const DType dtype : {DType::f32, DType::f16}) {
    const Shape shape{9, 3, 64};
    Problem whole(shape, dtype, {131}, positions(0, 0, 131));
    const size_t vector = static_cast<size_t>(shape.heads * shape.head_dim);
    for (const std::string& isa : available_isas()) {
      const std::vector<float> expected = fused(*make_cpu_ops({.threads = 1, .isa = isa}), whole, false).z;
      for (const int threads : {1, 2, 3}) {
        const auto ops = make_cpu_ops({.threads = threads, .isa = isa});
        CHECK(same_bits(fused(*ops, whole, false).z, expected));
        for (const int32_t step : {1, 2, 5, 64}) {  // the prompt cut into calls
          std::vector<float> z(expected.size(), std::numeric_limits<float>::quiet_NaN());
          for (int32_t first = 0; first < 131; first += step) {
            const int32_t count = std::min(step, 131 - first);
            AttentionArgs args = whole.args;
            set_rows(args, std::span(whole.rows).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
            const size_t at = static_cast<size_t>(first) * vector;
            ops->attention(args, whole.q.data() + at, z.data() + at, {}, {});
          }
          INFO(isa << " threads " << threads << " step " << step);
          CHECK(same_bits(z, expected));
        }
        // Two sequences with the same keys, their rows interleaved.
        const std::vector<std::byte* const*> twice(2, whole.cache.sequences[0]);
        std::vector<RowPosition> rows = {{1, 130}, {0, 130}, {0, 3}, {1, 4}, {1, 5}, {0, 6}, {1, 64}};
        std::vector<float> q, z;
        for (const RowPosition& row : rows) {
          const auto from = whole.q.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row.position) * vector);
          q.insert(q.end(), from, from + static_cast<std::ptrdiff_t>(vector));
        }
        z.resize(q.size());
        AttentionArgs args = whole.args;
        args.sequences = twice.data();
        set_rows(args, rows);
        ops->attention(args, q.data(), z.data(), {}, {});
        for (size_t r = 0; r < rows.size(); ++r) {
          const size_t at = static_cast<size_t>(rows[r].position) * vector;
          CHECK(std::memcmp(z.data() + r * vector, expected.data() + at, vector * sizeof(float)) == 0);
        }
      }
    }
  }
}

TEST_CASE("attention over a long context agrees with the reference") {
  Problem p({4, 2, 32}, DType::f16, {8300}, {{0, 8190}, {0, 8299}});
  const Result truth = fused(*make_reference_ops(), p, true);
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
    const Result result = fused(*ops, p, true);
    CHECK(nmse(result.pattern, truth.pattern) < 1e-11);
    CHECK(nmse(result.z, truth.z) < 1e-11);
    CHECK(same_bits(fused(*ops, p, false).z, result.z));
  }
}

TEST_CASE("attention that several threads split along the keys has the bits of one thread") {
  const Shape shape{9, 3, 64};
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int32_t window : {0, 100}) {
      // Alone, beside a short sequence, and four neighbours of which the last begins a block.
      for (const auto& rows : std::vector<std::vector<RowPosition>>{
               {{0, 699}}, {{0, 256}, {1, 30}}, {{0, 317}, {0, 318}, {0, 319}, {0, 320}}}) {
        Problem p(shape, dtype, {700, 700}, rows);
        p.args.window = window;
        p.args.soft_cap = window > 0 ? 2.0f : 0.0f;
        for (const std::string& isa : available_isas()) {
          const auto one = make_cpu_ops({.threads = 1, .isa = isa});
          const Result expected = fused(*one, p, true);
          for (const int threads : {2, 3}) {
            INFO(isa << " " << dtype_info(dtype).name << " window " << window << " rows " << rows.size() << " threads "
                     << threads);
            const auto ops = make_cpu_ops({.threads = threads, .isa = isa});
            const Result result = fused(*ops, p, true);
            CHECK(same_bits(result.scores, expected.scores));
            CHECK(same_bits(result.pattern, expected.pattern));
            CHECK(same_bits(result.z, expected.z));
            CHECK(same_bits(fused(*ops, p, false).z, expected.z));
            const Result steps = composed(*ops, p);
            CHECK(same_bits(steps.pattern, expected.pattern));
            CHECK(same_bits(steps.z, expected.z));
          }
        }
      }
    }
  }
}

TEST_CASE("cut edges: a score of minus infinity has weight 0, a row of them has pattern 0") {
  Problem p({2, 1, 16}, DType::f32, {70}, {{0, 68}, {0, 69}});
  std::vector<std::unique_ptr<Ops>> backends;
  backends.push_back(make_reference_ops());
  for (const std::string& isa : available_isas()) backends.push_back(make_cpu_ops({.threads = 1, .isa = isa}));
  const float cut = -std::numeric_limits<float>::infinity();
  for (const auto& ops : backends) {
    INFO(ops->description());
    KeyRows scores(p, kHidden), pattern(p, 0.0f);
    ops->attention_scores(p.args, p.q.data(), scores.rows);
    scores.rows[0].data[5] = cut;
    for (int j = 0; j < 70; ++j) scores.rows[1].data[j] = cut;  // all of row 1, head 0
    ops->attention_softmax(p.args, scores.rows, pattern.rows);
    CHECK(pattern.rows[0].data[5] == 0.0f);
    double total = 0;
    for (int j = 0; j < 69; ++j) total += double{pattern.rows[0].data[j]};
    CHECK(std::fabs(total - 1) < 1e-6);
    for (int j = 0; j < 70; ++j) CHECK(pattern.rows[1].data[j] == 0.0f);
    Guarded z(p.q.size());
    ops->attention_mix(p.args, pattern.rows, z.data());
    for (int d = 0; d < 16; ++d) CHECK(z.data()[32 + d] == 0.0f);
  }
}

TEST_CASE("an edited pattern reaches keys outside the window") {
  Problem p({1, 1, 8}, DType::f32, {100}, {{0, 99}});
  p.args.window = 4;
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 1, .isa = isa});
    KeyRows pattern(p, 0.0f);
    std::fill_n(pattern.rows[0].data, 100, 0.0f);
    pattern.rows[0].data[2] = 1.0f;
    Guarded z(8);
    ops->attention_mix(p.args, pattern.rows, z.data());
    for (size_t d = 0; d < 8; ++d) CHECK(z.data()[d] == p.v[2 * 8 + d]);
  }
}

TEST_CASE("kv_store has the bits of the reference and writes nowhere else") {
  for (const Shape& shape : kShapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      const std::vector<RowPosition> rows = {{0, 0}, {1, 63}, {1, 64}, {0, 77}};
      const size_t n = rows.size() * static_cast<size_t>(shape.kv_heads * shape.head_dim);
      std::vector<float> k = random_floats(n, 1, 100.0f), v = random_floats(n, 2, 1e-5f);  // f16 subnormals too
      v[0] = 70000.0f;
      Cache truth(shape, dtype, {80, 80});
      AttentionArgs args;
      set_rows(args, rows);
      args.heads = shape.heads;
      args.kv_heads = shape.kv_heads;
      args.head_dim = shape.head_dim;
      truth.describe(args);
      make_reference_ops()->kv_store(args, k.data(), v.data());
      for (const std::string& isa : available_isas()) {
        Cache cache(shape, dtype, {80, 80});
        cache.describe(args);
        make_cpu_ops({.threads = 2, .isa = isa})->kv_store(args, k.data(), v.data());
        for (size_t b = 0; b < cache.memory.size(); ++b) {
          CHECK(std::memcmp(cache.memory[b].data(), truth.memory[b].data(), cache.memory[b].bytes()) == 0);
        }
      }
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
