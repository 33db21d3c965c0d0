// Attention as the suite runs it: in one call, and in the steps that edits go between.
#pragma once

#include <string>

#include "tests/parity/suite.h"

namespace glassbox::testing {

// Outputs: z, scores, pattern, as far as they are wanted.
inline Operation in_one_call(const AttentionCase& c, Wanted wanted, Layout layout = Layout::apart) {
  return [&c, wanted, layout](OpRun& run) {
    const KeyRows rows(c, wanted == Wanted::some, layout);
    const AttentionArgs args = run.attention(c);
    float* const z = run.output(c.q.size(), Kind::mixed);
    std::span<const KeyRow> scores, pattern;
    if (wants_scores(wanted)) scores = run.key_rows(rows, run.output(rows, Kind::scores));
    if (wants_pattern(wanted)) {
      std::vector<KeyRow> placed = rows.at(run.output(rows, Kind::weights));
      // Of some rows both, of some one of them.
      for (size_t r = 1; r < placed.size() && wanted == Wanted::some; r += 3) placed[r].data = nullptr;
      pattern = run.inputs(placed);
    }
    run.ops.attention(args, run.input(c.q), z, scores, pattern);
  };
}

inline Operation in_steps(const AttentionCase& c, Layout layout = Layout::apart) {
  return [&c, layout](OpRun& run) {
    const KeyRows rows(c, false, layout);
    const AttentionArgs args = run.attention(c);
    const std::span<const KeyRow> scores = run.key_rows(rows, run.output(rows, Kind::scores)),
                                  pattern = run.key_rows(rows, run.output(rows, Kind::weights));
    run.ops.attention_scores(args, run.input(c.q), scores);
    run.ops.attention_softmax(args, scores, pattern);
    run.ops.attention_mix(args, pattern, run.output(c.q.size(), Kind::mixed));
  };
}

inline std::string name_of(const AttentionCase& c) {
  const auto text = [](auto n) { return std::to_string(n); };
  return "H " + text(c.shape.heads) + " G " + text(c.shape.kv_heads) + " D " + text(c.shape.head_dim) + " " +
         std::string(dtype_info(c.host.dtype).name) + " rows " + text(c.rows.size()) + " S " + text(c.host.longest) +
         " window " + text(c.host.window) + " cap " + text(c.host.soft_cap);
}

inline void agree_in_one_call(const Suite& suite, const AttentionCase& c, Wanted wanted, Layout layout = Layout::apart,
                              Orders orders = Orders::all) {
  suite.agree("attention, " + name_of(c), in_one_call(c, wanted, layout), orders);
}
inline void agree_in_steps(const Suite& suite, const AttentionCase& c, Layout layout = Layout::apart,
                           Orders orders = Orders::all) {
  suite.agree("attention in steps, " + name_of(c), in_steps(c, layout), orders);
}

}  // namespace glassbox::testing
