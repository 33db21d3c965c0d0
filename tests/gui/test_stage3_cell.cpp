// The numbers that stage 3 puts into its formulas, against the pages of a step of the real model.
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "app/panels/stage3_shared.h"
#include "core/run/session.h"
#include "kernels/ops.h"
#include "tests/support/model_path.h"

namespace glassbox {
namespace {

struct Loaded {
  std::shared_ptr<const Model> model;
  std::shared_ptr<Ops> ops;
};

const Loaded& loaded() {
  static const Loaded made = [] {
    auto model = Model::load(test::model_path());
    if (!model) FAIL(model.error().message());
    return Loaded{model.take(), std::shared_ptr<Ops>(make_cpu_ops({2, "", false}))};
  }();
  return made;
}

// The step of a text with all that stage 3 reads of one layer.
View make_view(const std::string& text, int layer, std::vector<Edit> edits = {}) {
  const Loaded& parts = loaded();
  SessionStore store(parts.model, parts.ops);
  StepRequest request;
  for (const Token& token : parts.model->tokenizer().encode(text)) request.tokens.push_back(token.id);
  request.edits = std::move(edits);
  for (const Tap tap : {Tap::q_rot, Tap::k_rot, Tap::v, Tap::attn_scores, Tap::attn_pattern}) request.needs.add(tap, layer, layer + 1);
  auto step = store.run(request);
  if (!step) FAIL(step.error().message());
  View view;
  view.tokens = request.tokens;
  view.step = step.take();
  return view;
}

constexpr const char* kPrompt = "When Mary and John went to the shop, John gave the bag to";

TEST_CASE("a cell's dot, score and softmax belong together") {
  const View view = make_view(kPrompt, 24);
  const ModelConfig& config = loaded().model->config();
  for (int head = 0; head < config.layers[24].heads; ++head) {
    const HeadReader reader(view, config, {24, head});
    REQUIRE(reader.length() == 14);
    for (int query = 0; query < reader.length(); ++query) {
      const auto weights = reader.weights(query);
      REQUIRE(weights.size() == static_cast<size_t>(query) + 1);
      CHECK(std::abs(std::accumulate(weights.begin(), weights.end(), 0.0) - 1.0) < 1e-5);
      for (int key = 0; key <= query; ++key) {
        const auto cell = read_cell(reader, Document{}, query, key);
        REQUIRE(cell);
        CHECK_FALSE(cell->cut);
        CHECK(std::abs(cell->dot * reader.layer().attention_scale - cell->score) < 1e-3f * (1 + std::abs(cell->score)));
        CHECK(std::abs(cell->exp_score / cell->exp_sum - static_cast<double>(cell->weight)) < 1e-5);
      }
      CHECK(std::isnan(reader.weight(query, query + 1)));
      CHECK_FALSE(read_cell(reader, Document{}, query, query + 1));
    }
  }
}

TEST_CASE("the head of the first prompt looks at Mary") {
  const View view = make_view(kPrompt, 24);
  const HeadReader reader(view, loaded().model->config(), {24, 4});
  const auto weights = reader.weights(13);
  int best = 0;
  for (int key = 0; key < 14; ++key)
    if (weights[static_cast<size_t>(key)] > weights[static_cast<size_t>(best)]) best = key;
  CHECK(best == 1);
  CHECK(weights[1] > 0.7f);
}

TEST_CASE("cuts and switched-off heads are read from the document") {
  Document document;
  Edit cut;
  cut.kind = EditKind::cut_score;
  cut.tap = Tap::attn_scores;
  cut.layer = 24, cut.head = 4, cut.position_begin = 13, cut.position_end = 14, cut.key = 1;
  document.edits.push_back(cut);
  CHECK(cell_is_cut(document, {24, 4}, 13, 1));
  CHECK_FALSE(cell_is_cut(document, {24, 4}, 12, 1));
  CHECK_FALSE(cell_is_cut(document, {24, 4}, 13, 0));
  CHECK_FALSE(cell_is_cut(document, {24, 5}, 13, 1));
  document.edits.front().enabled = false;
  CHECK_FALSE(cell_is_cut(document, {24, 4}, 13, 1));

  Edit off;
  off.kind = EditKind::zero;
  off.tap = Tap::attn_z;
  off.layer = 3, off.head = 2;
  document.edits.push_back(off);
  CHECK(head_is_off(document, {3, 2}));
  CHECK_FALSE(head_is_off(document, {3, 1}));
  document.edits.back().head.reset();  // all heads of the layer
  CHECK(head_is_off(document, {3, 1}));
  document.edits.back().position_begin = 4;  // only from there on
  CHECK_FALSE(head_is_off(document, {3, 1}));
}

TEST_CASE("a score that is cut before softmax leaves its share to the rest of the row") {
  Edit cut;
  cut.kind = EditKind::cut_score;
  cut.tap = Tap::attn_scores;
  cut.layer = 24, cut.head = 4, cut.position_begin = 13, cut.position_end = 14, cut.key = 1;
  const View view = make_view(kPrompt, 24, {cut});
  const HeadReader reader(view, loaded().model->config(), {24, 4});
  CHECK(reader.weight(13, 1) == 0.0f);
  CHECK(reader.score(13, 1) == -std::numeric_limits<float>::infinity());
  const auto cell = read_cell(reader, Document{}, 13, 0);
  REQUIRE(cell);
  CHECK(std::isfinite(cell->exp_sum));
  CHECK(std::abs(cell->exp_score / cell->exp_sum - static_cast<double>(cell->weight)) < 1e-5);
}

TEST_CASE("the chosen head stays inside a smaller model") {
  Document document;
  document.selection.layer = 99, document.selection.head = 99;
  const ModelConfig& config = loaded().model->config();
  const HeadChoice head = chosen_head(document, config);
  CHECK(head == HeadChoice{29, 8});
  CHECK(kv_head_of(config.layers[0], 8) == 2);
  CHECK(kv_head_of(config.layers[0], 0) == 0);
  CHECK(head_name(head) == "L29·H8");
}

}  // namespace
}  // namespace glassbox
