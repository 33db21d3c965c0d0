// What attention gives: z, and of the rows that want them scores and pattern; and how far it may be from the truth.
#pragma once

#include <functional>

#include "tests/gpu/key_rows.h"

namespace glassbox::testing {

inline constexpr double kScoreBound = 5e-12;  // fp32 rounding, of a few scores near 0 too
inline constexpr double kBound = 1e-11;       // the exponential magnifies the rounding of scores

struct AttentionResult {
  std::vector<float> z, scores, pattern;
};

enum class Stores : uint8_t { nothing, some, all, scores, pattern };  // some: of some rows, both
inline bool stores_scores(Stores stores) {
  return stores != Stores::nothing && stores != Stores::pattern;
}
inline bool stores_pattern(Stores stores) {
  return stores != Stores::nothing && stores != Stores::scores;
}

inline AttentionResult reference(const AttentionProblem& p, Stores stores) {
  const KeyRows rows(p, stores == Stores::some);
  Guarded z(p.q.size()), scores(rows.size), pattern(rows.size);
  const std::vector<KeyRow> s = rows.at(scores.data()), w = rows.at(pattern.data());
  make_reference_ops()->attention(p.host, p.q.data(), z.data(),
                                  stores_scores(stores) ? std::span(s) : std::span<const KeyRow>(),
                                  stores_pattern(stores) ? std::span(w) : std::span<const KeyRow>());
  return {z.values(), scores.values(), pattern.values()};
}

using AttentionCall = std::function<cudaError_t(const float* q, float* z, const KeyRow* scores, const KeyRow* pattern)>;

inline AttentionResult attend_on_device(const AttentionProblem& p, Stores stores, const AttentionCall& call) {
  const KeyRows rows(p, stores == Stores::some);
  const DeviceBuffer<float> q(p.q);
  DeviceOutput z(p.q.size()), scores(rows.size), pattern(rows.size);
  const DeviceBuffer<KeyRow> s(rows.at(scores.data())), w(rows.at(pattern.data()));
  run_on_device([&] {
    return call(q.data(), z.data(), stores_scores(stores) ? s.data() : nullptr,
                stores_pattern(stores) ? w.data() : nullptr);
  });
  return {z.values(), scores.values(), pattern.values()};
}

inline void check_results(const AttentionResult& found, const AttentionResult& truth) {
  check_error(found.z, truth.z, kBound);
  check_keys(found.scores, truth.scores, kScoreBound);
  check_keys(found.pattern, truth.pattern, kBound);
}

// Of one sequence of `length` keys.
inline std::vector<RowPosition> last_rows(int32_t length, int32_t count) {
  std::vector<RowPosition> rows;
  for (int32_t p = std::max(0, length - count); p < length; ++p) rows.push_back({0, p});
  return rows;
}

}  // namespace glassbox::testing
