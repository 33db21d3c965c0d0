#include "lessons/quantity.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lessons/quantity_parts.h"

namespace glassbox {
namespace {

// What must be there besides the Document.
enum class Wants : uint8_t { nothing, tokens, step, chain, heads, neighbours, cosines, pattern, scores };

struct QuantityInfo {
  QuantityKind kind;
  std::string_view name;
  Wants wants;
  int texts;  // how many of text, text2 it takes
};

constexpr std::array kQuantities = {
    QuantityInfo{QuantityKind::tokens, "tokens", Wants::tokens, 0},
    QuantityInfo{QuantityKind::words, "words", Wants::nothing, 0},
    QuantityInfo{QuantityKind::characters, "characters", Wants::nothing, 0},
    QuantityInfo{QuantityKind::bytes, "bytes", Wants::nothing, 0},
    QuantityInfo{QuantityKind::contains, "contains", Wants::nothing, 1},
    QuantityInfo{QuantityKind::character_tokens, "character_tokens", Wants::tokens, 0},
    QuantityInfo{QuantityKind::piece_tokens, "piece_tokens", Wants::tokens, 0},
    QuantityInfo{QuantityKind::piece_characters, "piece_characters", Wants::tokens, 0},
    QuantityInfo{QuantityKind::best_single, "best_single", Wants::tokens, 0},
    QuantityInfo{QuantityKind::worst_split, "worst_split", Wants::tokens, 0},
    QuantityInfo{QuantityKind::merges, "merges", Wants::tokens, 0},
    QuantityInfo{QuantityKind::merges_shown, "merges_shown", Wants::tokens, 0},
    QuantityInfo{QuantityKind::merges_left, "merges_left", Wants::tokens, 0},
    QuantityInfo{QuantityKind::forged_markers, "forged_markers", Wants::tokens, 0},
    QuantityInfo{QuantityKind::special_tokens, "special_tokens", Wants::tokens, 0},
    QuantityInfo{QuantityKind::chat, "chat", Wants::nothing, 0},
    QuantityInfo{QuantityKind::norm, "norm", Wants::neighbours, 0},
    QuantityInfo{QuantityKind::neighbour_cosine, "neighbour_cosine", Wants::neighbours, 0},
    QuantityInfo{QuantityKind::dot_differs, "dot_differs", Wants::neighbours, 0},
    QuantityInfo{QuantityKind::pair_cosine, "pair_cosine", Wants::cosines, 0},
    QuantityInfo{QuantityKind::token_cosine, "token_cosine", Wants::cosines, 2},
    QuantityInfo{QuantityKind::twin_cosine, "twin_cosine", Wants::cosines, 0},
    QuantityInfo{QuantityKind::vector_layer, "vector_layer", Wants::nothing, 0},
    QuantityInfo{QuantityKind::prob, "prob", Wants::chain, 1},
    QuantityInfo{QuantityKind::prob_baseline, "prob_baseline", Wants::chain, 1},
    QuantityInfo{QuantityKind::prob_change, "prob_change", Wants::chain, 1},
    QuantityInfo{QuantityKind::heads_off, "heads_off", Wants::nothing, 0},
    QuantityInfo{QuantityKind::off_head_weight, "off_head_weight", Wants::pattern, 1},
    QuantityInfo{QuantityKind::previous_score, "previous_score", Wants::heads, 0},
    QuantityInfo{QuantityKind::induction_score, "induction_score", Wants::heads, 0},
    QuantityInfo{QuantityKind::cell_weight, "cell_weight", Wants::pattern, 0},
    QuantityInfo{QuantityKind::cell_distance, "cell_distance", Wants::nothing, 0},
    QuantityInfo{QuantityKind::cell_key, "cell_key", Wants::nothing, 0},
    QuantityInfo{QuantityKind::cell_score, "cell_score", Wants::scores, 0},
    QuantityInfo{QuantityKind::masked_cells, "masked_cells", Wants::pattern, 0},
    QuantityInfo{QuantityKind::edges_cut, "edges_cut", Wants::nothing, 0},
    QuantityInfo{QuantityKind::temperature, "temperature", Wants::nothing, 0},
    QuantityInfo{QuantityKind::top_p, "top_p", Wants::nothing, 0},
    QuantityInfo{QuantityKind::kept, "kept", Wants::chain, 1},
    QuantityInfo{QuantityKind::survivors, "survivors", Wants::chain, 0},
    QuantityInfo{QuantityKind::top1_prob, "top1_prob", Wants::chain, 0},
    QuantityInfo{QuantityKind::top_gap, "top_gap", Wants::chain, 0},
    QuantityInfo{QuantityKind::entropy, "entropy", Wants::chain, 0},
    QuantityInfo{QuantityKind::drawn_rank, "drawn_rank", Wants::chain, 0},
    QuantityInfo{QuantityKind::generated, "generated", Wants::nothing, 0},
    QuantityInfo{QuantityKind::branches, "branches", Wants::nothing, 0},
    QuantityInfo{QuantityKind::loop_tokens, "loop_tokens", Wants::nothing, 0},
    QuantityInfo{QuantityKind::same_lines, "same_lines", Wants::nothing, 0},
    QuantityInfo{QuantityKind::order_of_top_p, "order_of_top_p", Wants::nothing, 0},
    QuantityInfo{QuantityKind::predicted, "predicted", Wants::nothing, 1},
};

// The table is read by the kind's number.
constexpr bool in_order() {
  for (size_t i = 0; i < kQuantities.size(); ++i) {
    if (kQuantities[i].kind != static_cast<QuantityKind>(i)) return false;
  }
  return kQuantities.back().kind == QuantityKind::predicted;
}
static_assert(in_order(), "kQuantities has the kinds in the order of the enumeration, and all of them");

const QuantityInfo& info_of(QuantityKind kind) {
  return kQuantities[static_cast<size_t>(kind)];
}

std::optional<int32_t> token_of(const Model& model, const std::string& text) {
  int32_t id = model.tokenizer().find_id(text);
  if (id < 0) id = model.tokenizer().find_special(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

double softmax_at(std::span<const float> logits, int32_t id) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return std::exp(logits[static_cast<size_t>(id)] - top) / sum;
}

// Greatest weight that a head gives, at the last position of the step, to a token.
double weight_on(const Step& step, int layer, int head, int32_t token) {
  const int last = step.length() - 1;
  const Page* page = step.page(Tap::attn_pattern, layer, last);
  if (page == nullptr) return 0;
  const auto weights = page->head(last, head);
  double best = 0;
  for (int key = 0; key <= last; ++key) {
    if (step.recipe.tokens[static_cast<size_t>(key)] == token)
      best = std::max(best, static_cast<double>(weights[static_cast<size_t>(key)]));
  }
  return best;
}

std::optional<double> measure_attention(const Quantity& quantity, const MeasureContext& context) {
  const View& view = context.view;
  const Selection& selection = context.document.selection;
  switch (quantity.kind) {
    case QuantityKind::previous_score:
    case QuantityKind::induction_score: {
      if (!view.heads || selection.layer >= view.heads->layers || selection.head >= view.heads->heads)
        return std::nullopt;
      const HeadScores& scores = view.heads->at(selection.layer, selection.head);
      const float score = quantity.kind == QuantityKind::previous_score ? scores.previous : scores.induction;
      return std::isnan(score) ? std::nullopt : std::optional<double>(score);
    }
    case QuantityKind::off_head_weight: {
      const auto token = token_of(*context.model, quantity.text);
      const Step* step = view.baseline ? view.baseline.get() : view.step.get();
      if (!token || step == nullptr) return std::nullopt;
      double best = 0;
      for (const Edit& edit : context.document.edits) {
        if (is_head_off(edit)) best = std::max(best, weight_on(*step, edit.layer, *edit.head, *token));
      }
      return best;
    }
    default:
      break;
  }
  if (!view.step) return std::nullopt;
  const auto row = [&](int query) -> std::span<const float> {
    const Tap tap = quantity.kind == QuantityKind::cell_score ? Tap::attn_scores : Tap::attn_pattern;
    const Page* page = view.step->page(tap, selection.layer, query);
    return page == nullptr || selection.head >= page->heads() ? std::span<const float>{}
                                                              : page->head(query, selection.head);
  };
  if (quantity.kind == QuantityKind::cell_weight || quantity.kind == QuantityKind::cell_score) {
    const std::optional<Cell> cell = context.document.shown_cell();
    if (!cell || cell->query >= view.step->length()) return std::nullopt;
    const auto weights = row(cell->query);
    if (cell->key >= static_cast<int>(weights.size())) return std::nullopt;
    return weights[static_cast<size_t>(cell->key)];
  }
  double masked = 0;  // masked_cells
  for (int query = 0; query < view.step->length(); ++query) {
    const Page* page = view.step->page(Tap::attn_pattern, selection.layer, query);
    if (page == nullptr) return std::nullopt;
    const auto whole = page->row(query).subspan(
        static_cast<size_t>(selection.head) * static_cast<size_t>(page->width()), static_cast<size_t>(page->width()));
    masked += static_cast<double>(
        std::count_if(whole.begin() + query + 1, whole.end(), [](float weight) { return weight != 0; }));
  }
  return masked;
}

std::optional<double> measure_chain(const Quantity& quantity, const MeasureContext& context) {
  const View& view = context.view;
  if (!view.step) return std::nullopt;
  if (quantity.kind == QuantityKind::prob || quantity.kind == QuantityKind::prob_baseline ||
      quantity.kind == QuantityKind::prob_change) {
    const auto token = token_of(*context.model, quantity.text);
    if (!token) return std::nullopt;
    // The chain has the model's own distribution already.
    const auto after = [&]() -> double {
      if (!view.chain) return softmax_at(view.step->logits, *token);
      return view.chain->candidates[static_cast<size_t>(view.chain->rank_of[static_cast<size_t>(*token)])].prob_model;
    };
    const auto baseline = [&] { return view.baseline ? softmax_at(view.baseline->logits, *token) : after(); };
    return quantity.kind == QuantityKind::prob            ? after()
           : quantity.kind == QuantityKind::prob_baseline ? baseline()
                                                          : after() - baseline();
  }
  if (!view.chain || view.chain->settings != context.document.sampler) return std::nullopt;
  const ChainResult& chain = *view.chain;
  switch (quantity.kind) {
    case QuantityKind::top1_prob:
      return chain.candidates.front().prob;
    case QuantityKind::survivors:
      return chain.stages[chain.stages.size() - 2].kept;  // the draw comes last
    case QuantityKind::top_gap: {
      float first = 0, second = 0;
      if (!chain.stages.front().active && chain.candidates.size() > 1)  // no penalties: in the order of the model's own
        return static_cast<double>(chain.candidates[0].prob_model) - chain.candidates[1].prob_model;
      for (const Candidate& candidate : chain.candidates) {
        second = std::max(second, std::min(first, candidate.prob_model));
        first = std::max(first, candidate.prob_model);
      }
      return static_cast<double>(first) - second;
    }
    case QuantityKind::entropy:
      return chain.entropy_model_bits;
    case QuantityKind::drawn_rank:
      return chain.drawn < 0 ? std::nullopt : std::optional<double>(chain.rank_of[static_cast<size_t>(chain.drawn)]);
    default:
      break;
  }
  for (const ChainStage& stage : chain.stages) {
    if (stage.kind == quantity.text) return stage.kept;
  }
  return std::nullopt;
}

std::optional<double> measure_cosines(const Quantity& quantity, const MeasureContext& context) {
  const View& view = context.view;
  if (!view.cosines || view.cosines->layer != context.document.selection.vector_layer) return std::nullopt;
  const CosineMatrix& matrix = *view.cosines;
  const bool named = quantity.kind == QuantityKind::token_cosine, twins = quantity.kind == QuantityKind::twin_cosine;
  const auto a = named ? token_of(*context.model, quantity.text) : std::nullopt,
             b = named ? token_of(*context.model, quantity.text2) : std::nullopt;
  if (named && (!a || !b)) return std::nullopt;
  const int32_t* tokens = view.tokens.data() + matrix.begin;  // of a long text only the last rows are there
  std::optional<double> found;
  for (int i = 0; i < matrix.length; ++i) {
    for (int j = 0; j < matrix.length; ++j) {
      if (i == j || (named ? tokens[i] != *a || tokens[j] != *b : (tokens[i] == tokens[j]) != twins)) continue;
      const double cosine =
          matrix.cosine[static_cast<size_t>(i) * static_cast<size_t>(matrix.length) + static_cast<size_t>(j)];
      if (!found || (twins ? cosine < *found : cosine > *found)) found = cosine;
    }
  }
  return found;
}

std::optional<double> measure_vectors(const Quantity& quantity, const MeasureContext& context) {
  const View& view = context.view;
  if (info_of(quantity.kind).wants == Wants::cosines) return measure_cosines(quantity, context);
  if (!view.neighbours) return std::nullopt;
  const Neighbours& found = *view.neighbours;
  const auto& by_cosine = found.best[static_cast<size_t>(NearBy::cosine)];
  const auto& by_dot = found.best[static_cast<size_t>(NearBy::dot)];
  if (quantity.kind == QuantityKind::norm) return found.query_norm;
  if (by_cosine.empty() || by_dot.empty()) return std::nullopt;
  if (quantity.kind == QuantityKind::neighbour_cosine) return by_cosine.front().cosine;
  const auto end = by_cosine.begin() + std::min<ptrdiff_t>(10, static_cast<ptrdiff_t>(by_cosine.size()));
  return std::none_of(by_cosine.begin(), end,
                      [&](const Neighbour& neighbour) { return neighbour.id == by_dot.front().id; })
             ? 1.0
             : 0.0;
}
}  // namespace

std::string_view quantity_name(QuantityKind kind) {
  return info_of(kind).name;
}

bool is_measured(QuantityKind kind) {
  return info_of(kind).wants != Wants::nothing || kind == QuantityKind::loop_tokens || kind == QuantityKind::same_lines;
}

Result<Quantity> quantity_from_json(const nlohmann::json& json) {
  const auto refuse = [&](const char* what, std::string where) {
    return Error{ErrorKind::bad_file, what, std::move(where), "{\"measure\": NAME, \"text\": …} of lessons/quantity.h",
                 ""};
  };
  if (!json.is_object() || !json.contains("measure") || !json["measure"].is_string())
    return refuse("A measure is not understood.", json.dump());
  const std::string name = json["measure"];
  for (const QuantityInfo& info : kQuantities) {
    if (info.name != name) continue;
    Quantity quantity;
    quantity.kind = info.kind;
    const char* keys[] = {"text", "text2"};
    std::string* values[] = {&quantity.text, &quantity.text2};
    for (int i = 0; i < 2; ++i) {
      const bool there = json.contains(keys[i]) && json[keys[i]].is_string();
      if (there != (i < info.texts)) return refuse("A measure lacks a text, or has one too many.", json.dump());
      if (there) *values[i] = json[keys[i]];
    }
    return quantity;
  }
  return refuse("There is no such measure.", name);
}

Needs quantity_needs(const Quantity& quantity, const Document& document, const ModelConfig& config) {
  Needs needs;
  switch (info_of(quantity.kind).wants) {
    case Wants::nothing:
    case Wants::tokens:
    case Wants::step:
      break;
    case Wants::chain:
      needs.chain = true;
      break;
    case Wants::heads:
      needs.heads = true;
      break;
    case Wants::neighbours:
      needs.neighbours = true;
      break;
    case Wants::cosines:
      needs.cosines = true;
      break;
    case Wants::scores:
      needs.probe.add(Tap::attn_scores, document.selection.layer, document.selection.layer + 1);
      break;
    case Wants::pattern:
      needs.probe.add(Tap::attn_pattern, document.selection.layer, document.selection.layer + 1);
      for (const Edit& edit : document.edits) {
        if (is_head_off(edit) && edit.layer < config.layer_count())
          needs.probe.add(Tap::attn_pattern, edit.layer, edit.layer + 1);
      }
      break;
  }
  return needs;
}

std::optional<double> measure(const Quantity& quantity, const MeasureContext& context) {
  const Wants wants = info_of(quantity.kind).wants;
  if (wants == Wants::nothing) return measure_document(quantity, context);
  if (context.model == nullptr) return std::nullopt;
  if (wants == Wants::tokens) return measure_text(quantity, context);
  if (context.view.stale || !context.view.step) return std::nullopt;
  switch (wants) {
    case Wants::chain:
      return measure_chain(quantity, context);
    case Wants::heads:
    case Wants::pattern:
    case Wants::scores:
      return measure_attention(quantity, context);
    default:
      return measure_vectors(quantity, context);
  }
}

}  // namespace glassbox
