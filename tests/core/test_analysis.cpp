#include <algorithm>
#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "core/run/analysis.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"
#include "tests/support/small_model.h"

using namespace glassbox;
using Catch::Approx;

namespace {

std::shared_ptr<const Model> tiny_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  return model;
}

std::shared_ptr<const Model> real_model() {
  static const std::shared_ptr<const Model> model = load_golden_model(test::model_path());
  return model;
}

std::shared_ptr<const EmbeddingTable> real_table() {
  static const std::shared_ptr<const EmbeddingTable> table = make_embedding_table(*real_model());
  return table;
}

// A step with everything that an analysis may ask for.
std::shared_ptr<const Step> make_step(const std::shared_ptr<const Model>& model, std::vector<int32_t> tokens,
                                      std::vector<Edit> edits = {}) {
  SessionStore store(model, make_cpu_ops({2, "", false}));
  return run_step(store, {std::move(tokens), std::move(edits), Precision::exact, all_stored_taps(model->config())});
}

std::vector<int32_t> random_tokens(const Model& model, int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(model.config().vocab)));
  }
  return tokens;
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

TEST_CASE("neighbours equal a plain search", "[analysis]") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const int width : {1, 3, 16, 67}) {
    EmbeddingTable table;
    table.vocab = 200;
    table.width = width;
    for (int i = 0; i < table.vocab * width; ++i) table.rows.push_back(normal(random));
    std::fill_n(table.rows.begin() + 5 * width, width, 0.0f);                             // a row of length 0
    std::copy_n(table.rows.begin() + 7 * width, width, table.rows.begin() + 90 * width);  // a tie
    const auto row = [&table, width](int id) {
      return std::span<const float>(table.rows.data() + id * width, static_cast<size_t>(width));
    };
    for (int id = 0; id < table.vocab; ++id) {
      table.norms.push_back(static_cast<float>(std::sqrt(dot(row(id), row(id)))));
    }
    const std::vector<float> query(row(7).begin(), row(7).end());
    const Neighbours found = find_neighbours(table, query, 7, 12);
    CHECK(found.query == query);
    CHECK(found.query_norm == Approx(table.norms[7]));

    const double query_norm = std::sqrt(dot(query, query));
    std::array<std::vector<std::pair<double, int>>, 3> plain;
    for (int id = 0; id < table.vocab; ++id) {
      if (id == 7) continue;
      const double norm = std::sqrt(dot(row(id), row(id)));
      double distance = 0;
      for (size_t i = 0; i < query.size(); ++i) {
        distance += std::pow(static_cast<double>(query[i]) - static_cast<double>(row(id)[i]), 2);
      }
      plain[0].push_back({norm == 0 ? 0 : dot(query, row(id)) / norm / query_norm, id});
      plain[1].push_back({dot(query, row(id)), id});
      plain[2].push_back({std::sqrt(distance), id});
    }
    for (size_t measure = 0; measure < 3; ++measure) {
      INFO("width " << width << " measure " << measure);
      std::sort(plain[measure].begin(), plain[measure].end(),
                [measure](auto a, auto b) { return measure == 2 ? a.first < b.first : a.first > b.first; });
      REQUIRE(found.best[measure].size() == 12);
      for (size_t i = 0; i < 12; ++i) {
        const Neighbour& n = found.best[measure][i];
        const double value = measure == 0 ? n.cosine : measure == 1 ? n.dot : n.distance;
        CHECK(value == Approx(plain[measure][i].first).margin(1e-5));
        CHECK(n.id != 7);
      }
    }
    if (width > 1) {  // with one dimension every cosine is ±1
      CHECK(found.best[0][0].id == 90);
      CHECK(found.best[2][0].id == 90);
      CHECK(found.best[2][0].distance == 0);
    }
    CHECK(find_neighbours(table, query, -1, 1).best[2][0].id == 7);  // the smaller id of the two
    CHECK(find_neighbours(table, query, 7, 1000).best[1].size() == 199);
    CHECK(find_neighbours(table, query, 7, 0).best[1].empty());
    const Neighbours of_nothing = find_neighbours(table, row(5), -1, 3);
    CHECK(of_nothing.best[0][0].cosine == 0);
    CHECK(of_nothing.best[0][0].id == 0);
    CHECK(of_nothing.best[2][0].id == 5);
  }
}

TEST_CASE("neighbours of the real embedding rows are the golden ones", "[analysis][golden][model]") {
  const nlohmann::json golden = read_golden("model_embeddings.json");
  const EmbeddingTable& table = *real_table();
  REQUIRE(table.vocab == 49152);
  REQUIRE(table.width == 576);
  int compared = 0;
  for (const nlohmann::json& entry : golden["neighbors"]) {
    const int32_t id = entry["id"];
    INFO(entry["text"]);
    const std::span<const float> row(table.rows.data() + static_cast<int64_t>(id) * 576, 576);
    const std::vector<float> first = entry["first_values"];
    CHECK(std::equal(first.begin(), first.end(), row.begin()));
    CHECK(table.norms[static_cast<size_t>(id)] == Approx(entry["l2"].get<double>()).epsilon(1e-6));
    const Neighbours found = find_neighbours(table, row, id, 10);
    const char* names[] = {"cosine", "dot", "euclid"};
    for (size_t measure = 0; measure < 3; ++measure) {
      for (size_t i = 0; i < 10; ++i, ++compared) {
        const Neighbour& n = found.best[measure][i];
        CHECK(n.id == entry[names[measure]]["ids"][i]);
        const float value = measure == 0 ? n.cosine : measure == 1 ? n.dot : n.distance;
        CHECK(value == Approx(entry[names[measure]]["values"][i].get<double>()).epsilon(1e-5));
      }
    }
  }
  CHECK(compared >= 60);
}

TEST_CASE("analogies land where the pictures say", "[analysis][model]") {
  const EmbeddingTable& table = *real_table();
  const Tokenizer& tokenizer = real_model()->tokenizer();
  const auto row = [&](const char* text) {
    const int32_t id = tokenizer.find_id(text);
    REQUIRE(id >= 0);
    return table.rows.data() + static_cast<int64_t>(id) * table.width;
  };
  const auto combine = [&](const char* a, const char* b, const char* c) {
    std::vector<float> sum(static_cast<size_t>(table.width));
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = row(a)[i] - row(b)[i] + row(c)[i];
    return sum;
  };
  const auto rank = [&](const Neighbours& found, const char* text) {
    const auto& list = found.best[0];
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const Neighbour& n) { return n.id == tokenizer.find_id(text); });
    return at - list.begin();
  };
  // ·king − ·man + ·woman: ·king itself comes first, ·queen next, at 0.716.
  const Neighbours queen = find_neighbours(table, combine(" king", " man", " woman"), tokenizer.find_id(" king"), 5);
  CHECK(queen.best[0][0].id == tokenizer.find_id(" queen"));
  CHECK(queen.best[0][0].cosine == Approx(0.716).margin(0.0005));
  const Neighbours paris = find_neighbours(table, combine(" Paris", " France", " Italy"), -1, 200);
  CHECK(rank(paris, " Paris") == 0);
  CHECK(rank(paris, " Rome") == 67);  // 68th
}

TEST_CASE("cosine matrices: the embedding and any layer", "[analysis][golden][model]") {
  const nlohmann::json golden = read_golden("model_embeddings.json");
  const std::vector<int32_t> ids = golden["cosine_ids"];
  const auto step = make_step(real_model(), ids);
  for (const nlohmann::json& entry : golden["cosine_matrices"]) {
    REQUIRE(entry["tap"] == "resid_pre");
    const int layer = entry["layer"].get<int>() - 1;  // what comes into a layer is what the one before it left
    const auto matrix = make_cosine_matrix(*real_model(), *step, layer);
    REQUIRE(matrix);
    CHECK(matrix->layer == layer);
    CHECK(matrix->begin == 0);
    REQUIRE(matrix->length == static_cast<int>(ids.size()));
    const std::vector<double> values = entry["values"];
    REQUIRE(matrix->cosine.size() == values.size());
    for (size_t i = 0; i < values.size(); ++i) CHECK(matrix->cosine[i] == Approx(values[i]).margin(2e-5));
    const size_t n = ids.size();
    CHECK(matrix->norms[3] == Approx(std::sqrt(matrix->dots[3 * n + 3])));
    CHECK(matrix->dots[2 * n + 5] == Approx(matrix->cosine[2 * n + 5] * matrix->norms[2] * matrix->norms[5]));
  }
  SessionStore store(real_model(), make_cpu_ops({2, "", false}));
  const auto bare = run_step(store, {ids, {}, Precision::fast, {}});
  CHECK(make_cosine_matrix(*real_model(), *bare, -1));
  CHECK_FALSE(make_cosine_matrix(*real_model(), *bare, 14));  // there is no page
}

TEST_CASE("a long text's matrix is of its last positions", "[analysis]") {
  const auto table = make_embedding_table(*tiny_model());
  Step step;
  step.recipe.tokens = random_tokens(*tiny_model(), kMaxCosineRows + 10, 4);
  const auto matrix = make_cosine_matrix(*tiny_model(), step, -1);
  REQUIRE(matrix);
  CHECK(matrix->length == kMaxCosineRows);
  CHECK(matrix->begin == 10);
  const auto row = [&](int position) {
    const int32_t id = step.recipe.tokens[static_cast<size_t>(position)];
    return std::span<const float>(table->rows.data() + id * table->width, static_cast<size_t>(table->width));
  };
  CHECK(matrix->dots[1] == Approx(dot(row(10), row(11))).margin(1e-6));
}

TEST_CASE("thumbnails hold the greatest weight of their cells", "[analysis]") {
  const auto model = test::make_small_model(2, 512);
  for (const int length : {1, 5, 64, 65, 67, 128, 129, 300}) {
    INFO("length " << length);
    const auto step = make_step(model, random_tokens(*model, length, 5));
    const auto thumbnails = make_thumbnails(model->config(), *step);
    REQUIRE(thumbnails);
    const int width = length <= 64 ? 1 : length <= 128 ? 2 : length <= 256 ? 4 : 8, side = (length + width - 1) / width;
    CHECK(thumbnails->side == side);
    CHECK(thumbnails->width == width);
    CHECK(thumbnails->length == length);
    CHECK(thumbnails->heads == model->config().layers[0].heads);
    int wrong = 0;
    for (int layer = 0; layer < thumbnails->layers; ++layer) {
      for (int head = 0; head < thumbnails->heads; ++head) {
        std::vector<float> plain(static_cast<size_t>(side * side), 0.0f);
        for (int query = 0; query < length; ++query) {
          const auto row = step->page(Tap::attn_pattern, layer, query)->head(query, head);
          for (int key = 0; key <= query; ++key) {
            float& cell = plain[static_cast<size_t>(query / width * side + key / width)];
            cell = std::max(cell, row[static_cast<size_t>(key)]);
          }
        }
        const float* ours = thumbnails->weights.data() + (layer * thumbnails->heads + head) * side * side;
        wrong += !std::equal(plain.begin(), plain.end(), ours);
      }
    }
    CHECK(wrong == 0);
  }
  SessionStore store(tiny_model(), make_cpu_ops({1, "", false}));
  ProbeSpec part;
  part.add(Tap::attn_pooled, 0, 1);
  CHECK_FALSE(make_thumbnails(tiny_model()->config(), *run_step(store, {{1, 2}, {}, Precision::exact, part})));
}

TEST_CASE("the parts of a logit sum to it", "[analysis]") {
  const Model& model = *tiny_model();
  const ModelConfig& config = model.config();
  const auto step = make_step(tiny_model(), random_tokens(model, 20, 6));
  const int position = step->length() - 1;
  const auto resid = step->page(Tap::resid_post, config.layer_count() - 1, position)->row(position);
  const double rms = std::sqrt(dot(resid, resid) / config.width + static_cast<double>(config.layers.back().norm_eps));
  for (const int32_t token : {0, 7, config.vocab - 1}) {
    std::vector<float> direction(static_cast<size_t>(config.width));
    const Tensor& head = model.weights().head.weight;
    dequantise_row(head.dtype, head.row(token), 0, config.width, direction.data());
    for (size_t c = 0; c < direction.size(); ++c) direction[c] *= model.weights().final_norm.weight[c];
    double logit = dot(step->page(Tap::embed, 0, position)->row(position), direction) / rms;
    const std::vector<float> heads = direct_logits(model, *step, position, token);
    const int head_count = config.layers[0].heads;
    REQUIRE(heads.size() == static_cast<size_t>(config.layer_count() * head_count));
    for (int layer = 0; layer < config.layer_count(); ++layer) {
      logit += dot(step->page(Tap::mlp_out, layer, position)->row(position), direction) / rms;
      double of_layer = 0;
      for (int h = 0; h < head_count; ++h) {
        const float part = direct_logit(model, *step, layer, h, position, token);
        CHECK(part == Approx(heads[static_cast<size_t>(layer * head_count + h)]).margin(1e-6));
        of_layer += part;
        double over_keys = 0;
        for (int key = 0; key <= position; ++key) over_keys += cell_logit(model, *step, layer, h, position, key, token);
        CHECK(over_keys == Approx(part).margin(1e-5));
      }
      CHECK(of_layer ==
            Approx(dot(step->page(Tap::attn_out, layer, position)->row(position), direction) / rms).margin(1e-5));
      logit += of_layer;
    }
    CHECK(logit == Approx(step->logits[static_cast<size_t>(token)]).margin(1e-4));
  }
  CHECK(std::isnan(direct_logit(model, *step, 0, 99, position, 0)));
  CHECK(std::isnan(direct_logit(model, *step, 0, 0, position + 1, 0)));
  CHECK(std::isnan(direct_logit(model, *step, 0, 0, position, config.vocab)));
  CHECK(std::isnan(cell_logit(model, *step, 0, 0, 3, 4, 0)));
}

TEST_CASE("a LayerNorm has no such parts", "[analysis]") {
  const auto gpt2 = load_golden_model(golden_path("tiny_gpt2/f32.gguf"));
  const auto step = make_step(gpt2, {1, 2, 3});
  CHECK(std::isnan(direct_logit(*gpt2, *step, 0, 0, 2, 1)));
  CHECK(direct_logits(*gpt2, *step, 2, 1).empty());
  const auto table = make_head_table(*gpt2, *step, {});
  REQUIRE(table);
  CHECK(std::isnan(table->at(0, 0).direct_logit));
  CHECK(std::isfinite(table->at(0, 0).previous));
}

TEST_CASE("the heads of the first prompt are those of the pictures", "[analysis][model]") {
  const Model& model = *real_model();
  std::vector<int32_t> ids;
  for (const Token& token : model.tokenizer().encode(make_document().text)) ids.push_back(token.id);
  REQUIRE(ids.size() == 14);
  const int32_t mary = ids[1];
  const auto step = make_step(real_model(), ids);
  const auto table = make_head_table(model, *step, {});
  REQUIRE(table);
  CHECK(table->layers == 30);
  CHECK(table->heads == 9);

  const HeadScores& holds_back = table->at(24, 4);
  CHECK(holds_back.best_key == 1);
  CHECK(holds_back.best_weight == Approx(0.787).margin(0.0005));
  CHECK(holds_back.direct_logit == Approx(-1.17).margin(0.005));
  CHECK(direct_logit(model, *step, 24, 4, 13, mary) == Approx(holds_back.direct_logit).epsilon(1e-6));
  CHECK(cell_logit(model, *step, 24, 4, 13, 1, mary) == Approx(-1.17).margin(0.005));
  CHECK(table->badges(24, 4) == std::vector<Badge>{Badge::suppressor});

  // The heads that look at ·Mary and write towards it, and the previous-token heads: these and no others.
  std::vector<std::pair<int, int>> movers, suppressors_of_mary, previous;
  for (int layer = 0; layer < 30; ++layer) {
    for (int head = 0; head < 9; ++head) {
      const HeadScores& score = table->at(layer, head);
      CHECK(std::isnan(score.induction));
      CHECK(score.best_weight <= holds_back.best_weight + (score.best_key == 1 ? 0 : 1));
      for (const Badge badge : table->badges(layer, head)) {
        if (badge == Badge::name_mover) movers.push_back({layer, head});
        if (badge == Badge::suppressor && score.best_key == 1) suppressors_of_mary.push_back({layer, head});
        if (badge == Badge::previous) previous.push_back({layer, head});
      }
    }
  }
  CHECK(movers == std::vector<std::pair<int, int>>{{23, 0}, {23, 1}, {23, 7}});
  CHECK(suppressors_of_mary == std::vector<std::pair<int, int>>{{24, 4}});
  CHECK(previous == std::vector<std::pair<int, int>>{{1, 2}, {11, 1}, {16, 0}});

  // A head that is switched off adds nothing.
  Edit off;
  off.layer = 24;
  off.head = 4;
  CHECK(direct_logit(model, *make_step(real_model(), ids, {off}), 24, 4, 13, mary) == 0);
}

TEST_CASE("stage 6's picture: the chain on a real distribution", "[analysis][sampler][model]") {
  std::vector<int32_t> ids;
  for (const Token& token : real_model()->tokenizer().encode("The capital of France is")) ids.push_back(token.id);
  const auto step = make_step(real_model(), ids);
  SamplerSettings s;
  s.temperature = 1.5f;
  s.top_k = 16;
  s.top_p = 0.9f;
  s.min_p = 0.05f;
  const ChainResult chain = run_chain(step->logits, s, ids, 0.8731);
  CHECK(chain.stages[2].kept == 16);
  CHECK(chain.stages[3].kept == 10);
  CHECK(chain.stages[4].kept == 6);
  const auto text = [](int32_t id) { return real_model()->tokenizer().text_of(id); };
  CHECK(text(chain.candidates[0].id) == " Paris");
  CHECK(chain.candidates[0].logit == Approx(17.37).margin(0.005));
  CHECK(chain.candidates[0].prob_model == Approx(0.773).margin(0.0005));
  CHECK(chain.candidates[0].prob_heated == Approx(0.244).margin(0.0005));
  const double expected[] = {0.708, 0.135, 0.0452, 0.0386, 0.0372, 0.0360};
  for (size_t i = 0; i < 6; ++i) CHECK(chain.candidates[i].prob == Approx(expected[i]).margin(0.0005));
  CHECK(text(chain.drawn) == " London");
  CHECK(chain.entropy_model_bits == Approx(2.14).margin(0.005));
  CHECK(chain.stages[1].entropy_bits == Approx(8.76).margin(0.005));
  CHECK(chain.stages[4].entropy_bits == Approx(1.48).margin(0.005));
}

TEST_CASE("scores of heads equal plain sums", "[analysis]") {
  const Model& model = *tiny_model();
  const std::vector<int32_t> tokens = make_induction_tokens(model, 12);
  REQUIRE(tokens.size() >= 24);
  CHECK(tokens == make_induction_tokens(model, 12));
  const size_t lead = tokens.size() - 24;
  CHECK(std::equal(tokens.begin() + static_cast<ptrdiff_t>(lead), tokens.begin() + static_cast<ptrdiff_t>(lead) + 12,
                   tokens.end() - 12));
  CHECK(std::set<int32_t>(tokens.end() - 12, tokens.end()).size() == 12);
  for (const int32_t token : tokens) CHECK((token < model.config().vocab));

  const auto step = make_step(tiny_model(), tokens);
  const std::vector<float> induction = measure_induction(model.config(), *step, 12);
  const auto table = make_head_table(model, *step, induction);
  REQUIRE(table);
  const int length = step->length();
  for (int layer = 0; layer < table->layers; ++layer) {
    for (int head = 0; head < table->heads; ++head) {
      double previous = 0, repeats = 0;
      for (int query = 1; query < length; ++query) {
        previous += step->page(Tap::attn_pattern, layer, query)->head(query, head)[static_cast<size_t>(query - 1)];
      }
      for (int query = length - 12; query < length; ++query) {
        // The last place before the query that holds the same token, and the one after it.
        int same = query - 1;
        while (tokens[static_cast<size_t>(same)] != tokens[static_cast<size_t>(query)]) --same;
        repeats += step->page(Tap::attn_pattern, layer, query)->head(query, head)[static_cast<size_t>(same + 1)];
      }
      CHECK(table->at(layer, head).previous == Approx(previous / (length - 1)).epsilon(1e-6));
      CHECK(table->at(layer, head).induction == Approx(repeats / 12).epsilon(1e-6));
      const auto row = step->page(Tap::attn_pattern, layer, length - 1)->head(length - 1, head);
      CHECK(table->at(layer, head).best_weight == *std::max_element(row.begin(), row.end()));
      CHECK(row[static_cast<size_t>(table->at(layer, head).best_key)] == table->at(layer, head).best_weight);
    }
  }
  CHECK(measure_induction(model.config(), *step, 13).empty());  // another sequence's length

  const auto one = make_head_table(model, *make_step(tiny_model(), {3}), {});
  REQUIRE(one);
  CHECK(std::isnan(one->at(0, 0).previous));
  CHECK(one->at(0, 0).best_weight == 1);
  SessionStore store(tiny_model(), make_cpu_ops({1, "", false}));
  CHECK_FALSE(make_head_table(model, *run_step(store, {{1, 2}, {}, Precision::exact, {}}), {}));
}

TEST_CASE("the real model has induction heads", "[analysis][model]") {
  const Model& model = *real_model();
  const std::vector<int32_t> tokens = make_induction_tokens(model);
  CHECK(tokens.size() == 48);
  for (const int32_t token : tokens) {
    CHECK_FALSE(model.tokenizer().is_special(token));
    CHECK(model.tokenizer().bytes_of(token).starts_with(" "));
  }
  SessionStore store(real_model(), make_cpu_ops({2, "", false}));
  ProbeSpec patterns;
  patterns.add(Tap::attn_pattern, 0, model.config().layer_count());
  const auto step = run_step(store, {tokens, {}, Precision::exact, patterns});
  const std::vector<float> scores = measure_induction(model.config(), *step);
  REQUIRE(scores.size() == 270);
  CHECK(*std::max_element(scores.begin(), scores.end()) > 0.7f);
  // An induction head cannot work in the first layer: it needs an earlier head's note of what came before.
  CHECK(*std::max_element(scores.begin(), scores.begin() + 9) < 0.1f);
}

TEST_CASE("badges are earned at their thresholds", "[analysis]") {
  HeadTable table;
  table.layers = table.heads = 1;
  table.scores.resize(1);
  HeadScores& score = table.scores[0];
  const auto letters = [&table] {
    std::string text;
    for (const Badge badge : table.badges(0, 0)) text += badge_letter(badge);
    return text;
  };
  score = {0.6f, 0.4f, 0.5f, 3, 0.51f};
  CHECK(letters() == "PIN");
  score.direct_logit = -0.51f;
  CHECK(letters() == "PIS");
  score = {0.59f, 0.39f, 0.49f, 3, 2.0f};
  CHECK(letters().empty());
  score = {0.59f, 0.39f, 0.5f, 3, 0.5f};  // above 0.5, not at it
  CHECK(letters().empty());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  score = {nan, nan, 0.9f, 3, nan};
  CHECK(letters().empty());
  for (const Badge badge : {Badge::previous, Badge::induction, Badge::name_mover, Badge::suppressor}) {
    CHECK(badge_definition(badge).find("0.") != std::string::npos);  // it says its threshold
  }
}
