// One cell of the pattern taken apart: q·k dimension by dimension, the scale, the softmax over its row, and what the
// value that it lets through says to the logits.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage3_shared.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "core/io/json_fields.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr float kSideColumn = 250;   // pixels at 100 %: boxes and the row's bars
constexpr float kNarrow = 560;       // below this width the two halves stand under each other

// The opened cell with its vectors; spans point into the step's pages.
struct OpenedCell {
  int query, key;
  std::span<const float> q, k;  // [D]
  std::vector<float> products;  // [D]
  std::optional<CellNumbers> numbers;
  int strongest = 0;            // the dimension with the greatest |q·k|
};

float greatest_size(std::span<const float> values) {
  float greatest = 0;
  for (const float value : values) greatest = std::max(greatest, std::abs(value));
  return greatest;
}

OpenedCell read_opened(const FrameContext& context, const HeadReader& reader, Cell cell) {
  OpenedCell opened{cell.query, cell.key, reader.query_vector(cell.query), reader.key_vector(cell.key), {}, {}, 0};
  opened.numbers = read_cell(reader, context.document(), cell.query, cell.key);
  if (opened.q.size() == opened.k.size()) {
    opened.products.resize(opened.q.size());
    for (size_t d = 0; d < opened.q.size(); ++d) {
      opened.products[d] = opened.q[d] * opened.k[d];
      if (std::abs(opened.products[d]) > std::abs(opened.products[static_cast<size_t>(opened.strongest)])) opened.strongest = static_cast<int>(d);
    }
  }
  return opened;
}

struct Strip {
  std::string_view name;
  std::span<const float> values;
  float limit;               // of the axis: −limit … +limit
  ImU32 positive, negative;
};

void draw_strip(ImDrawList* draw, const Theme& theme, const Strip& strip, ImVec2 min, ImVec2 size, int lit) {
  const float zero = std::round(min.y + size.y / 2), half = size.y / 2 - theme.px(2);
  const float step = size.x / static_cast<float>(strip.values.size());
  const float gap = step >= theme.px(5) ? theme.px(2) : step >= 3 ? 1.0f : 0.0f;
  draw->AddRectFilled({min.x, zero}, {min.x + size.x, zero + theme.hairline()}, theme.line);
  for (size_t d = 0; d < strip.values.size(); ++d) {
    const float value = strip.values[d], x0 = min.x + static_cast<float>(d) * step, x1 = std::max(x0 + 1, x0 + step - gap);
    if (static_cast<int>(d) == lit) draw->AddRectFilled({x0 - gap / 2, min.y}, {x1 + gap / 2, min.y + size.y}, with_alpha(theme.text, 0.10f));
    const float height = strip.limit > 0 ? std::round(half * value / strip.limit) : 0;
    if (height > 0) draw->AddRectFilled({x0, zero - height}, {x1, zero}, strip.positive);
    else draw->AddRectFilled({x0, zero}, {x1, zero - height + (height == 0 ? 1.0f : 0.0f)}, strip.negative);
  }
}

void draw_dimension_card(const FrameContext& context, const HeadReader& reader, const OpenedCell& opened, int dimension) {
  const Theme& theme = context.theme;
  const size_t d = static_cast<size_t>(dimension);
  const LayerConfig& layer = reader.layer();
  const ModelConfig& config = context.model()->config();
  begin_hover_card(theme);
  card_value(theme, "q·k of dimension " + std::to_string(dimension), format_value(static_cast<double>(opened.products[d])),
             opened.products[d] >= 0 ? theme.positive : theme.negative);
  card_line(theme, format_exact(opened.q[d]) + " × " + format_exact(opened.k[d]) + " = " + format_exact(opened.products[d]));
  if (opened.numbers && std::abs(opened.numbers->dot) > 0)
    card_row(theme, "share of Σ", format_value(static_cast<double>(opened.products[d] / opened.numbers->dot), 3));
  const int half = layer.head_dim / 2;
  if (layer.rope && dimension < 2 * half && static_cast<size_t>(dimension % half) < config.rope_frequency.size()) {
    const double frequency = static_cast<double>(config.rope_frequency[static_cast<size_t>(dimension % half)]);
    card_row(theme, "turns with", "d " + std::to_string(dimension < half ? dimension + half : dimension - half));
    card_row(theme, "RoPE angle", format_value(frequency) + " rad × (" + std::to_string(opened.query) + " - " +
                                      std::to_string(opened.key) + ") = " +
                                      format_value(frequency * (opened.query - opened.key)) + " rad");
  }
  const std::string vectors = layer.rope ? "q_rot and k_rot" : "q and k";
  const int group = kv_head_of(layer, reader.head().head);
  card_source(theme, vectors + " of " + head_name(reader.head()) + ", [D] = [" + std::to_string(layer.head_dim) + "]; q at position " +
                         std::to_string(opened.query) + ", k at position " + std::to_string(opened.key) + " of key head " +
                         std::to_string(group) + ", as it lies in the cache.");
  end_hover_card(theme);
}

void draw_axis(ImDrawList* draw, const Theme& theme, ImVec2 min, float width, int dimensions) {
  const float step = width / static_cast<float>(dimensions);
  for (int i = 0; i <= 4; ++i) {
    const int d = i < 4 ? dimensions * i / 4 : dimensions - 1;
    const std::string text = std::to_string(d);
    const float x = min.x + (static_cast<float>(d) + 0.5f) * step, half = text_size(theme.mono, text).x / 2;
    draw_text(draw, theme.mono, {std::min(x - half, min.x + width - 2 * half), min.y}, theme.dim, text);
  }
}

void draw_strips(FrameContext& context, const HeadReader& reader, const OpenedCell& opened, ImVec2 min, ImVec2 size) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float label = theme.px(54), axis = theme.px(20), caption = theme.px(24);
  const float left = min.x + label, width = size.x - label;
  const float high = std::floor((size.y - axis - caption) / 3);
  const float vectors = std::max(greatest_size(opened.q), greatest_size(opened.k));
  const std::array<Strip, 3> strips = {{{"q", opened.q, vectors, theme.query, theme.query},
                                        {"k", opened.k, vectors, theme.key, theme.key},
                                        {"q·k", opened.products, greatest_size(opened.products), theme.positive, theme.negative}}};
  const int dimensions = static_cast<int>(opened.q.size());
  ImGui::SetCursorScreenPos({left, min.y});
  press_area("dimensions", {std::max(1.0f, width), std::max(1.0f, 3 * high)});
  draw_focus(theme, {left, min.y}, {left + width, min.y + 3 * high});
  int under = -1;
  if (pointer_on_item())
    under = std::clamp(static_cast<int>((ImGui::GetIO().MousePos.x - left) / width * static_cast<float>(dimensions)), 0, dimensions - 1);
  const CellPick pick = pick_column(dimensions, under);
  const int lit = pick.shown ? pick.shown->column : -1;
  const float step = width / static_cast<float>(dimensions), lit_left = left + step * static_cast<float>(lit);
  stand_at(pick, {lit_left, min.y}, {lit_left + step, min.y + 3 * high});
  if (begin_value_menu(context, "dimension menu", format_exact(opened.products[static_cast<size_t>(pick.asked.column)]))) end_value_menu();
  for (size_t i = 0; i < strips.size(); ++i) {
    const ImVec2 corner(left, min.y + static_cast<float>(i) * high);
    draw_strip(draw, theme, strips[i], corner, {width, high}, lit);
    const TextStyle& style = theme.bold;
    const float middle = corner.y + high / 2;
    draw_text(draw, style, {min.x, middle - text_height(style) * 0.95f}, i == 2 ? theme.text : strips[i].positive, strips[i].name);
    draw_text(draw, theme.mono_small, {min.x, middle + theme.px(2)}, theme.dim, "±" + format_value(static_cast<double>(strips[i].limit), 3));
  }
  draw_axis(draw, theme, {left, min.y + 3 * high + theme.px(3)}, width, dimensions);

  const size_t strongest = static_cast<size_t>(opened.strongest);
  const std::string start = std::to_string(dimensions) + " dimensions" + (reader.layer().rope ? ", after RoPE" : "") + ". One of them, ";
  const std::string name = "d " + std::to_string(opened.strongest), value = format_fixed(static_cast<double>(opened.products[strongest]), 2);
  float x = min.x;
  const float y = min.y + size.y - theme.px(18);
  const auto put = [&](const TextStyle& style, ImU32 colour, std::string_view text) {
    draw_text(draw, style, {x, y + theme.px(9) - text_height(style) / 2}, colour, text);
    x += text_size(style, text).x;
  };
  const float total = text_size(theme.body, start + ", gives  of the sum.").x + text_size(theme.mono, name + value).x;
  if (total <= size.x) put(theme.body, theme.dim, start);
  put(theme.mono, theme.text, name);
  put(theme.body, theme.dim, total <= size.x ? ", gives " : " gives ");
  put(theme.mono, theme.text, value);
  put(theme.body, theme.dim, total <= size.x ? " of the sum." : " of Σ");
  if (lit >= 0 && !ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_dimension_card(context, reader, opened, lit);
}

// Three boxes: the sum, the score, the weight.
void draw_boxes(FrameContext& context, const HeadReader& reader, const OpenedCell& opened, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float gap = theme.px(8), height = theme.px(54), box = std::floor((width - 2 * gap) / 3);
  const CellNumbers numbers = opened.numbers.value_or(CellNumbers{});
  struct Box {
    std::string name, value;
    ImU32 edge, colour;
  };
  const std::array<Box, 3> boxes = {{{"Σ qᵢkᵢ", opened.numbers ? format_value(static_cast<double>(numbers.dot)) : kNoValue, theme.line, theme.text},
                                     {scale_text(reader.layer()), opened.numbers ? format_value(static_cast<double>(numbers.score)) : kNoValue, theme.line, theme.text},
                                     {"softmax", opened.numbers ? format_probability(static_cast<double>(numbers.weight)) : kNoValue, theme.attention, theme.attention}}};
  for (size_t i = 0; i < boxes.size(); ++i) {
    const ImVec2 from(min.x + static_cast<float>(i) * (box + gap), min.y), to(from.x + box, from.y + height);
    draw->AddRectFilled(from, to, theme.raised, theme.px(Theme::kRounding));
    draw->AddRect(from, to, boxes[i].edge, theme.px(Theme::kRounding), 0, theme.hairline());
    draw_text(draw, theme.small, {from.x + theme.px(9), from.y + theme.px(16) - text_height(theme.small) / 2}, theme.dim, boxes[i].name);
    TextStyle style = theme.mono;
    style.size = theme.mono.size * 8 / 7;
    draw_text(draw, style, {from.x + theme.px(9), from.y + theme.px(37) - text_height(style) / 2}, boxes[i].colour, fit_text(style, boxes[i].value, box - theme.px(14)));
    ImGui::SetCursorScreenPos(from);
    ImGui::PushID(static_cast<int>(i));
    press_area("box", {box, height});
    const std::string exact = !opened.numbers ? "" : format_exact(i == 0 ? numbers.dot : i == 1 ? numbers.score : numbers.weight);
    const bool hovered = ImGui::IsItemHovered();
    draw_focus(theme, from, to);
    if (begin_value_menu(context, "box menu", exact)) end_value_menu();
    ImGui::PopID();
    if (hovered && opened.numbers) draw_cell_card(context, reader, opened.query, opened.key);
  }
}

// The greatest value of the keys that one bar stands for, and that key.
struct Bar {
  float value;
  int key;
};
Bar bar_of(std::span<const float> row, int bar, int bars) {
  const size_t n = row.size();
  const size_t begin = static_cast<size_t>(bar) * n / static_cast<size_t>(bars);
  const size_t end = std::max(begin + 1, (static_cast<size_t>(bar) + 1) * n / static_cast<size_t>(bars));
  Bar best{row[begin], static_cast<int>(begin)};
  for (size_t i = begin; i < end; ++i)
    if (row[i] > best.value) best = {row[i], static_cast<int>(i)};
  return best;
}

// Scores of the row above, their softmax below, over the positions of the keys.
void draw_row(FrameContext& context, const HeadReader& reader, const OpenedCell& opened, ImVec2 min, ImVec2 size) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const std::span<const float> scores = reader.scores(opened.query), weights = reader.weights(opened.query);
  if (scores.empty() || weights.size() != scores.size()) return;
  const int keys = static_cast<int>(scores.size());
  const int bars = std::min(keys, std::max(1, static_cast<int>(size.x / 2)));
  const float axis = theme.px(18), gap = theme.px(8), high = std::floor((size.y - axis - gap) / 2);
  const float step = std::min(size.x / static_cast<float>(bars), theme.px(28));
  const float low = std::min(0.0f, *std::min_element(scores.begin(), scores.end()));
  const float top = std::max(0.0f, *std::max_element(scores.begin(), scores.end()));
  const float range = std::max(top - low, 1e-6f);
  const float zero = std::round(min.y + high * top / range), base = min.y + 2 * high + gap;
  const float space = step >= theme.px(6) ? theme.px(2) : step >= 3 ? 1.0f : 0.0f;

  ImGui::SetCursorScreenPos(min);
  const ImVec2 figure(std::max(1.0f, step * static_cast<float>(bars)), 2 * high + gap);
  const bool clicked = press_area("row", figure);
  draw_focus(theme, min, {min.x + figure.x, min.y + figure.y});
  int under = -1;
  if (pointer_on_item()) {
    const int bar = std::clamp(static_cast<int>((ImGui::GetIO().MousePos.x - min.x) / step), 0, bars - 1);
    under = bar_of(ImGui::GetIO().MousePos.y < min.y + high + gap / 2 ? scores : weights, bar, bars).key;
  }
  // The keyboard's cursor is the opened cell's key.
  const CellPick pick = pick_column(keys, under, opened.key);
  if (pick.shown) under = pick.shown->column;
  if (pick.moved) context.run(cmd::OpenCell{opened.query, under});
  const float under_left = min.x + figure.x * static_cast<float>(under) / static_cast<float>(keys);
  stand_at(pick, {under_left, min.y}, {under_left + step, min.y + figure.y});
  if (begin_value_menu(context, "row menu", format_exact(weights[static_cast<size_t>(pick.asked.column)]))) end_value_menu();
  for (int i = 0; i < bars; ++i) {
    const float x0 = min.x + static_cast<float>(i) * step, x1 = std::max(x0 + 1, x0 + step - space);
    const Bar score = bar_of(scores, i, bars), weight = bar_of(weights, i, bars);
    const float y = std::round(zero - high * score.value / range);
    draw->AddRectFilled({x0, std::min(y, zero)}, {x1, std::max(std::max(y, zero), std::min(y, zero) + 1)}, mix(theme.surface, theme.dim, 0.55f));
    const float tall = std::max(std::round(high * weight.value), weight.value > 0 ? 1.0f : 0.0f);
    draw->AddRectFilled({x0, base - tall}, {x1, base}, theme.attention);
    const int first = i * keys / bars, last = std::max(first + 1, (i + 1) * keys / bars);
    const bool marked = opened.key >= first && opened.key < last, lit = context.hovered.key >= first && context.hovered.key < last && context.hovered.query == opened.query;
    if (marked || lit)
      draw->AddRect({x0 - theme.px(2), min.y - theme.px(2)}, {x1 + theme.px(2), base + theme.px(2)}, marked ? theme.ring : with_alpha(theme.ring, 0.5f), theme.px(3), 0,
                    marked ? std::max(theme.px(1.5f), 1.0f) : theme.hairline());
  }
  draw->AddRectFilled({min.x, base}, {min.x + step * static_cast<float>(bars), base + theme.hairline()}, theme.line);
  if (low < 0 && top > 0) draw->AddRectFilled({min.x, zero}, {min.x + step * static_cast<float>(bars), zero + theme.hairline()}, theme.line);
  const float per_key = step * static_cast<float>(bars) / static_cast<float>(keys);
  const float room = text_size(theme.mono_small, std::to_string(keys - 1)).x + theme.px(5);
  const int stride = std::max(1, static_cast<int>(std::ceil(room / per_key)));
  for (int key = 0; key < keys; key += stride) {
    const std::string text = std::to_string(key);
    const ImU32 colour = key == opened.key ? theme.key : theme.dim;
    draw_text(draw, theme.mono_small, {min.x + (static_cast<float>(key) + 0.5f) * per_key - (text_size(theme.mono_small, text).x + space) / 2, base + theme.px(4)}, colour, text);
  }
  if (under < 0) return;
  context.hover.query = opened.query, context.hover.key = under;
  if (clicked) context.run(cmd::OpenCell{opened.query, under});
  if (!ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_cell_card(context, reader, opened.query, under);
}

// ".787 × v × W_O → logit ·Mary −1.17"
void draw_value_line(FrameContext& context, const HeadReader& reader, const OpenedCell& opened, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const ImVec2 size(width, theme.px(36));
  draw->AddRectFilled(min, {min.x + size.x, min.y + size.y}, theme.well, theme.px(Theme::kRounding));
  const View& view = context.view();
  const int32_t token = view.tokens[static_cast<size_t>(opened.key)];
  const auto outputs = *context.memo.get<std::shared_ptr<HeadOutputs>>("stage 3 head outputs", 0, [] { return std::make_shared<HeadOutputs>(); });
  const float logit = cell_logit(*context.model(), *view.step, reader.head().layer, reader.head().head, opened.query, opened.key, token, outputs.get());
  const std::string name = shown_token(context, opened.key);
  const std::string value = std::isnan(logit) ? std::string(kNoValue)
                            : std::abs(logit) < 0.01f ? format_value(static_cast<double>(logit), 2)
                                                      : format_fixed(static_cast<double>(logit), 2);
  struct Part {
    const TextStyle* style;
    ImU32 colour;
    std::string text;
    float down;  // pixels below the line, for the index
  };
  TextStyle index = theme.small;
  index.size = theme.small.size * 0.75f;
  const float a = opened.numbers->weight;
  const std::string weight = a >= 0.9995f ? "1.000" : a < 0.0005f ? format_probability(static_cast<double>(a)) : format_fixed(static_cast<double>(a), 3).substr(1);
  const auto parts_in = [&](const TextStyle& words, const TextStyle& numbers) {
    return std::array<Part, 6>{{{&numbers, theme.attention, weight, 0},
                                {&words, theme.text, " × ", 0},
                                {&theme.bold, theme.value, "v", 0},
                                {&words, theme.text, " × W", 0},
                                {&index, theme.text, "O", theme.px(4)},
                                {&words, theme.text, " → logit ", 0}}};
  };
  const auto width_of = [&](const std::array<Part, 6>& parts) {
    float sum = 0;
    for (const Part& part : parts) sum += text_size(*part.style, part.text).x;
    return sum;
  };
  const float room = size.x - theme.px(28);
  const auto fits = [&](const TextStyle& words, const TextStyle& numbers) {
    return width_of(parts_in(words, numbers)) + text_size(numbers, name).x + text_size(numbers, value).x <= room;
  };
  const bool wide = fits(theme.body, theme.mono);
  const TextStyle& numbers = wide ? theme.mono : theme.mono_small;
  const float middle = min.y + size.y / 2;
  float x = min.x + theme.px(10);
  for (const Part& part : parts_in(wide ? theme.body : theme.small, numbers)) {
    draw_text(draw, *part.style, {x, middle - text_height(*part.style) / 2 + part.down}, part.colour, part.text);
    x += text_size(*part.style, part.text).x;
  }
  const float value_width = text_size(numbers, value).x, right = min.x + size.x - theme.px(10);
  draw_visible_text(draw, numbers, {x, middle - text_height(numbers) / 2}, theme.text, fit_text(numbers, name, right - value_width - theme.px(8) - x));
  draw_text(draw, numbers, {right - value_width, middle - text_height(numbers) / 2},
            std::isnan(logit) ? theme.dim : logit < 0 ? theme.error : theme.logits, value);
  ImGui::SetCursorScreenPos(min);
  press_area("value", size);
  const bool hovered = ImGui::IsItemHovered();
  draw_focus(theme, min, {min.x + size.x, min.y + size.y});
  if (begin_value_menu(context, "value menu", std::isnan(logit) ? std::string() : format_exact(logit))) end_value_menu();
  if (!hovered || ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) return;
  begin_hover_card(theme);
  card_value(theme, "direct part of the logit of " + name, value, theme.logits);
  card_equation(theme, "Δz", Fraction{"a · (v W_O[h]) · (g ⊙ u)", "rms(x)"});
  if (const std::span<const float> v = reader.value_vector(opened.key); !v.empty()) {
    double square = 0;
    for (const float component : v) square += static_cast<double>(component) * static_cast<double>(component);
    card_row(theme, "|v|", format_value(std::sqrt(square)));
  }
  if (opened.numbers) card_row(theme, "a, the weight", format_exact(opened.numbers->weight));
  card_row(theme, "exact", std::isnan(logit) ? kNoValue : format_exact(logit));
  card_source(theme, std::isnan(logit)
                         ? "Not computed: it needs this layer's values, the last residual stream, and a final RMSNorm."
                         : "What this one cell writes straight towards the token at its key, read at the query's position: the value v [D] "
                           "through the head's columns of W_O, the final norm's gain g and scale rms(x), and the token's row u of the output "
                           "matrix [C]. What later layers make of it is not in it.");
  end_hover_card(theme);
}

void draw_side(FrameContext& context, const HeadReader& reader, const OpenedCell& opened, ImVec2 min, ImVec2 size) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw_boxes(context, reader, opened, min, size.x);
  float y = min.y + theme.px(62);
  const std::span<const float> scores = reader.scores(opened.query);
  std::string caption = "scores of this row, " + scale_text(reader.layer()) + " → softmax";
  if (static_cast<float>(scores.size()) > size.x / 2) caption = format_count(static_cast<int64_t>(scores.size())) + " keys, pooled: bars are the greatest";
  draw_text(draw, theme.small, {min.x, y}, theme.dim, fit_text(theme.small, caption, size.x));
  y += theme.px(22);
  const float foot = theme.px(36) + theme.px(8) + theme.px(22);
  draw_row(context, reader, opened, {min.x, y}, {size.x, min.y + size.y - foot - y});
  draw_text(draw, theme.small, {min.x, min.y + size.y - foot + theme.px(3)}, theme.dim, "position of the key");
  draw_value_line(context, reader, opened, {min.x, min.y + size.y - theme.px(36)}, size.x);
}

// The greatest weight of the last row that is not on the first token, where heads rest.
Cell strongest_cell(const HeadReader& reader) {
  const int query = reader.length() - 1;
  const std::span<const float> weights = reader.weights(query);
  Cell best{query, weights.size() > 1 ? 1 : 0};
  for (size_t k = 1; k < weights.size(); ++k)
    if (weights[k] > weights[static_cast<size_t>(best.key)]) best.key = static_cast<int>(k);
  return best;
}

void draw_invitation(FrameContext& context, const HeadReader& reader) {
  const Theme& theme = context.theme;
  const Cell cell = strongest_cell(reader);
  const std::string label = "open " + shown_token(context, cell.query) + " → " + shown_token(context, cell.key);
  const ImVec2 area = ImGui::GetContentRegionAvail(), origin = ImGui::GetCursorScreenPos();
  const std::string text = fit_text(theme.body, "Click a cell of the pattern to take it apart.", area.x);
  const float y = origin.y + std::max(0.0f, area.y / 2 - theme.px(32)), width = button_width(theme, label);
  draw_text(ImGui::GetWindowDrawList(), theme.body, {origin.x + (area.x - text_size(theme.body, text).x) / 2, y}, theme.dim, text);
  ImGui::SetCursorScreenPos({origin.x + std::max(0.0f, (area.x - width) / 2), y + theme.px(30)});
  if (small_button(theme, (label + "##strongest").c_str(), {.hint = "the last token's greatest weight, the first key left out"}))
    context.run(cmd::OpenCell{cell.query, cell.key});
}

void needs_cell(const Document& document, const ModelConfig& config, Needs& needs) {
  const int layer = chosen_head(document, config).layer, last = config.layer_count() - 1;
  const bool rotated = tap_exists(Tap::q_rot, config, layer);
  for (const Tap tap : {rotated ? Tap::q_rot : Tap::q, rotated ? Tap::k_rot : Tap::k, Tap::v, Tap::attn_scores, Tap::attn_pattern})
    needs.probe.add(tap, layer, layer + 1);
  needs.probe.add(Tap::resid_post, last, last + 1);
}

std::optional<Cell> opened_cell(const Document& document, int length) {
  const std::optional<Cell>& cell = document.selection.cell;
  if (!cell || cell->query < 0 || cell->query >= length || cell->key < 0 || cell->key > cell->query) return std::nullopt;
  return cell;
}

void draw_cell(FrameContext& context) {
  const Theme& theme = context.theme;
  PanelHeader header(context, "Cell");
  const Model* model = context.model();
  if (!model || context.view().tokens.empty() || !context.view().step) {
    header.end();
    PanelBody body(context, true);
    draw_waiting(theme, model ? "type a prompt" : "no model yet");
    return;
  }
  const HeadChoice head = chosen_head(context.document(), model->config());
  const HeadReader reader(context.view(), model->config(), head);
  const std::optional<Cell> cell = opened_cell(context.document(), reader.length());
  const bool off = head_is_off(context.document(), head);
  // Left of "copy", as wide for both states, so that it stays under the pointer.
  ButtonLook look;
  look.width = button_width(theme, "switch head off");
  const std::string hint = "Sets the output of " + head_name(head) + " to 0 at every position";
  look.hint = hint;
  look.active = off;
  if (header.button(off ? "switch head on###switch" : "switch head off###switch", look)) context.run(cmd::ToggleHead{head.layer, head.head});
  if (cell) {
    header.label(shown_token(context, cell->query), theme.mono, theme.query);
    header.label("looks at", theme.bold, theme.text);
    header.label(shown_token(context, cell->key), theme.mono, theme.key);
  }
  header.mono(head_name(head), theme.attention);
  header.end();
  PanelBody body(context);
  if (!cell) {
    if (reader.weights(reader.length() - 1).empty()) draw_waiting(theme, "reading " + head_name(head));
    else draw_invitation(context, reader);
    return;
  }
  if (takes_escape()) context.run(cmd::CloseCell{});
  const OpenedCell opened = read_opened(context, reader, *cell);
  if (opened.products.empty() || !opened.numbers) {
    draw_waiting(theme, "reading " + head_name(head));
    return;
  }
  const float gap = theme.px(28);
  if (body.size.x >= theme.px(kNarrow)) {
    const float height = std::max(body.size.y, theme.px(232)), side = theme.px(kSideColumn);
    draw_strips(context, reader, opened, body.min, {body.size.x - side - gap, height});
    draw_side(context, reader, opened, {body.min.x + body.size.x - side, body.min.y}, {side, height});
    ImGui::SetCursorScreenPos({body.min.x, body.min.y + height});
  } else {
    const float strips = theme.px(210), side = theme.px(232);
    draw_strips(context, reader, opened, body.min, {body.size.x, strips});
    draw_side(context, reader, opened, {body.min.x, body.min.y + strips + theme.px(16)}, {body.size.x, side});
    ImGui::SetCursorScreenPos({body.min.x, body.min.y + strips + theme.px(16) + side});
  }
  ImGui::Dummy({1, 0});
}

nlohmann::json cell_figure(const FrameContext& context) {
  nlohmann::json figure = nlohmann::json::object();
  const Model* model = context.model();
  if (!model || !context.view().step) return figure;
  const HeadChoice head = chosen_head(context.document(), model->config());
  const HeadReader reader(context.view(), model->config(), head);
  const std::optional<Cell> cell = opened_cell(context.document(), reader.length());
  if (!cell) return figure;
  const OpenedCell opened = read_opened(context, reader, *cell);
  if (!opened.numbers) return figure;
  // Each tap as `glassbox inspect` prints it, and what is computed from them.
  const ModelConfig& config = model->config();
  const bool rotated = tap_exists(Tap::q_rot, config, head.layer);
  const int group = kv_head_of(reader.layer(), head.head);
  const auto add = [&](Tap tap, int tap_head, int position) {
    figure[std::string(tap_info(tap).name)] = figure_tap(*context.view().step, config, {tap, head.layer, tap_head, position});
  };
  figure = {{"layer", head.layer}, {"head", head.head}, {"query", cell->query}, {"key", cell->key},
            {"qk", json_numbers(opened.products)}, {"dot", json_number(opened.numbers->dot)},
            {"score", json_number(opened.numbers->score)}, {"weight", json_number(opened.numbers->weight)}};
  add(rotated ? Tap::q_rot : Tap::q, head.head, cell->query);
  add(rotated ? Tap::k_rot : Tap::k, group, cell->key);
  add(Tap::attn_scores, head.head, cell->query);
  add(Tap::attn_pattern, head.head, cell->query);
  const float logit = cell_logit(*model, *context.view().step, head.layer, head.head, cell->query, cell->key,
                                 context.view().tokens[static_cast<size_t>(cell->key)]);
  if (!std::isnan(logit)) figure["logit"] = json_number(logit);
  return figure;
}

}  // namespace

const Panel kCellPanel = {
    "cell",
    "Cell",
    "One cell of the pattern, taken apart: the query of one token and the key of another, dimension by dimension as the "
    "model multiplies them; their sum, divided by √D, is the score; softmax over the row makes it the weight. Below, "
    "what the value that passes through says straight to the logit of the key's token.",
    3,
    needs_cell,
    draw_cell,
    cell_figure,
};

}  // namespace glassbox
