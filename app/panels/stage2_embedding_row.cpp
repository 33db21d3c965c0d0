// Stage 2, embedding row: the vector of the chosen token as a strip of values, at the embedding or after any layer.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage2_vectors.h"
#include "app/widgets/widgets.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

// Ends of the scale until the user fits it. Rows of an embedding table lie within ± 0.5 almost everywhere; the residual
// stream grows from layer to layer, and ± 10 holds nine in ten of its elements up to layer 20 of the default model.
constexpr float kEmbeddingLimit = 0.5f, kResidualLimit = 10.0f;

// How many values stand in one row of the strip: as few rows as fill the height, full ones if the width divides so.
struct StripShape {
  int columns, rows;
};
StripShape strip_shape(int width, ImVec2 room, float smallest_cell, float tallest_cell) {
  const int most = std::max(1, static_cast<int>(room.x / smallest_cell));
  const int least_rows = std::max((width + most - 1) / most, static_cast<int>(std::ceil(room.y / tallest_cell)));
  for (int rows = std::max(1, least_rows); rows <= std::min(2 * least_rows, width); ++rows)
    if (width % rows == 0) return {width / rows, rows};
  const int columns = (width + least_rows - 1) / least_rows;
  return {columns, (width + columns - 1) / columns};
}

std::string element_name(const ShownVector& vector, int index) {
  return (vector.layer < 0 ? "e[" : "x[") + std::to_string(index) + "]";
}

void draw_element_card(const FrameContext& context, const ShownVector& vector, int index) {
  const Theme& theme = context.theme;
  const Model& model = *context.model();
  const float value = vector.values[static_cast<size_t>(index)];
  begin_hover_card(theme);
  card_value(theme, element_name(vector, index), format_exact(value), value < 0 ? theme.negative : theme.positive);
  card_tokens(theme, token_text(theme, model.tokenizer(), vector.id), "", "");
  const double share = static_cast<double>(value) * value / (vector.norm * vector.norm);
  const std::string norm = vector.layer < 0 ? "‖e‖" : "‖x‖";
  card_equation(theme, Fraction{element_name(vector, index) + "²", norm + "²"},
                Fraction{format_value(static_cast<double>(value) * value), format_value(vector.norm * vector.norm)}, format_value(share, 3));
  if (vector.layer < 0) {
    card_source(theme, "Element " + std::to_string(index) + " of row " + format_count(vector.id) + " of " + embedding_table_name(model) +
                           ", and its share of the squared length.");
  } else {
    card_source(theme, "Element " + std::to_string(index) + " of resid_post in layer " + std::to_string(vector.layer) + " at position " +
                           std::to_string(vector.position) + ", [C] = [" + std::to_string(vector.values.size()) +
                           "], and its share of the squared length. In this run.");
  }
  end_hover_card(theme);
}

void draw_norm_card(const FrameContext& context, const ShownVector& vector) {
  const Theme& theme = context.theme;
  const std::string name = vector.layer < 0 ? "e" : "x";
  begin_hover_card(theme);
  card_value(theme, "‖" + name + "‖", format_value(vector.norm, 5), theme.text);
  card_line(theme, "‖" + name + "‖ = √(Σ " + name + "[i]²) = √" + format_value(vector.norm * vector.norm, 5));
  card_source(theme, "The Euclidean length over all " + std::to_string(vector.values.size()) + " elements.");
  end_hover_card(theme);
}

void draw_foot(FrameContext& context, const ShownVector& vector, ImVec2 min, float width, int columns, float& limit) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float initial = vector.layer < 0 ? kEmbeddingLimit : kResidualLimit;
  const float height = theme.px(24), bar = theme.px(150), bar_height = theme.px(10);
  const int decimals = limit >= 10 ? 0 : limit >= 0.1f ? 2 : 4;
  const std::string limits = format_fixed(-limit, decimals) + " … 0 … +" + format_fixed(limit, decimals);
  draw_colour_strip(draw, theme, theme.signed_map, {min.x, std::round(min.y + (height - bar_height) / 2)}, {bar, bar_height}, limits);
  float x = min.x + bar + theme.px(8) + text_size(theme.mono_small, limits).x + theme.px(12);
  ImGui::SetCursorScreenPos({x, min.y});
  ButtonLook look;
  look.hint = "end the scale at the greatest value shown; it stays there";
  if (small_button(theme, "fit", look)) limit = std::max(std::abs(vector.values[static_cast<size_t>(vector.largest)]), 1e-6f);
  x = ImGui::GetItemRectMax().x + theme.px(6);
  if (limit != initial) {
    ImGui::SetCursorScreenPos({x, min.y});
    look.hint = "back to the scale that all tokens share";
    if (small_button(theme, ("± " + format_value(initial, 1) + "##scale").c_str(), look)) limit = initial;
    x = ImGui::GetItemRectMax().x + theme.px(6);
  }
  const auto beyond = std::count_if(vector.values.begin(), vector.values.end(), [&](float value) { return std::abs(value) > limit; });
  const float largest = vector.values[static_cast<size_t>(vector.largest)];
  std::vector<NotePart> parts;
  if (beyond > 0) parts.push_back({std::to_string(beyond) + " beyond the scale   ", &theme.small, theme.warn});
  parts.push_back({"largest: ", &theme.small, theme.dim});
  parts.push_back({element_name(vector, vector.largest) + " = " + format_value(largest), &theme.mono_small, theme.text});
  parts.push_back({"   rows of " + std::to_string(columns), &theme.small, theme.dim});
  while (!parts.empty() && x + note_width(parts) > min.x + width) parts.pop_back();
  if (parts.empty()) return;
  ImGui::SetCursorScreenPos({min.x + width - note_width(parts), min.y});
  if (note_item(context, "##largest", parts)) draw_element_card(context, vector, vector.largest);
}

void draw_strip(FrameContext& context, const ShownVector& vector, const PanelBody& body) {
  const Theme& theme = context.theme;
  const int width = static_cast<int>(vector.values.size());
  const float foot = theme.px(34);
  const StripShape shape = strip_shape(width, {body.size.x, std::max(body.size.y - foot, 1.0f)}, theme.px(5), theme.px(27));
  const int columns = shape.columns, rows = shape.rows;
  const float cell_height = std::floor(std::clamp((body.size.y - foot) / static_cast<float>(rows), theme.px(9), theme.px(27)));
  const ImVec2 size(std::min(body.size.x, theme.px(28) * static_cast<float>(columns)), cell_height * static_cast<float>(rows));

  ImGuiStorage* storage = ImGui::GetStateStorage();
  const ImGuiID limit_id = ImGui::GetID(vector.layer < 0 ? "embedding limit" : "residual limit");
  float limit = storage->GetFloat(limit_id, vector.layer < 0 ? kEmbeddingLimit : kResidualLimit);

  Heatmap map;
  map.min = body.min, map.size = size;
  map.key = "embedding strip";
  map.version = mix_version(mix_version(hash_text({reinterpret_cast<const char*>(vector.values.data()), vector.values.size() * sizeof(float)}),
                                        static_cast<uint64_t>(vector.layer + 1)), static_cast<uint64_t>(columns));
  map.rows = rows, map.columns = columns;
  map.read_row = [&](int row, std::span<float> values) {
    const std::span<const float> rest = std::span<const float>(vector.values).subspan(static_cast<size_t>(row) * values.size());
    const size_t count = std::min(values.size(), rest.size());
    std::copy_n(rest.begin(), count, values.begin());
    std::fill(values.begin() + static_cast<ptrdiff_t>(count), values.end(), std::nanf(""));
  };
  map.map = &theme.signed_map;
  map.low = -limit, map.high = limit;
  const HeatmapHit hit = heatmap_item(theme, map);
  const auto index_of = [&](FigureCell cell) { return cell.row * columns + cell.column; };
  const auto is_value = [&](FigureCell cell) { return index_of(cell) < width; };
  const CellGrid cells{rows, [&](int row) { return std::min(columns, width - row * columns); }, true};
  const CellPick pick = pick_cell(cells, hit.under && is_value(*hit.under) ? hit.under : std::nullopt);
  if (pick.shown) stand_at(pick, map.corner(pick.shown->row, pick.shown->column), map.end(pick.shown->row, pick.shown->column));
  value_menu(context, "embedding strip menu", format_exact(vector.values[static_cast<size_t>(index_of(pick.asked))]));
  if (pick.shown) draw_element_card(context, vector, index_of(*pick.shown));
  map.lit = pick.shown, map.by_keys = pick.by_keys;
  draw_heatmap(theme, context.textures, map);

  draw_foot(context, vector, {body.min.x, body.min.y + size.y + theme.px(8)}, body.size.x, columns, limit);
  storage->SetFloat(limit_id, limit);
  ImGui::SetCursorScreenPos(body.min);
  ImGui::Dummy({1, size.y + foot});
}

void draw_embedding_row(FrameContext& context) {
  const Theme& theme = context.theme;
  const std::shared_ptr<const ShownVector> vector = shown_vector(context);
  const Model* model = context.model();
  const int layer = model ? chosen_vector_layer(context.document(), model->config()) : -1;
  {
    PanelHeader header(context, layer < 0 ? "Embedding row" : "Residual stream");
    if (vector) {
      header.mono(token_text(theme, model->tokenizer(), vector->id), theme.text);
      header.label("id " + std::to_string(vector->id), theme.mono, theme.dim);
    }
    if (model) {
      const std::vector<std::string> names = vector_layer_names(model->config());
      const int chosen = header.dropdown("layer", layer < 0 ? "layer: " : "", layer + 1, names, "the embedding table's row, or the residual stream after a layer");
      if (chosen >= 0 && chosen - 1 != layer) context.run(cmd::SetVectorLayer{chosen - 1});
    }
    if (vector) {
      const std::vector<NotePart> parts = {
          {std::to_string(vector->values.size()) + " values · " + (layer < 0 ? "‖e‖ = " : "‖x‖ = "), &theme.body, theme.dim},
          {format_value(vector->norm), &theme.mono, theme.text}};
      if (header.place_note(note_width(parts)) && note_item(context, "##norm", parts)) draw_norm_card(context, *vector);
    }
  }
  PanelBody body(context);
  if (draw_without_model(context, "the row of its token appears here")) return;
  if (!vector) {
    draw_waiting(theme, "computing layer " + std::to_string(layer) + " …", context.bench.status().progress);
    return;
  }
  draw_strip(context, *vector, body);
}

nlohmann::json embedding_row_figure(const FrameContext& context) {
  const std::shared_ptr<const ShownVector> vector = shown_vector(context);
  if (!vector) return nlohmann::json::object();
  const ModelConfig& config = context.model()->config();
  const View& view = context.view();
  // The table's row is what the tap `embed` holds, unless the model scales it or adds a position.
  const bool plain = !config.learned_positions && config.embed_scale == 1.0f;
  const bool same_step = view.step && vector->position < view.step->length() && view.tokens == context.document().shown_tokens();
  if (same_step && (vector->layer >= 0 || plain)) {
    TapSlice slice;
    slice.tap = vector->layer < 0 ? Tap::embed : Tap::resid_post;
    slice.layer = std::max(vector->layer, 0);
    slice.position = vector->position;
    nlohmann::json figure = figure_tap(*view.step, config, slice);
    if (!figure.is_null()) return figure;
  }
  return {{"token", {{"id", vector->id}, {"text", context.model()->tokenizer().text_of(vector->id)}}},
          {"layer", vector->layer},
          {"axes", {"C"}},
          {"shape", {vector->values.size()}},
          {"data", json_numbers(vector->values)}};
}

}  // namespace

const Panel kEmbeddingRowPanel = {
    .id = "embedding_row",
    .title = "Embedding row",
    .help = "What the model knows of a token before it reads: its row of the embedding table, one cell an element, in rows from "
            "left to right. With a layer chosen, the residual stream of the selected token after that layer, which by then "
            "depends on all tokens before it. The scale is fixed, so that tokens can be compared; fit ends it at the greatest value.",
    .stage = 2,
    .needs =
        [](const Document& document, const ModelConfig& config, Needs& needs) {
          const int layer = chosen_vector_layer(document, config);
          if (layer >= 0) needs.probe.add(Tap::resid_post, layer, layer + 1);
          else needs.probe.add(Tap::embed);
        },
    .draw = draw_embedding_row,
    .figure = embedding_row_figure,
};

}  // namespace glassbox
