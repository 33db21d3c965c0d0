// What attention gives: z, and of the rows that want them scores and pattern.
#pragma once

#include <functional>

#include "tests/gpu/attention_problem.h"
#include "tests/support/op_bounds.h"

namespace glassbox::testing {

struct AttentionResult {
  std::vector<float> z, scores, pattern;
};

inline AttentionResult reference(const AttentionProblem& p) {
  const KeyRows rows(p, false);
  Guarded z(p.q.size()), scores(rows.size), pattern(rows.size);
  make_reference_ops()->attention(p.host, p.q.data(), z.data(), rows.at(scores.data()), rows.at(pattern.data()));
  return {z.values(), scores.values(), pattern.values()};
}

using AttentionCall = std::function<cudaError_t(const float* q, float* z, const KeyRow* scores, const KeyRow* pattern)>;

// store: scores and pattern of all rows.
inline AttentionResult attend_on_device(const AttentionProblem& p, bool store, const AttentionCall& call) {
  const KeyRows rows(p, false);
  const DeviceBuffer<float> q(p.q);
  DeviceOutput z(p.q.size()), scores(rows.size), pattern(rows.size);
  const DeviceBuffer<KeyRow> s(rows.at(scores.data())), w(rows.at(pattern.data()));
  run_on_device([&] { return call(q.data(), z.data(), store ? s.data() : nullptr, store ? w.data() : nullptr); });
  return {z.values(), scores.values(), pattern.values()};
}

inline void check_results(const AttentionResult& found, const AttentionResult& truth) {
  check_error(found.z, truth.z, bound_of(Kind::mixed).nmse);
  check_keys(found.scores, truth.scores, bound_of(Kind::scores).nmse);
  check_keys(found.pattern, truth.pattern, bound_of(Kind::weights).nmse);
}

}  // namespace glassbox::testing
