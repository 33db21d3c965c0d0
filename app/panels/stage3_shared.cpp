#include "app/panels/stage3_shared.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "app/widgets/widgets.h"

namespace glassbox {

namespace {
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
}

HeadChoice chosen_head(const Document& document, const ModelConfig& config) {
  const int layer = std::clamp(document.selection.layer, 0, config.layer_count() - 1);
  const int heads = config.layers[static_cast<size_t>(layer)].heads;
  return {layer, std::clamp(document.selection.head, 0, heads - 1)};
}

std::string head_name(HeadChoice head) { return "L" + std::to_string(head.layer) + "·H" + std::to_string(head.head); }

bool head_is_off(const Document& document, HeadChoice head) {
  return std::any_of(document.edits.begin(), document.edits.end(), [&](const Edit& edit) {
    return edit.enabled && edit.kind == EditKind::zero && edit.tap == Tap::attn_z && edit.layer == head.layer &&
           (!edit.head || *edit.head == head.head) && !edit.position_begin && !edit.position_end && !edit.index;
  });
}

int kv_head_of(const LayerConfig& layer, int head) { return head / std::max(1, layer.heads / std::max(1, layer.kv_heads)); }

std::string shown_token(const FrameContext& context, int position) {
  const std::vector<int32_t>& tokens = context.view().tokens;
  if (!context.model() || position < 0 || position >= static_cast<int>(tokens.size())) return {};
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const int32_t id = tokens[static_cast<size_t>(position)];
  return id < tokenizer.vocab_size() ? token_text(context.theme, tokenizer, id) : std::string();
}

HeadReader::HeadReader(const View& view, const ModelConfig& config, HeadChoice head)
    : step_(view.step.get()), layer_(&config.layers[static_cast<size_t>(head.layer)]), head_(head) {
  length_ = step_ ? step_->length() : 0;
  rotated_ = tap_exists(Tap::q_rot, config, head.layer);
  weight_rows_.resize(static_cast<size_t>(length_));
}

std::span<const float> HeadReader::row(Tap tap, int position, int head) const {
  if (!step_ || position < 0 || position >= length_) return {};
  const Page* page = step_->page(tap, head_.layer, position);
  return page ? page->head(position, head) : std::span<const float>();
}

std::span<const float> HeadReader::weights(int query) const {
  if (query < 0 || query >= length_) return {};
  std::span<const float>& found = weight_rows_[static_cast<size_t>(query)];
  if (found.empty()) found = row(Tap::attn_pattern, query, head_.head);
  return found;
}
std::span<const float> HeadReader::scores(int query) const { return row(Tap::attn_scores, query, head_.head); }
std::span<const float> HeadReader::query_vector(int position) const {
  return row(rotated_ ? Tap::q_rot : Tap::q, position, head_.head);
}
std::span<const float> HeadReader::key_vector(int position) const {
  return row(rotated_ ? Tap::k_rot : Tap::k, position, kv_head_of(*layer_, head_.head));
}
std::span<const float> HeadReader::value_vector(int position) const {
  return row(Tap::v, position, kv_head_of(*layer_, head_.head));
}
float HeadReader::weight(int query, int key) const {
  const std::span<const float> values = weights(query);
  return key >= 0 && static_cast<size_t>(key) < values.size() ? values[static_cast<size_t>(key)] : kNaN;
}
float HeadReader::score(int query, int key) const {
  const std::span<const float> values = scores(query);
  return key >= 0 && static_cast<size_t>(key) < values.size() ? values[static_cast<size_t>(key)] : kNaN;
}

bool cell_is_cut(const Document& document, HeadChoice head, int query, int key) {
  return std::any_of(document.edits.begin(), document.edits.end(), [&](const Edit& edit) {
    return edit.enabled && (edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight) &&
           edit.layer == head.layer && (!edit.head || *edit.head == head.head) && (!edit.key || *edit.key == key) &&
           query >= edit.position_begin.value_or(0) &&
           query < edit.position_end.value_or(std::numeric_limits<int>::max());
  });
}

std::optional<CellNumbers> read_cell(const HeadReader& reader, const Document& document, int query, int key) {
  const std::span<const float> weights = reader.weights(query), scores = reader.scores(query);
  if (key < 0 || static_cast<size_t>(key) >= weights.size() || weights.size() != scores.size()) return std::nullopt;
  CellNumbers cell;
  cell.score = scores[static_cast<size_t>(key)];
  cell.weight = weights[static_cast<size_t>(key)];
  const int window = reader.layer().window;
  const size_t first = window > 0 && query >= window ? static_cast<size_t>(query - window + 1) : 0;
  cell.outside_window = static_cast<size_t>(key) < first;
  cell.cut = cell_is_cut(document, reader.head(), query, key);
  cell.greatest = -std::numeric_limits<double>::infinity();
  for (size_t j = first; j < scores.size(); ++j) cell.greatest = std::max(cell.greatest, static_cast<double>(scores[j]));
  for (size_t j = first; j < scores.size(); ++j) cell.exp_sum += std::exp(static_cast<double>(scores[j]) - cell.greatest);
  cell.exp_score = std::exp(static_cast<double>(cell.score) - cell.greatest);
  const std::span<const float> q = reader.query_vector(query), k = reader.key_vector(key);
  if (q.empty() || q.size() != k.size()) {
    cell.dot = kNaN;
  } else {
    double sum = 0;
    for (size_t d = 0; d < q.size(); ++d) sum += static_cast<double>(q[d]) * static_cast<double>(k[d]);
    cell.dot = static_cast<float>(sum);
  }
  return cell;
}

std::string scale_text(const LayerConfig& layer) {
  const float by_width = 1.0f / std::sqrt(static_cast<float>(layer.head_dim));
  if (std::abs(layer.attention_scale - by_width) < 1e-6f * by_width) return "÷ √" + std::to_string(layer.head_dim);
  return "× " + format_value(static_cast<double>(layer.attention_scale));
}

void draw_cell_card(const FrameContext& context, const HeadReader& reader, int query, int key) {
  const Theme& theme = context.theme;
  begin_hover_card(theme);
  card_tokens(theme, shown_token(context, query), "looks at", shown_token(context, key), theme.query, theme.key);
  const std::string place = "query " + std::to_string(query) + ", key " + std::to_string(key) + " of " +
                            head_name(reader.head());
  if (key > query) {
    card_value(theme, "masked: key after query", "", theme.dim);
    card_line(theme, "score = -∞,  weight = e^-∞ / Σ = 0");
    card_source(theme, place + ". A token sees itself and what stands before it: the causal mask.");
    end_hover_card(theme);
    return;
  }
  const float weight = reader.weight(query, key);
  card_value(theme, "weight", format_probability(static_cast<double>(weight)), theme.attention);
  if (const std::optional<CellNumbers> cell = read_cell(reader, context.document(), query, key)) {
    const LayerConfig& layer = reader.layer();
    if (!std::isnan(cell->dot)) {
      if (scale_text(layer).starts_with("÷"))
        card_equation(theme, "score", Fraction{format_value(static_cast<double>(cell->dot)), "√" + std::to_string(layer.head_dim)},
                      format_value(static_cast<double>(cell->score)));
      else
        card_line(theme, "score = " + format_value(static_cast<double>(cell->dot)) + " " + scale_text(layer) + " = " +
                             format_value(static_cast<double>(cell->score)));
      if (layer.soft_cap > 0) card_line(theme, "capped at ±" + format_value(static_cast<double>(layer.soft_cap)));
    }
    if (cell->outside_window) {
      card_line(theme, "outside the window of " + std::to_string(layer.window) + " keys: weight 0");
    } else {
      card_equation(theme, Fraction{"exp(s - max)", "Σ exp(sⱼ - max)"},
                    Fraction{format_value(cell->exp_score), format_value(cell->exp_sum)},
                    format_probability(cell->exp_score / cell->exp_sum));
      card_row(theme, "row's max", format_value(cell->greatest));
    }
    if (cell->cut) card_row(theme, "edit", "this edge is cut");
  } else {
    card_source(theme, "The scores of this layer are being read.");
  }
  card_row(theme, "exact", format_exact(weight));
  const std::string length = std::to_string(reader.length());
  card_source(theme, place + ". attn_pattern [H, T, S] = [" + std::to_string(reader.layer().heads) + ", " + length + ", " +
                         length + "], softmax of attn_scores over the keys.");
  end_hover_card(theme);
}

}  // namespace glassbox
