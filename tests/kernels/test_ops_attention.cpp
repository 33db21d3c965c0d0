// What the CPU's attention promises beyond agreement with the reference, which is the parity suite's: bits that depend
// on nothing but a row's own keys, and that are the same in one call and in steps.
#include <catch2/catch_test_macros.hpp>

#include "tests/support/key_rows.h"

namespace glassbox::testing {
namespace {

struct Result {
  std::vector<float> z, scores, pattern;
};

Result fused(Ops& ops, const AttentionCase& c, bool store) {
  const KeyRows rows(c, false);
  Guarded z(c.q.size()), scores(rows.size), pattern(rows.size);
  if (!store) {
    ops.attention(c.host, c.q.data(), z.data(), {}, {});
    CHECK(z.intact());
    return {z.values(), {}, {}};
  }
  ops.attention(c.host, c.q.data(), z.data(), rows.at(scores.data()), rows.at(pattern.data()));
  CHECK((z.intact() && scores.intact() && pattern.intact()));
  return {z.values(), scores.values(), pattern.values()};
}

Result composed(Ops& ops, const AttentionCase& c) {
  const KeyRows rows(c, false);
  Guarded z(c.q.size()), scores(rows.size), pattern(rows.size);
  const std::vector<KeyRow> s = rows.at(scores.data()), w = rows.at(pattern.data());
  ops.attention_scores(c.host, c.q.data(), s);
  ops.attention_softmax(c.host, s, w);
  ops.attention_mix(c.host, w, z.data());
  CHECK((z.intact() && scores.intact() && pattern.intact()));
  return {z.values(), scores.values(), pattern.values()};
}

const Shape kShapes[] = {{1, 1, 1}, {2, 1, 7}, {4, 4, 16}, {9, 3, 64}, {6, 2, 80}, {40, 1, 33}};

TEST_CASE("attention in one call and in steps has the same bits, and the same z when nothing is stored") {
  for (const Shape& shape : kShapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      for (const int32_t length : {1, 5, 63, 64, 65, 128, 200}) {
        for (const int32_t window : {0, 1, 50, 64}) {
          for (const float cap : {0.0f, 2.0f}) {
            AttentionCase c(shape, dtype, {length}, last_rows(length, 7));
            c.host.window = window;
            c.host.soft_cap = cap;
            for (const std::string& isa : available_isas()) {
              INFO(isa << " H " << shape.heads << " G " << shape.kv_heads << " D " << shape.head_dim << " "
                       << dtype_info(dtype).name << " S " << length << " window " << window << " cap " << cap);
              const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
              const Result result = fused(*ops, c, true), steps = composed(*ops, c);
              CHECK(same_bits(fused(*ops, c, false).z, result.z));
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

TEST_CASE("storing changes no bit of attention over a long context") {
  const AttentionCase c({4, 2, 32}, DType::f16, {8300}, {{0, 8190}, {0, 8299}});
  for (const std::string& isa : available_isas()) {
    const auto ops = make_cpu_ops({.threads = 2, .isa = isa});
    CHECK(same_bits(fused(*ops, c, false).z, fused(*ops, c, true).z));
  }
}

TEST_CASE("a row of attention has the same bits alone, in a prompt, beside other sequences and on any threads") {
  for (const DType dtype : {DType::f32, DType::f16}) {
    const Shape shape{9, 3, 64};
    const AttentionCase whole(shape, dtype, {131}, positions(0, 0, 131));
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
            AttentionArgs args = whole.host;
            set_rows(args, std::span(whole.rows).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
            const size_t at = static_cast<size_t>(first) * vector;
            ops->attention(args, whole.q.data() + at, z.data() + at, {}, {});
          }
          INFO(isa << " threads " << threads << " step " << step);
          CHECK(same_bits(z, expected));
        }
        // Two sequences with the same keys, their rows interleaved.
        const std::vector<std::byte* const*> twice(2, whole.sequences[0]);
        std::vector<RowPosition> rows = {{1, 130}, {0, 130}, {0, 3}, {1, 4}, {1, 5}, {0, 6}, {1, 64}};
        std::vector<float> q, z;
        for (const RowPosition& row : rows) {
          const auto from = whole.q.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(row.position) * vector);
          q.insert(q.end(), from, from + static_cast<std::ptrdiff_t>(vector));
        }
        z.resize(q.size());
        AttentionArgs args = whole.host;
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

TEST_CASE("attention that several threads split along the keys has the bits of one thread") {
  const Shape shape{9, 3, 64};
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int32_t window : {0, 100}) {
      // Alone, beside a short sequence, and four neighbours of which the last begins a block.
      for (const auto& rows : std::vector<std::vector<RowPosition>>{
               {{0, 699}}, {{0, 256}, {1, 30}}, {{0, 317}, {0, 318}, {0, 319}, {0, 320}}}) {
        AttentionCase c(shape, dtype, {700, 700}, rows);
        c.host.window = window;
        c.host.soft_cap = window > 0 ? 2.0f : 0.0f;
        for (const std::string& isa : available_isas()) {
          const auto one = make_cpu_ops({.threads = 1, .isa = isa});
          const Result expected = fused(*one, c, true);
          for (const int threads : {2, 3}) {
            INFO(isa << " " << dtype_info(dtype).name << " window " << window << " rows " << rows.size() << " threads "
                     << threads);
            const auto ops = make_cpu_ops({.threads = threads, .isa = isa});
            const Result result = fused(*ops, c, true);
            CHECK(same_bits(result.scores, expected.scores));
            CHECK(same_bits(result.pattern, expected.pattern));
            CHECK(same_bits(result.z, expected.z));
            CHECK(same_bits(fused(*ops, c, false).z, expected.z));
            const Result steps = composed(*ops, c);
            CHECK(same_bits(steps.pattern, expected.pattern));
            CHECK(same_bits(steps.z, expected.z));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace glassbox::testing
