// Stage 2, cosines: how alike the prompt's tokens are, each with each, at the embedding or after any layer.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage2_vectors.h"
#include "app/widgets/widgets.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr float kDegrees = 55;  // of the column labels

// The picture of the matrix: count × count cells of a pixel or more, each the greatest of block × block values.
struct Blocks {
  const CosineMatrix& matrix;
  int block, count;
  Blocks(const CosineMatrix& m, float pixels)
      : matrix(m), block(std::max(1, static_cast<int>(std::ceil(static_cast<float>(m.length) / pixels)))), count((m.length + block - 1) / block) {}
  float at(int row, int column) const { return matrix.cosine[static_cast<size_t>(row) * static_cast<size_t>(matrix.length) + static_cast<size_t>(column)]; }
  // The cell with the greatest value of a block.
  FigureCell greatest(int row, int column) const {
    FigureCell best{row * block, column * block};
    for (int r = row * block; r < std::min((row + 1) * block, matrix.length); ++r)
      for (int c = column * block; c < std::min((column + 1) * block, matrix.length); ++c)
        if (at(r, c) > at(best.row, best.column)) best = {r, c};
    return best;
  }
};

// `of_block`: the cell stands for its block, as the one under the pointer does; the keyboard goes to every cell.
void draw_cosine_card(const FrameContext& context, const Blocks& blocks, int row, int column, bool of_block) {
  const Theme& theme = context.theme;
  const CosineMatrix& matrix = blocks.matrix;
  const std::vector<int32_t>& tokens = context.view().tokens;
  const size_t at = static_cast<size_t>(row) * static_cast<size_t>(matrix.length) + static_cast<size_t>(column);
  begin_hover_card(theme);
  card_value(theme, "cosine", format_exact(matrix.cosine[at]), theme.logits);
  card_tokens(theme, view_token(context, row), "×", view_token(context, column));
  card_cosine(theme, matrix.dots[at], matrix.norms[static_cast<size_t>(row)], matrix.norms[static_cast<size_t>(column)]);
  card_row(theme, "positions", std::to_string(row) + ", " + std::to_string(column));
  if (of_block && blocks.block > 1)
    card_source(theme, "The greatest of " + std::to_string(blocks.block) + " × " + std::to_string(blocks.block) + " cells: each pixel stands for so many.");
  if (matrix.layer < 0) {
    card_source(theme, "Rows " + format_count(tokens[static_cast<size_t>(row)]) + " and " + format_count(tokens[static_cast<size_t>(column)]) + " of " +
                           embedding_table_name(*context.model()) + ".");
  } else {
    card_source(theme, "resid_post of layer " + std::to_string(matrix.layer) + " at both positions, [T, C] = [" + std::to_string(matrix.length) + ", " +
                           std::to_string(context.model()->config().width) + "].");
  }
  end_hover_card(theme);
}

struct Figure {
  ImVec2 min;     // of the matrix
  float side = 0; // of the matrix
  float cell = 0; // of one token
};

// Every n-th label, so that they do not touch; the one under the pointer pushes its neighbours aside.
template <class Draw>
void draw_labels(const FrameContext& context, int length, float cell, float line, int lit, const Draw& draw_one) {
  const int every = std::max(1, static_cast<int>(std::ceil(line / cell)));
  const int selected = view_position(context);
  for (int i = 0; i < length; i += every) {
    const bool crowded = lit >= 0 && i != lit && static_cast<float>(std::abs(i - lit)) * cell < line;
    if (!crowded) draw_one(i, i == lit, i == selected);
  }
  if (lit >= 0 && lit < length && lit % every != 0) draw_one(lit, true, lit == selected);
}

void draw_matrix(FrameContext& context, const CosineMatrix& matrix, const PanelBody& body, float bottom, float low) {
  const Theme& theme = context.theme;
  // Few tokens have room for larger labels.
  const TextStyle& style = matrix.length <= 16 ? theme.mono : theme.mono_small;
  const float label_most = std::min(theme.px(112), body.size.x * 0.28f), line = std::ceil(style.size * 1.25f);
  float label = 0;
  for (int i = 0; i < std::min(matrix.length, 256); ++i) label = std::max(label, text_size(style, view_token(context, i)).x);
  label = std::ceil(std::min(label, label_most));
  const float radians = kDegrees * 3.14159265f / 180;
  const float head = std::ceil(label * std::sin(radians)) + theme.px(12), lean = std::ceil(label * std::cos(radians));
  const float bar = theme.px(60);
  float room = std::min(body.size.x - label - theme.px(8) - std::max(bar, lean), bottom - body.min.y - head);
  if (room < theme.px(24)) {
    draw_waiting(theme, "This panel is too small for the matrix");
    return;
  }
  if (static_cast<float>(matrix.length) > room) room -= theme.px(18);  // for the line that says how it is reduced
  const Blocks blocks(matrix, room);
  Figure figure;
  // Whole pixels, unless that would leave much of the room empty.
  float side = std::min(room / static_cast<float>(blocks.count), theme.px(56));
  if (std::floor(side) >= 0.8f * side) side = std::floor(side);
  figure.cell = side / static_cast<float>(blocks.block);
  figure.side = side * static_cast<float>(blocks.count);
  figure.min = {std::round(body.min.x + label + theme.px(8)), std::round(body.min.y + head)};

  Heatmap map;
  map.min = figure.min, map.size = {figure.side, figure.side};
  map.key = "cosines";
  map.version = mix_version(mix_version(context.view().id, static_cast<uint64_t>(matrix.layer + 1)), reinterpret_cast<uintptr_t>(&matrix));
  map.rows = map.columns = blocks.count;
  map.read_row = [&](int row, std::span<float> values) {
    for (size_t column = 0; column < values.size(); ++column) {
      const auto [r, c] = blocks.greatest(row, static_cast<int>(column));
      values[column] = blocks.at(r, c);
    }
  };
  map.map = &theme.probability_map;
  map.low = low, map.high = 1;
  map.numbers = blocks.block == 1 && figure.cell >= theme.px(32), map.numbers_from = -1;
  const HeatmapHit hit = heatmap_item(theme, map);
  std::optional<FigureCell> under;
  if (hit.under) under = blocks.greatest(hit.under->row, hit.under->column);
  const CellPick pick = pick_cell({matrix.length, [&](int) { return matrix.length; }}, under);
  const FigureCell cell = pick.shown.value_or(FigureCell{-1, -1});
  if (pick.shown) {
    map.lit = FigureCell{cell.row / blocks.block, cell.column / blocks.block}, map.by_keys = pick.by_keys;
    stand_at(pick, map.corner(map.lit->row, map.lit->column), map.end(map.lit->row, map.lit->column));
  }
  value_menu(context, "cosines menu", format_exact(blocks.at(pick.asked.row, pick.asked.column)));
  if (pick.shown) {
    context.hover.position = cell.row;
    draw_cosine_card(context, blocks, cell.row, cell.column, !pick.by_keys);
    if (hit.clicked) context.run(cmd::SelectPosition{cell.row});
  }
  draw_heatmap(theme, context.textures, map);

  const int lit_row = pick.shown ? cell.row : context.hovered.position;
  const int lit_column = pick.shown ? cell.column : context.hovered.position;
  const auto colour = [&](bool lit, bool selected) { return selected ? theme.accent : lit ? theme.text : theme.dim; };
  draw_labels(context, matrix.length, figure.cell, line, lit_row, [&](int i, bool lit, bool selected) {
    const std::string text = fit_text(style, view_token(context, i), label);
    const float y = figure.min.y + figure.cell * (static_cast<float>(i) + 0.5f);
    draw_visible_text(body.draw, style, {figure.min.x - theme.px(6) - text_size(style, text).x, middle_of(style, y, y)}, colour(lit, selected), text);
  });
  draw_labels(context, matrix.length, figure.cell, line / std::sin(radians), lit_column, [&](int i, bool lit, bool selected) {
    const float x = figure.min.x + figure.cell * (static_cast<float>(i) + 0.5f);
    draw_turned_text(body.draw, style, {x, figure.min.y - theme.px(6)}, colour(lit, selected), fit_text(style, view_token(context, i), label), kDegrees);
  });

  if (blocks.block > 1) {
    const std::string size = std::to_string(blocks.block) + " × " + std::to_string(blocks.block);
    draw_text(body.draw, theme.small, {figure.min.x, figure.min.y + figure.side + theme.px(3)}, theme.dim,
              fit_text(theme.small, "Each pixel is the greatest of " + size + " cells.", body.min.x + body.size.x - figure.min.x));
  }

  const std::string labels[] = {low == 0 ? "≤ 0" : format_fixed(low, 2), format_fixed((low + 1) / 2, 2), "1.00"};
  // The last column's label leans over the bar's place, so the bar begins below it.
  const float bar_x = figure.min.x + figure.side + theme.px(14);
  draw_colour_bar(body.draw, theme, theme.probability_map, {bar_x, figure.min.y + theme.px(6)},
                  {theme.px(10), std::max(theme.px(24), std::min(figure.side, theme.px(220)) - theme.px(12))}, labels);
  ImGui::SetCursorScreenPos(body.min);
}

// The least cosine of two different tokens, rounded down: where a fitted scale begins.
float least_cosine(const CosineMatrix& matrix) {
  float least = 1;
  for (const float value : matrix.cosine) least = std::min(least, value);
  return std::min(std::floor(least * 100) / 100, 0.99f);
}

// Under the matrix: where the scale begins, and a slider through the layers whose first stop is the embedding.
void draw_controls(FrameContext& context, const CosineMatrix* matrix, ImVec2 min, float& low) {
  const Theme& theme = context.theme;
  const ModelConfig& config = context.model()->config();
  ImGui::SetCursorScreenPos({min.x, min.y + theme.px(2)});
  ButtonLook look;
  look.width = button_width(theme, "0 … 1");
  look.enabled = matrix != nullptr;
  const bool fitted = low != 0;
  look.hint = fitted ? "let the scale begin at 0 again" : "let the scale begin at the least cosine shown; it stays there";
  if (small_button(theme, fitted ? "0 … 1##scale" : "fit##scale", look)) low = fitted ? 0 : least_cosine(*matrix);
  ImGui::SetCursorScreenPos({ImGui::GetItemRectMax().x + theme.px(14), min.y});
  SliderRange range;
  range.min = -1, range.max = static_cast<float>(config.layer_count() - 1);
  range.step = 1, range.decimals = 0, range.label_width = 44;
  range.off = "emb", range.off_value = -1;
  range.hint = "the layer after which the residual streams are compared; emb: the embedding table's rows";
  const int layer = chosen_vector_layer(context.document(), config);
  float value = static_cast<float>(layer);
  if (!slider(theme, "layer", &value, range)) return;
  const int wanted = static_cast<int>(std::lround(value));
  if (wanted != layer) context.run(cmd::SetVectorLayer{wanted});
}

void draw_cosines(FrameContext& context) {
  const Theme& theme = context.theme;
  const Model* model = context.model();
  const CosineMatrix* matrix = context.view().cosines.get();
  const int layer = model ? chosen_vector_layer(context.document(), model->config()) : -1;
  {
    PanelHeader header(context, "Cosine of the prompt’s tokens");
    if (model) {
      const std::vector<std::string> names = vector_layer_names(model->config());
      const int chosen = header.dropdown("layer", "", layer + 1, names, "compare the rows of the embedding table, or the residual stream after a layer");
      if (chosen >= 0 && chosen - 1 != layer) context.run(cmd::SetVectorLayer{chosen - 1});
    }
    if (matrix && matrix->layer != layer) header.note("layer " + std::to_string(layer) + " is being computed …", theme.small, theme.dim);
  }
  PanelBody body(context, true);
  if (draw_without_model(context, "the cosines of its tokens appear here")) return;

  ImGuiStorage* storage = ImGui::GetStateStorage();
  const ImGuiID low_id = ImGui::GetID("scale begins");
  float low = storage->GetFloat(low_id, 0);
  const float bottom = body.min.y + body.size.y - theme.px(36);
  const bool ready = matrix && matrix->length > 0 && matrix->length == static_cast<int>(context.view().tokens.size());
  if (ready) draw_matrix(context, *matrix, body, bottom, low);
  else draw_waiting(theme, "computing the cosines …");
  draw_controls(context, matrix, {body.min.x, bottom + theme.px(6)}, low);
  storage->SetFloat(low_id, low);
}

nlohmann::json cosines_figure(const FrameContext& context) {
  const CosineMatrix* matrix = context.view().cosines.get();
  return matrix ? figure_cosines(*matrix) : nlohmann::json::object();
}

}  // namespace

const Panel kCosinesPanel = {
    .id = "cosines",
    .title = "Cosine of the prompt’s tokens",
    .help = "The cosine between the vectors of every two tokens of the prompt: at the embedding between their rows of the table, "
            "after a layer between their residual streams, which have taken in the tokens before them. Drag the slider "
            "through the layers and watch words grow alike or apart. Hover a cell for its numbers.",
    .stage = 2,
    .needs = [](const Document&, const ModelConfig&, Needs& needs) { needs.cosines = true; },
    .draw = draw_cosines,
    .figure = cosines_figure,
};

}  // namespace glassbox
