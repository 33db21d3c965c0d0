// Stage 2, neighbours: the nearest rows of the whole vocabulary, by three measures side by side.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage2_vectors.h"
#include "app/widgets/widgets.h"
#include "core/run/figures.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

struct Measure {
  NearBy by;
  const char *name, *formula;
};
constexpr std::array<Measure, 3> kMeasures = {{{NearBy::cosine, "cosine", "e·f / ‖e‖‖f‖"},
                                               {NearBy::dot, "dot", "e·f"},
                                               {NearBy::euclid, "Euclid", "‖e − f‖"}}};

float value_of(const Neighbour& near, NearBy by) {
  return by == NearBy::cosine ? near.cosine : by == NearBy::dot ? near.dot : near.distance;
}

// A cosine's bar ends at 1. A dot product and a distance have no greatest value, so theirs end at the greatest shown.
float bar_end(const std::vector<Neighbour>& list, NearBy by) {
  if (by == NearBy::cosine) return 1;
  float greatest = 0;
  for (const Neighbour& near : list) greatest = std::max(greatest, value_of(near, by));
  return greatest;
}

// Where the token stands in the shown step; −1 when it does not.
int position_of(const FrameContext& context, int32_t id) {
  const std::vector<int32_t>& tokens = context.view().tokens;
  const auto it = std::find(tokens.begin(), tokens.end(), id);
  return it == tokens.end() ? -1 : static_cast<int>(it - tokens.begin());
}

void draw_neighbour_card(const FrameContext& context, const Neighbours& all, const Neighbour& near, const Measure& measure) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const double norm = near.norm;
  const double own = all.query_norm;
  begin_hover_card(theme);
  card_value(theme, measure.name, format_exact(value_of(near, measure.by)), theme.logits);
  card_tokens(theme, token_text(theme, tokenizer, all.id), "×", token_text(theme, tokenizer, near.id));
  switch (measure.by) {
    case NearBy::cosine: card_cosine(theme, near.dot, own, norm); break;
    case NearBy::dot:
      card_line(theme, "e·f = ‖e‖ ‖f‖ cos(e, f)");
      card_line(theme, "    = " + format_value(own) + " × " + format_value(norm) + " × " + format_value(near.cosine));
      break;
    case NearBy::euclid:
      card_line(theme, "‖e − f‖ = √(‖e‖² + ‖f‖² − 2 e·f)");
      card_line(theme, "        = √(" + format_value(own * own) + " + " + format_value(norm * norm) + " − " +
                           format_value(2.0 * static_cast<double>(near.dot)) + ")");
      break;
  }
  card_row(theme, "‖f‖", format_value(norm));
  for (const Measure& other : kMeasures)
    if (other.by != measure.by) card_row(theme, other.name, format_value(value_of(near, other.by)));
  card_source(theme, "Rows " + format_count(all.id) + " and " + format_count(near.id) + " of " + embedding_table_name(*context.model()) +
                         (measure.by == NearBy::cosine ? ". The bar ends at 1." : ". The bar ends at the greatest value shown."));
  if (const int position = position_of(context, near.id); position >= 0)
    card_source(theme, "It stands in the prompt at position " + std::to_string(position) + ": click to go there.");
  end_hover_card(theme);
}

// What can be done with a neighbour besides copying.
void draw_menu(FrameContext& context, const char* id, const Neighbour& near, const Measure& measure) {
  if (!ImGui::IsItemHovered() && !item_focused() && !ImGui::IsPopupOpen(id)) return;
  if (!begin_value_menu(context, id, format_exact(value_of(near, measure.by)))) return;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const std::string bytes(tokenizer.bytes_of(near.id));
  ImGui::Separator();
  const int position = position_of(context, near.id);
  if (ImGui::MenuItem("Go to it in the prompt", nullptr, false, position >= 0)) context.run(cmd::SelectPosition{position});
  const bool can_write = !tokenizer.is_special(near.id) && find_invalid_utf8(bytes) == bytes.size();
  if (ImGui::MenuItem("Write it at the end of the prompt", nullptr, false, can_write)) {
    context.run(cmd::SetText{context.document().text + bytes});
    context.run(cmd::SelectPosition{-1});
  }
  end_value_menu();
}

void draw_column(FrameContext& context, const Neighbours& all, const Measure& measure, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const std::vector<Neighbour>& list = all.best[static_cast<size_t>(measure.by)];
  draw_text(draw, theme.small_bold, min, theme.text, measure.name);
  draw_text(draw, theme.small, {min.x, min.y + theme.px(18)}, theme.dim, measure.formula);
  const float pitch = theme.px(29), start = min.y + theme.px(42), end = bar_end(list, measure.by);
  const float seen_top = draw->GetClipRectMin().y, seen_bottom = draw->GetClipRectMax().y;
  const int first = std::max(0, static_cast<int>(std::ceil((seen_top - start) / pitch)));
  // One row more than is seen each way, for the keyboard to go on to.
  for (int i = std::max(0, first - 2); i < static_cast<int>(list.size()); ++i) {
    const float top = std::round(start + pitch * static_cast<float>(i));
    if (top > seen_bottom + pitch) break;
    const Neighbour& near = list[static_cast<size_t>(i)];
    const ImVec2 low(min.x - theme.px(5), top), high(min.x + width + theme.px(5), top + pitch - theme.px(2));
    const std::string id = std::string(measure.name) + " " + std::to_string(i);
    const SpotAnswer answer = spot(context, id.c_str(), low, high, i == first);
    if (context.hovered.token == near.id || answer.hovered)
      draw->AddRectFilled(low, high, answer.hovered ? theme.hover : theme.selected, theme.px(Theme::kChipRounding));
    const std::string value = format_fixed(value_of(near, measure.by), 3);
    const float value_width = text_size(theme.mono, value).x;
    const float text_bottom = high.y - theme.px(6);
    draw_visible_text(draw, theme.mono, {min.x, middle_of(theme.mono, top, text_bottom)}, theme.text,
                      fit_text(theme.mono, token_text(theme, tokenizer, near.id), width - value_width - theme.px(8)));
    draw_text(draw, theme.mono, {min.x + width - value_width, middle_of(theme.mono, top, text_bottom)}, theme.dim, value);
    draw_bar(draw, theme, {min.x, std::round(text_bottom)}, {width, theme.px(3)}, value_of(near, measure.by) / end, theme.bar);
    if (answer.hovered) {
      context.hover.token = near.id;
      context.hover.position = position_of(context, near.id);
      draw_neighbour_card(context, all, near, measure);
    }
    if (answer.clicked)
      if (const int position = position_of(context, near.id); position >= 0) context.run(cmd::SelectPosition{position});
    draw_menu(context, id.c_str(), near, measure);
  }
}

void draw_neighbours(FrameContext& context) {
  const Theme& theme = context.theme;
  const Neighbours* all = context.view().neighbours.get();
  {
    const int vocab = context.model() ? context.model()->config().vocab : 0;
    PanelHeader header(context, vocab > 0 ? "Nearest of " + format_count(vocab) : "Nearest tokens");
    if (all && all->id >= 0 && context.model()) {
      header.dim("to");
      header.mono(token_text(theme, context.model()->tokenizer(), all->id), theme.text);
    }
  }
  PanelBody body(context);
  if (draw_without_model(context, "the nearest tokens of the vocabulary appear here")) return;
  if (!all || all->id < 0 || all->id >= context.model()->tokenizer().vocab_size()) {
    draw_waiting(theme, "comparing with all " + format_count(context.model()->config().vocab) + " rows …");
    return;
  }
  const float gap = theme.px(22), width = std::floor((body.size.x - 2 * gap) / 3);
  size_t most = 0;
  for (size_t i = 0; i < kMeasures.size(); ++i) {
    draw_column(context, *all, kMeasures[i], {std::round(body.min.x + static_cast<float>(i) * (width + gap)), body.min.y}, width);
    most = std::max(most, all->best[i].size());
  }
  ImGui::SetCursorScreenPos(body.min);
  ImGui::Dummy({1, theme.px(42) + theme.px(29) * static_cast<float>(most)});
}

nlohmann::json neighbours_figure(const FrameContext& context) {
  const Neighbours* all = context.view().neighbours.get();
  if (!all || !context.model()) return nlohmann::json::object();
  return figure_neighbours(*all, context.model()->tokenizer(), static_cast<int>(all->best[0].size()));
}

}  // namespace

const Panel kNeighboursPanel = {
    .id = "neighbours",
    .title = "Nearest tokens",
    .help = "The rows of the embedding table that lie nearest to the selected token's row, out of the whole vocabulary, without "
            "the token itself. Cosine looks at the direction alone, the dot product also at the length (long rows win), "
            "Euclid at the distance between the ends. Hover for the numbers; right-click to copy or to write the token.",
    .stage = 2,
    .needs = [](const Document&, const ModelConfig&, Needs& needs) { needs.neighbours = true; },
    .draw = draw_neighbours,
    .figure = neighbours_figure,
};

}  // namespace glassbox
