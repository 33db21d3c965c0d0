// Captures on a backend whose memory is not the host's: pages into which it copies straight hold what they hold where
// the host fills them, and so do the pages beside them that are too small.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/page_checks.h"
#include "tests/support/small_model.h"

namespace glassbox::test {

// With make_small_model() some pages of a text of a few dozen tokens are larger, and some are not.
inline constexpr size_t kLeastStagedInTests = size_t{6} << 10;
inline constexpr uint32_t kCaptureLayers = 4;  // more than the large slots' turns
inline constexpr uint32_t kCaptureContext = 128;

inline std::vector<int32_t> capture_tokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = 3 + static_cast<int32_t>(i * 37 % 256);
  return tokens;
}

inline ProbeSpec capture_taps(const Model& model, bool with_logits) {
  ProbeSpec spec = all_stored_taps(model.config());
  spec.add(Tap::head_out, 0, model.config().layer_count());
  if (with_logits) spec.add(Tap::logits);  // the text then runs in calls of 32 rows
  return spec;
}

// How a store fills its pages.
enum class Filling { straight, by_host };

class CaptureStore : public SessionStore {
 public:
  CaptureStore(const std::shared_ptr<const Model>& model, const std::shared_ptr<Ops>& ops, Filling filling)
      : SessionStore(model, ops) {
    set_poison(true);
    page_pool().set_least_staged(filling == Filling::straight ? kLeastStagedInTests : SIZE_MAX);
  }
};

using Steps = std::vector<std::shared_ptr<const Step>>;

// Steps from nothing and from prefixes, by one token, on another branch, edited.
inline Steps run_captured_steps(SessionStore& store, const ProbeSpec& spec) {
  struct Case {
    size_t length;
    const char* edit;
  };
  const Case cases[] = {
      {30, ""}, {64, ""}, {65, ""}, {50, ""}, {44, "scale:attn_z:L1:H0:0.5"}, {56, "cut_score:attn_scores:L2:H1:5>2"}};
  Steps steps;
  for (const Case& at : cases) {
    StepRequest request{capture_tokens(at.length), {}, Precision::exact, spec};
    if (at.length == 50) request.tokens.back() = 5;  // another branch
    if (*at.edit != '\0') request.edits = {*parse_edit(at.edit)};
    steps.push_back(run_step(store, request));
  }
  return steps;
}

// A text that is given up between two layers, and then asked for again.
inline Steps run_cancelled_captures(const std::shared_ptr<const Model>& model, const std::shared_ptr<Ops>& ops,
                                    Filling filling, const std::function<void()>& when_cancelled = {}) {
  const StepRequest request{capture_tokens(70), {}, Precision::exact, capture_taps(*model, true)};
  Steps steps;
  for (const int calls : {3, 7}) {  // in the first 32 rows, and in the next
    INFO("cancelled in call " << calls << " of its progress");
    CaptureStore store(model, ops, filling);
    if (filling == Filling::straight) store.page_pool().set_least_staged(1);  // all, but in the last call's few rows
    int left = calls;
    const auto cancelled = store.run(request, [&](double) { return --left > 0; });
    REQUIRE_FALSE(cancelled.ok());
    CHECK(cancelled.error().kind == ErrorKind::cancelled);
    if (when_cancelled) when_cancelled();
    steps.push_back(run_step(store, request));
  }
  return steps;
}

// Where the pages hold what is expected, each row written once.
inline void check_captured(const Steps& found, const Steps& expected, const ProbeSpec& spec,
                           const ModelConfig& config) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("step " << i << ", " << found[i]->length() << " tokens");
    check_written(*found[i], spec);
    CHECK(same_bits(*found[i], *expected[i], spec, config));
    CHECK(found[i]->logits_hash == expected[i]->logits_hash);
  }
}

// Two sequences in one call, and pages that overlap or reach beyond it. What a row of the other one parts is not copied
// straight.
class BatchCapture {
 public:
  static constexpr int kLengthA = 48, kLengthB = 40, kPrefixB = 10;

  BatchCapture(const std::shared_ptr<const Model>& model, const std::shared_ptr<Ops>& ops, Filling filling,
               bool parted) {
    const auto page_pool = std::make_shared<PagePool>(ops);
    page_pool->set_least_staged(filling == Filling::straight ? size_t{2} << 10 : SIZE_MAX);
    const auto pool = std::make_shared<KvPool>(model->config(), Precision::exact, ops);
    KvSequence a(pool), b(pool);
    KvSequence* const sequences[] = {&a, &b};
    const PlacedModel placed(model, *ops);
    Workspace workspace(model->config(), 128, *ops);
    const std::vector<int32_t> tokens = capture_tokens(64);
    const auto row = [&](int sequence, int position) {
      return ForwardRow{tokens[static_cast<size_t>(position + 7 * sequence)], sequence, position, position % 2 == 1};
    };
    const auto run = [&](const std::vector<ForwardRow>& rows, const TapPlan* plan) {
      const auto heads = std::count_if(rows.begin(), rows.end(), [](const ForwardRow& r) { return r.logits; });
      std::vector<float> logits(static_cast<size_t>(heads) * static_cast<size_t>(model->config().vocab));
      REQUIRE(forward(placed, *ops, Precision::exact, workspace, {rows, sequences, plan, logits, {}}).ok());
    };
    std::vector<ForwardRow> rows;
    for (int position = 0; position < kPrefixB; ++position) rows.push_back(row(1, position));
    run(rows, nullptr);

    TapPlan plan(model->config());
    const auto add = [&](Tap tap, int layer, int sequence, int begin, int end) {
      const auto page =
          std::make_shared<Page>(page_pool, tap, layer, begin, end, tap_heads(tap, model->config(), layer),
                                 tap_width(tap, model->config(), layer, end), true);
      plan.add_capture(sequence, page);
      pages.push_back(page);
      last.push_back(std::min(end, sequence == 0 ? kLengthA : kLengthB));
    };
    for (const Tap tap : {Tap::attn_pattern, Tap::attn_scores, Tap::resid_post}) {
      add(tap, 0, 0, 0, kLengthA);
      add(tap, 0, 1, kPrefixB, kLengthB);
      add(tap, 1, 0, 0, kLengthA);  // two pages of the same rows
      add(tap, 1, 0, 20, kLengthA);
      add(tap, 2, 1, kPrefixB, kLengthB + 20);  // more than this call
      add(tap, 3, 0, 16, 40);                   // less
    }
    // Summaries of patterns that are captured, of the other sequence's, and of none.
    for (const Tap tap : {Tap::attn_pooled, Tap::attn_focus}) {
      add(tap, 0, 0, 0, kLengthA);
      add(tap, 2, 0, 0, kLengthA);
      add(tap, 2, 1, kPrefixB, kLengthB);
    }
    add(Tap::attn_pooled, 1, 1, kPrefixB, kLengthB);
    add(Tap::final_norm, 0, 1, kPrefixB, kLengthB);
    add(Tap::logits, 0, 0, 0, kLengthA);  // of every other row
    rows.clear();
    const auto add_rows = [&](int sequence, int begin, int end) {
      for (int position = begin; position < end; ++position) rows.push_back(row(sequence, position));
    };
    const int first_of_a = parted ? 30 : 0;
    add_rows(0, 0, first_of_a);
    add_rows(1, kPrefixB, kLengthB);
    add_rows(0, first_of_a, kLengthA);
    run(rows, &plan);
  }

  std::vector<std::shared_ptr<Page>> pages;
  std::vector<int> last;  // of each page, where its rows end in this call
};

// Those of the first, straight, are those of the second, filled by the host.
inline void check_batched_captures(const BatchCapture& found, const BatchCapture& expected) {
  REQUIRE(found.pages.size() == expected.pages.size());
  CHECK(found.pages.front()->takes_copies(20));
  CHECK_FALSE(expected.pages.front()->takes_copies(20));
  for (size_t i = 0; i < found.pages.size(); ++i) {
    const Page &left = *found.pages[i], &right = *expected.pages[i];
    for (int position = left.begin(); position < left.end(); ++position) {
      INFO(tap_info(left.tap()).name << " layer " << left.layer() << " position " << position);
      if (position < found.last[i] && (left.tap() != Tap::logits || position % 2 == 1)) {
        check_row_written(left, position);
        REQUIRE(std::memcmp(left.row(position).data(), right.row(position).data(),
                            static_cast<size_t>(left.row_size()) * sizeof(float)) == 0);
      } else {
        REQUIRE(left.writes(position) == 0);
        REQUIRE(std::isnan(left.row(position).front()));
      }
    }
  }
}

}  // namespace glassbox::test
