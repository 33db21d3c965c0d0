#include "core/run/figures.h"

#include <algorithm>
#include <limits>

#include "core/io/json_fields.h"
#include "core/text/unicode.h"

namespace glassbox {
namespace {

using Json = nlohmann::json;

Json byte_list(std::string_view bytes) {
  Json list = Json::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned>(static_cast<unsigned char>(byte)));
  return list;
}

Json token_text(const Tokenizer* tokenizer, int32_t id) {
  if (!tokenizer || id < 0 || id >= tokenizer->vocab_size()) return nullptr;
  return tokenizer->text_of(id);
}

// One position of a tap: [heads][width], or what is left of it when the head is fixed. `keys` > 0: the key axis is that
// long, and what lies beyond the row's own keys is masked.
Json position_data(const Page& page, int position, std::optional<int> head, int keys) {
  const float masked = page.tap() == Tap::attn_scores ? -std::numeric_limits<float>::infinity() : 0.0f;
  const auto one_head = [&](std::span<const float> values) {
    Json list = json_numbers(values);
    while (static_cast<int>(list.size()) < keys) list.push_back(json_number(masked));
    return list;
  };
  if (page.heads() == 0) return one_head(page.row(position));
  if (head) return one_head(page.head(position, *head));
  Json heads = Json::array();
  for (int h = 0; h < page.heads(); ++h) heads.push_back(one_head(page.head(position, h)));
  return heads;
}

Json matrix_json(std::span<const float> values, int length) {
  Json rows = Json::array();
  for (int i = 0; i < length; ++i) {
    rows.push_back(json_numbers(
        values.subspan(static_cast<size_t>(i) * static_cast<size_t>(length), static_cast<size_t>(length))));
  }
  return rows;
}

}  // namespace

Json json_numbers(std::span<const float> values) {
  Json list = Json::array();
  list.get_ref<Json::array_t&>().reserve(values.size());
  for (const float value : values) list.push_back(json_number(value));
  return list;
}

Json figure_token(const Tokenizer& tokenizer, const Token& token) {
  return {{"id", token.id},
          {"text", tokenizer.text_of(token.id)},
          {"bytes", byte_list(tokenizer.bytes_of(token.id))},
          {"start", token.start},
          {"end", token.end},
          {"special", token.special}};
}

Json figure_tokens(const Tokenizer& tokenizer, std::span<const Token> tokens) {
  Json list = Json::array();
  for (const Token& token : tokens) list.push_back(figure_token(tokenizer, token));
  return list;
}

Json figure_piece(std::string_view text, const Piece& piece) {
  return {{"text", replace_invalid_utf8(text.substr(piece.start, piece.end - piece.start))},
          {"start", piece.start},
          {"end", piece.end},
          {"first_token", piece.first_token},
          {"token_count", piece.token_count},
          {"special", piece.special}};
}

Json figure_symbol(const Tokenizer& tokenizer, const Symbol& symbol) {
  return {{"id", symbol.id},
          {"text", tokenizer.text_of(symbol.id)},
          {"bytes", byte_list(tokenizer.bytes_of(symbol.id))},
          {"start", symbol.start},
          {"end", symbol.end}};
}

Json figure_merges(const Tokenizer& tokenizer, const MergeTrace& trace) {
  Json bytes = Json::array(), steps = Json::array();
  for (const Symbol& symbol : trace.bytes) bytes.push_back(figure_symbol(tokenizer, symbol));
  const std::vector<Symbol>* before = &trace.bytes;
  for (const MergeStep& step : trace.steps) {
    Json pairs = Json::array(), symbols = Json::array();
    for (const Merge& pair : step.pairs) pairs.push_back(pair.rank < 0 ? Json(nullptr) : Json(pair.rank));
    for (const Symbol& symbol : step.symbols) symbols.push_back(symbol.id);
    steps.push_back({{"index", step.left},
                     {"left", (*before)[step.left].id},
                     {"right", (*before)[step.left + 1].id},
                     {"rank", step.merge.rank},
                     {"id", step.merge.id},
                     {"text", tokenizer.text_of(step.merge.id)},
                     {"pairs", std::move(pairs)},
                     {"symbols", std::move(symbols)}});
    before = &step.symbols;
  }
  return {{"bytes", std::move(bytes)}, {"whole_piece", trace.whole_piece}, {"steps", std::move(steps)}};
}

Json figure_next(const ChainResult& chain, const Tokenizer* tokenizer, int count, const DistributionChange* change) {
  const size_t shown =
      count < 0 ? chain.candidates.size() : std::min(chain.candidates.size(), static_cast<size_t>(count));
  Json candidates = Json::array();
  candidates.get_ref<Json::array_t&>().reserve(shown);
  for (size_t i = 0; i < shown; ++i) {
    const Candidate& candidate = chain.candidates[i];
    candidates.push_back(
        {{"id", candidate.id},
         {"text", token_text(tokenizer, candidate.id)},
         {"logit", json_number(candidate.logit)},
         {"penalised", json_number(candidate.penalised)},
         {"prob_model", json_number(candidate.prob_model)},
         {"prob_heated", json_number(candidate.prob_heated)},
         {"prob", json_number(candidate.prob)},
         {"cut_by",
          candidate.cut_by < 0 ? Json(nullptr) : Json(chain.stages[static_cast<size_t>(candidate.cut_by)].kind)}});
  }
  if (change) {
    for (Json& candidate : candidates)
      candidate["prob_before"] = json_number(change->before[candidate["id"].get<size_t>()]);
  }
  Json stages = Json::array();
  for (const ChainStage& stage : chain.stages) {
    stages.push_back({{"kind", stage.kind},
                      {"params", stage.params},
                      {"active", stage.active},
                      {"kept", stage.kept},
                      {"mass", stage.mass},
                      {"entropy_bits", stage.entropy_bits}});
  }
  Json drawn = nullptr;
  if (chain.drawn >= 0) {
    const size_t rank = static_cast<size_t>(chain.rank_of[static_cast<size_t>(chain.drawn)]);
    drawn = {{"id", chain.drawn},
             {"text", token_text(tokenizer, chain.drawn)},
             {"prob", json_number(chain.candidates[rank].prob)}};
  }
  Json figure = {{"candidates", std::move(candidates)},
                 {"stages", std::move(stages)},
                 {"entropy_bits", chain.entropy_model_bits},
                 {"vocab", chain.candidates.size()},
                 {"u", chain.u},
                 {"drawn", std::move(drawn)}};
  if (change) {
    figure["entropy_before_bits"] = change->entropy_before_bits;
    figure["kl_nats"] = change->kl_nats;
  }
  return figure;
}

Json figure_tap(const Step& step, const ModelConfig& config, const TapSlice& slice) {
  const bool of_model = tap_info(slice.tap).scope == TapScope::model;
  const int layer = of_model ? 0 : slice.layer, length = step.length();
  const int keys = has_key_axis(slice.tap) ? length : 0;
  const int heads = tap_heads(slice.tap, config, layer);
  const std::string_view letters = tap_info(slice.tap).axes;  // "C", "H D", …

  Json axes = Json::array(), shape = Json::array();
  if (!slice.position) axes.push_back("T"), shape.push_back(length);
  if (heads > 0 && !slice.head) axes.push_back(std::string(1, letters.front())), shape.push_back(heads);
  axes.push_back(std::string(1, letters.back()));
  shape.push_back(tap_width(slice.tap, config, layer, length));

  const int begin = slice.position.value_or(0), end = slice.position ? begin + 1 : length;
  Json data = Json::array();
  for (int position = begin; position < end; ++position) {
    const Page* page = step.page(slice.tap, layer, position);
    if (!page) return nullptr;
    Json row = position_data(*page, position, slice.head, keys);
    if (slice.position)
      data = std::move(row);
    else
      data.push_back(std::move(row));
  }
  return {{"tap", tap_info(slice.tap).name},
          {"layer", of_model ? Json(nullptr) : Json(layer)},
          {"head", slice.head ? Json(*slice.head) : Json(nullptr)},
          {"position", slice.position ? Json(*slice.position) : Json(nullptr)},
          {"axes", std::move(axes)},
          {"shape", std::move(shape)},
          {"data", std::move(data)}};
}

Json figure_neighbours(const Neighbours& neighbours, const Tokenizer& tokenizer, int count) {
  Json figure = {{"token", nullptr}, {"norm", json_number(neighbours.query_norm)}};
  if (neighbours.id >= 0) figure["token"] = {{"id", neighbours.id}, {"text", token_text(&tokenizer, neighbours.id)}};
  constexpr const char* kMeasures[] = {"cosine", "dot", "euclid"};
  for (size_t by = 0; by < std::size(kMeasures); ++by) {
    Json list = Json::array();
    for (const Neighbour& near : neighbours.best[by]) {
      if (static_cast<int>(list.size()) >= count) break;
      list.push_back({{"id", near.id},
                      {"text", token_text(&tokenizer, near.id)},
                      {"cosine", json_number(near.cosine)},
                      {"dot", json_number(near.dot)},
                      {"distance", json_number(near.distance)}});
    }
    figure[kMeasures[by]] = std::move(list);
  }
  return figure;
}

Json figure_cosines(const CosineMatrix& matrix) {
  return {{"layer", matrix.layer},
          {"axes", {"T", "T"}},
          {"shape", {matrix.length, matrix.length}},
          {"cosine", matrix_json(matrix.cosine, matrix.length)},
          {"dot", matrix_json(matrix.dots, matrix.length)},
          {"norms", json_numbers(matrix.norms)}};
}

Json figure_heads(const HeadTable& table) {
  Json rows = Json::array();
  for (int layer = 0; layer < table.layers; ++layer) {
    for (int head = 0; head < table.heads; ++head) {
      const HeadScores& scores = table.at(layer, head);
      std::string badges;
      for (const Badge badge : table.badges(layer, head)) badges += badge_letter(badge);
      rows.push_back({{"layer", layer},
                      {"head", head},
                      {"previous", json_number(scores.previous)},
                      {"induction", json_number(scores.induction)},
                      {"best_weight", json_number(scores.best_weight)},
                      {"best_key", scores.best_key},
                      {"direct_logit", json_number(scores.direct_logit)},
                      {"badges", badges}});
    }
  }
  return rows;
}

}  // namespace glassbox
