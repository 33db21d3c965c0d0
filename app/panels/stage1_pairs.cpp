// Stage 1, pairs: the neighbours that compete at one step of the merges.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage1_trace.h"
#include "app/widgets/widgets.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

// The step whose race is shown: the one under the pointer in the merges, else the shown one. Before the first merge it
// is the first race that is to come.
int race_step(const FrameContext& context, const PieceMerges& merges) {
  const int hovered = context.hovered.merge_step;
  const int step = hovered >= 0 && hovered <= merges.steps() ? hovered : shown_merge_step(context, merges);
  return std::max(step, 1);
}

void draw_pair_card(const FrameContext& context, const Symbol& left, const Symbol& right, const Merge& pair, bool wins, bool equal) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  begin_hover_card(theme);
  if (pair.rank >= 0) {
    card_value(theme, "rank", format_count(pair.rank), theme.accent);
    card_tokens(theme, token_text(theme, tokenizer, left.id), "+", token_text(theme, tokenizer, right.id));
    card_row(theme, "becomes", token_text(theme, tokenizer, pair.id));
    card_row(theme, "ids", std::to_string(left.id) + " + " + std::to_string(right.id) + " → " + std::to_string(pair.id));
    card_source(theme, "Place " + format_count(pair.rank) + " in the list of " +
                           format_count(static_cast<int64_t>(tokenizer.merge_count())) + " merges, counted from 0." +
                           (wins    ? " The lowest rank here, so this pair joins."
                            : equal ? " As low as the winner; of equals the leftmost joins."
                                    : " Another pair has a lower rank and joins first."));
  } else {
    card_value(theme, "rank", kNoValue, theme.dim);
    card_tokens(theme, token_text(theme, tokenizer, left.id), "+", token_text(theme, tokenizer, right.id));
    card_row(theme, "ids", std::to_string(left.id) + " + " + std::to_string(right.id));
    card_source(theme, "This pair is not in the list of merges: the two never join directly.");
  }
  end_hover_card(theme);
}

float draw_part(ImDrawList* draw, const Theme& theme, const std::string& text, ImVec2 min, float height) {
  const float width = text_size(theme.mono, text).x + theme.px(10);
  draw->AddRectFilled(min, {min.x + width, min.y + height}, symbol_fill(theme), theme.px(3));
  draw_visible_text(draw, theme.mono, {min.x + theme.px(5), middle_of(theme.mono, min.y, min.y + height)}, theme.text, text);
  return width;
}

void draw_rows(FrameContext& context, const PieceMerges& merges, const PanelBody& body, int step, float bottom) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const MergeStep& race = merges.merges->steps[static_cast<size_t>(step - 1)];
  const std::vector<Symbol>& before = merges.symbols_after(step - 1);
  const float pitch = theme.px(34), part = theme.px(22), head = theme.px(28), between = theme.px(3);
  const int count = static_cast<int>(race.pairs.size());
  // The ranks end in one line, and begin where the widest pair lets them; a narrow panel shortens pairs and words.
  float rank_width = text_size(theme.mono, kNoValue).x, pair_width = 0;
  for (int i = 0; i < count; ++i) {
    if (race.pairs[static_cast<size_t>(i)].rank >= 0)
      rank_width = std::max(rank_width, text_size(theme.mono_bold, format_count(race.pairs[static_cast<size_t>(i)].rank)).x);
    const Symbol &left = before[static_cast<size_t>(i)], &right = before[static_cast<size_t>(i) + 1];
    const uint32_t bytes = left.end - left.start + right.end - right.start;
    pair_width = std::max(pair_width, static_cast<float>(bytes) * text_size(theme.mono, "0").x + theme.px(24));
  }
  const float most = std::max(body.size.x - rank_width, theme.px(40));
  const float column = std::round(std::min(std::max(pair_width + theme.px(16), std::min(theme.px(170), most * 0.6f)), most));
  const auto fits = [&](const TextStyle& style, std::string_view text) { return text_size(style, text).x <= body.size.x - column; };
  const std::string not_a_merge = fits(theme.mono, "— not a merge") ? "— not a merge" : kNoValue;
  draw_text(body.draw, theme.small, body.min, theme.dim, "pair");
  draw_text(body.draw, theme.small, {body.min.x + column, body.min.y}, theme.dim,
            fits(theme.small, "rank, lowest wins") ? "rank, lowest wins" : "rank");
  const float seen_top = body.draw->GetClipRectMin().y, seen_bottom = body.draw->GetClipRectMax().y;
  const float start = body.min.y + head;
  const int first = std::max(0, static_cast<int>(std::ceil((seen_top - start) / pitch)));
  // One row more than is seen each way, for the keyboard to go on to.
  for (int i = std::max(0, first - 2); i < count; ++i) {
    const float top = std::round(start + pitch * static_cast<float>(i));
    if (top > seen_bottom + pitch) break;
    const Merge& pair = race.pairs[static_cast<size_t>(i)];
    const Symbol &left = before[static_cast<size_t>(i)], &right = before[static_cast<size_t>(i) + 1];
    const bool wins = static_cast<uint32_t>(i) == race.left, equal = !wins && pair.rank == race.merge.rank;
    const ImVec2 min(body.min.x - theme.px(6), top), max(body.min.x + body.size.x + theme.px(6), top + pitch - theme.px(3));
    const std::string id = "pair " + std::to_string(i);
    const SpotAnswer answer = spot(context, id.c_str(), min, max, i == first);
    if (wins) body.draw->AddRectFilled(min, max, theme.selected, theme.px(Theme::kChipRounding));
    else if (answer.hovered) body.draw->AddRectFilled(min, max, theme.hover, theme.px(Theme::kChipRounding));
    const float y = std::round((min.y + max.y - part) / 2), room = (column - theme.px(8) - between - theme.px(20)) / 2;
    float x = body.min.x;
    x += draw_part(body.draw, theme, fit_text(theme.mono, token_text(theme, tokenizer, left.id), room), {x, y}, part) + between;
    draw_part(body.draw, theme, fit_text(theme.mono, token_text(theme, tokenizer, right.id), room), {x, y}, part);
    const std::string rank = pair.rank < 0 ? not_a_merge : format_count(pair.rank);
    const TextStyle& style = wins ? theme.mono_bold : theme.mono;
    const float indent = pair.rank < 0 ? 0 : rank_width - text_size(style, rank).x;
    draw_text(body.draw, style, {body.min.x + column + indent, middle_of(style, min.y, max.y)},
              wins ? theme.accent : pair.rank < 0 ? theme.dim : theme.text, rank);
    if (answer.hovered) draw_pair_card(context, left, right, pair, wins, equal);
    value_menu(context, id.c_str(), pair.rank < 0 ? std::string() : std::to_string(pair.rank));
  }
  const float rows_end = start + pitch * static_cast<float>(count);
  std::string words = "The merge list was learned once, from pair counts. Here it is only followed: " +
                      format_count(static_cast<int64_t>(tokenizer.merge_count())) + " merges, first one first.";
  if (step == merges.steps()) words = "After this step no two neighbours are in the list: the piece is done. " + words;
  ImGui::PushFont(theme.small.font, theme.small.size);
  const float wrap = std::min(body.size.x, theme.px(300));
  const ImVec2 size = ImGui::CalcTextSize(words.c_str(), nullptr, false, wrap);
  // At the panel's foot where there is room, else after the rows.
  ImGui::SetCursorScreenPos({body.min.x, std::max(rows_end + theme.px(10), bottom - size.y)});
  ImGui::PushTextWrapPos(ImGui::GetCursorPosX() + wrap);
  ImGui::PushStyleColor(ImGuiCol_Text, theme.dim);
  ImGui::TextUnformatted(words.c_str());
  ImGui::PopStyleColor();
  ImGui::PopTextWrapPos();
  ImGui::PopFont();
}

void draw_pairs(FrameContext& context) {
  const std::shared_ptr<const PieceMerges> merges = shown_merges(context);
  const bool race = merges && merges->merges && merges->steps() > 0;
  const int step = race ? race_step(context, *merges) : 0;
  {
    PanelHeader header(context, "Pairs that could join");
    if (race) header.note("step " + std::to_string(step));
  }
  PanelBody body(context);
  if (draw_without_model(context, "the pairs that compete appear here")) return;
  if (!race) {
    text_wrapped(context.theme.body, context.theme.dim,
                 merges && !merges->merges && !merges->special ? "The merges of a piece of this length are not traced, so there are no pairs to show."
                                                               : "Nothing is merged in this piece, so no pairs compete.");
    return;
  }
  draw_rows(context, *merges, body, step, body.min.y + ImGui::GetScrollY() + body.size.y);
}

// The step's race as `glassbox tokenize --steps --json` has it.
nlohmann::json pairs_figure(const FrameContext& context) {
  const std::shared_ptr<const PieceMerges> merges = shown_merges(context);
  if (!merges || merges->steps() == 0) return nlohmann::json::object();
  const auto step = static_cast<size_t>(race_step(context, *merges) - 1);
  return figure_merges(context.model()->tokenizer(), *merges->merges)["steps"][step];
}

}  // namespace

const Panel kPairsPanel = {
    .id = "pairs",
    .title = "Pairs that could join",
    .help = "The neighbours before the shown step, with the rank of each pair in the list of merges. The lowest rank joins; of "
            "equal ones the leftmost. A pair without a rank is not in the list. Move over the rows of the merges to see "
            "each race.",
    .stage = 1,
    .needs = [](const Document&, const ModelConfig&, Needs&) {},
    .draw = draw_pairs,
    .figure = pairs_figure,
};

}  // namespace glassbox
