// Stage 1, merges: how the bytes of one piece become tokens, a row a merge.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage1_trace.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr float kPlaySeconds = 0.45f;  // between two merges: time to see which pair it was
constexpr float kJoinSeconds = 0.16f;  // in which the two boxes become one

// The widths and heights of the figure, in pixels.
struct Grid {
  float label, unit, box, pitch;
  ImVec2 origin;
  Grid(const Theme& theme, const PieceMerges& merges, ImVec2 min, float width) : origin(min) {
    label = theme.px(92), box = theme.px(25), pitch = theme.px(31);
    const float bytes = std::max(1.0f, static_cast<float>(merges.bytes.size()));
    // A byte is as wide as "‹E8›" where there is room; a long piece scrolls sideways.
    unit = std::floor(std::clamp((width - label) / bytes, theme.px(24), theme.px(56)));
  }
  float left(const Symbol& symbol) const { return origin.x + label + unit * static_cast<float>(symbol.start); }
  float right(const Symbol& symbol) const { return origin.x + label + unit * static_cast<float>(symbol.end); }
  float top(int row) const { return origin.y + pitch * static_cast<float>(row); }
};

ImU32 merged_fill(const Theme& theme) { return mix(theme.surface, theme.accent, theme.kind == ThemeKind::dark ? 0.45f : 0.40f); }

void draw_box(ImDrawList* draw, const Theme& theme, ImVec2 min, ImVec2 max, ImU32 fill, float alpha) {
  draw->AddRectFilled(min, max, with_alpha(fill, alpha), theme.px(3));
}

// The text of a symbol in the middle of what is seen of its box; what does not fit is left to the card.
void draw_label(ImDrawList* draw, const Theme& theme, const std::string& text, ImVec2 min, ImVec2 max, float seen_left, float alpha) {
  min.x = std::max(min.x, seen_left), max.x = std::min(max.x, draw->GetClipRectMax().x);
  const TextStyle& style = text_size(theme.mono, text).x <= max.x - min.x - theme.px(2) ? theme.mono : theme.mono_small;
  const std::string fitted = fit_text(style, text, max.x - min.x);
  const float width = text_size(style, fitted).x;
  if (width > max.x - min.x || fitted == "…") return;
  draw_visible_text(draw, style, {(min.x + max.x - width) / 2, middle_of(style, min.y, max.y)}, with_alpha(theme.text, alpha), fitted);
}

void draw_symbol_card(const FrameContext& context, const PieceMerges& merges, int row, int index) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const Symbol& symbol = merges.symbols_after(row)[static_cast<size_t>(index)];
  const bool merged = row > 0 && merges.merges->steps[static_cast<size_t>(row - 1)].left == static_cast<uint32_t>(index);
  begin_hover_card(theme);
  if (merged) {
    const MergeStep& step = merges.merges->steps[static_cast<size_t>(row - 1)];
    const std::vector<Symbol>& before = merges.symbols_after(row - 1);
    const Symbol &left = before[step.left], &right = before[step.left + 1];
    card_value(theme, "rank", format_count(step.merge.rank), theme.accent);
    card_tokens(theme, token_text(theme, tokenizer, left.id), "+", token_text(theme, tokenizer, right.id));
    card_row(theme, "ids", std::to_string(left.id) + " + " + std::to_string(right.id) + " → " + std::to_string(symbol.id));
    int candidates = 0;
    for (const Merge& pair : step.pairs) candidates += pair.rank >= 0;
    card_row(theme, "lowest of", std::to_string(candidates) + (candidates == 1 ? " pair in the list" : " pairs in the list"));
    card_source(theme, "Step " + std::to_string(row) + " of " + std::to_string(merges.steps()) + ": this pair was learned first among those that stand "
                       "side by side, as number " + format_count(step.merge.rank) + " of " +
                           format_count(static_cast<int64_t>(tokenizer.merge_count())) + " merges. Click to show this step.");
  } else {
    card_value(theme, "id", std::to_string(symbol.id), theme.accent);
    card_tokens(theme, token_text(theme, tokenizer, symbol.id), "", "");
    const std::string_view bytes = std::string_view(merges.bytes).substr(symbol.start, symbol.end - symbol.start);
    card_row(theme, bytes.size() == 1 ? "1 byte" : std::to_string(bytes.size()) + " bytes", hex_bytes(bytes.substr(0, 12)) + (bytes.size() > 12 ? " …" : ""));
    card_row(theme, "in the piece", "bytes " + std::to_string(symbol.start) + " to " + std::to_string(symbol.end));
    card_source(theme, row == 0 ? "Before any merge every byte is a token of its own." : "Not joined in this step.");
  }
  end_hover_card(theme);
}

// How the row looks against the step that is shown.
struct RowState {
  bool current, last;
  float alpha;
};

void draw_rank(ImDrawList* draw, const Theme& theme, const PieceMerges& merges, const Grid& grid, int row, float left, const RowState& state) {
  const float top = std::round(grid.top(row)), bottom = top + grid.box;
  if (left > grid.origin.x) draw->AddRectFilled({left, top}, {left + grid.label - theme.px(6), bottom}, theme.surface);
  const ImU32 dim = with_alpha(theme.dim, state.alpha);
  if (row == 0) {
    draw_text(draw, theme.small, {left, middle_of(theme.small, top, bottom)}, state.current ? theme.accent : dim, "bytes");
    return;
  }
  draw_text(draw, theme.small, {left, middle_of(theme.small, top, bottom)}, dim, "rank");
  // Right-aligned, so that one sees at a glance how the ranks rise.
  const std::string rank = format_count(merges.merges->steps[static_cast<size_t>(row - 1)].merge.rank);
  draw_text(draw, theme.mono_small,
            {left + grid.label - theme.px(14) - text_size(theme.mono_small, rank).x, middle_of(theme.mono_small, top, bottom)},
            state.current ? theme.accent : with_alpha(theme.text, state.alpha), rank);
}

// The symbol whose box is at x; −1: none.
int symbol_at(const Grid& grid, const std::vector<Symbol>& symbols, float x) {
  for (size_t i = 0; i < symbols.size(); ++i)
    if (x >= grid.left(symbols[i]) && x < grid.right(symbols[i])) return static_cast<int>(i);
  return -1;
}

void draw_row(FrameContext& context, const PieceMerges& merges, const Grid& grid, int row, int shown, bool way_in) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const bool hovered = context.hovered.merge_step == row;
  const RowState state{row == shown, row == merges.steps(), row > shown && !hovered ? 0.32f : 1.0f};
  const float top = std::round(grid.top(row)), bottom = top + grid.box;
  const float end = grid.origin.x + grid.label + grid.unit * static_cast<float>(merges.bytes.size());
  if (hovered)
    draw->AddRectFilled({grid.origin.x, top - theme.px(3)}, {end, bottom + theme.px(3)}, theme.hover, theme.px(Theme::kChipRounding));

  const std::vector<Symbol>& symbols = merges.symbols_after(row);
  const int merged = row > 0 ? static_cast<int>(merges.merges->steps[static_cast<size_t>(row - 1)].left) : -1;
  // The ranks stay where they are when a long piece is scrolled sideways.
  const float rank_left = draw->GetClipRectMin().x, seen_left = rank_left + grid.label, seen_right = draw->GetClipRectMax().x;
  const float gap = std::max(1.0f, theme.px(4));
  for (int i = 0; i < static_cast<int>(symbols.size()); ++i) {
    const Symbol& symbol = symbols[static_cast<size_t>(i)];
    if (grid.right(symbol) < seen_left) continue;
    if (grid.left(symbol) > seen_right) break;
    const ImVec2 min(grid.left(symbol), top), max(grid.right(symbol) - gap, bottom);
    ImU32 fill = i == merged ? merged_fill(theme) : symbol_fill(theme);
    float alpha = state.alpha;
    // The last row is what the model gets: it wears the colours of the chips, and is never dimmed.
    if (state.last) fill = theme.chip_colour(merges.first_token + i), alpha = 1;
    draw_box(draw, theme, min, max, fill, alpha);
    if (i == merged && state.current) {
      // The two parts close up on the step that has just been made.
      const ImGuiID id = ImGui::GetID(("join " + std::to_string(row) + " " + std::to_string(merges.piece)).c_str());
      const float joined = context.motion.arrival(id, kJoinSeconds);
      if (joined < 1) {
        const Symbol& left = merges.symbols_after(row - 1)[static_cast<size_t>(i)];
        const float seam = grid.right(left) - gap, half = gap * (1 - joined);
        draw->AddRectFilled({seam, min.y}, {seam + half, max.y}, theme.surface);
      }
      draw->AddRect(min, max, with_alpha(theme.accent, joined), theme.px(3), 0, std::max(theme.hairline(), theme.px(1.5f)));
    }
    const std::string_view bytes = std::string_view(merges.bytes).substr(symbol.start, symbol.end - symbol.start);
    draw_label(draw, theme, visible_text(theme, bytes), min, max, seen_left, alpha);
  }
  draw_rank(draw, theme, merges, grid, row, rank_left, state);

  const std::string id = "merge row " + std::to_string(row);
  const SpotAnswer answer = spot(context, id.c_str(), {grid.origin.x, top}, {end, top + grid.pitch}, way_in);
  if (answer.clicked && !state.current) context.run(cmd::SetMergeStep{row});
  const int under = pointer_on_item() ? symbol_at(grid, symbols, ImGui::GetIO().MousePos.x) : -1;
  // The keyboard comes to what the row is about; left and right go on from there.
  WindowState kept;
  const int begin = kept.get("row of keys", -1) == row ? kept.get("symbol of keys") : std::max(merged, 0);
  const CellPick pick = pick_column(static_cast<int>(symbols.size()), under, begin);
  if (pick.by_keys) kept.set("row of keys", row), kept.set("symbol of keys", pick.shown->column);
  if (pick.by_keys) {
    const Symbol& symbol = symbols[static_cast<size_t>(pick.shown->column)];
    stand_at(pick, {grid.left(symbol), top}, {grid.right(symbol), bottom});
    draw->AddRect({grid.left(symbol), top}, {grid.right(symbol) - gap, bottom}, theme.ring, theme.px(3), 0, theme.hairline());
  }
  const std::string value = row == 0 ? std::string() : std::to_string(merges.merges->steps[static_cast<size_t>(row - 1)].merge.rank);
  value_menu(context, id.c_str(), value);
  if (!answer.hovered) return;
  context.hover.merge_step = row;
  if (pick.shown) draw_symbol_card(context, merges, row, pick.shown->column);
  else if (merged >= 0) draw_symbol_card(context, merges, row, merged);  // on the rank
}

// Playing is a state of this panel's window alone; what it changes is the document's merge step.
struct Player {
  FrameContext& context;
  const PieceMerges& merges;
  ImGuiStorage* storage = ImGui::GetStateStorage();
  ImGuiID playing_id = ImGui::GetID("playing piece"), turn_id = ImGui::GetID("turn");

  bool playing() const { return storage->GetInt(playing_id, -1) == merges.piece; }
  void start(int shown) {
    storage->SetInt(playing_id, merges.piece);
    if (shown >= merges.steps()) context.run(cmd::SetMergeStep{0});
    next_turn();
  }
  void stop() { storage->SetInt(playing_id, -1); }
  void next_turn() { storage->SetInt(turn_id, storage->GetInt(turn_id) + 1); }

  // Makes the next merge when its time has come. Without motion the end is shown at once.
  void advance(int shown) {
    if (!playing()) return;
    if (!context.theme.motion) {
      context.run(cmd::SetMergeStep{merges.steps()});
      stop();
      return;
    }
    const ImGuiID timer = ImGui::GetID(("turn " + std::to_string(storage->GetInt(turn_id))).c_str());
    if (context.motion.arrival(timer, kPlaySeconds) < 1) return;
    if (shown + 1 >= merges.steps()) stop();
    context.run(cmd::SetMergeStep{std::min(shown + 1, merges.steps())});
    if (playing()) next_turn();
  }
};

// The words for a piece whose merges are not a figure, and for the end of those that are.
std::string explain(const Theme& theme, const FrameContext& context, const PieceMerges& merges) {
  const Tokenizer& tokenizer = context.model()->tokenizer();
  if (merges.special)
    return "A special token: it was found in the text before the pre-tokeniser, and stands for one row of the vocabulary. "
           "Nothing is merged.";
  if (!merges.merges) {
    return "This piece is " + format_bytes(merges.bytes.size()) + " long. Its merges are traced up to " +
           std::to_string(Tokenizer::kMaxTracedPiece) +
           " bytes (a trace takes the square of the length, and nobody reads more). Its tokens above are complete.";
  }
  if (merges.merges->whole_piece)
    return "The vocabulary has the whole piece as one token, and this tokeniser then asks for no merges.";
  if (merges.merges->bytes.empty()) return "The vocabulary has no token for any of these bytes: they do not reach the model.";
  if (merges.merges->bytes.size() == 1) {
    const int32_t id = merges.merges->bytes.front().id;
    return "One byte is one token: " + token_text(theme, tokenizer, id) + " has the id " + std::to_string(id) + ", and there is nothing to merge.";
  }
  if (merges.steps() == 0)
    return "No two of these bytes that stand side by side are in the list of merges: each stays a token of its own.";
  return {};
}

// All rows, in a window of their own that scrolls both ways.
void draw_grid(FrameContext& context, const PieceMerges& merges, int shown) {
  const Theme& theme = context.theme;
  const ImVec2 room = ImGui::GetContentRegionAvail();
  ImGui::BeginChild("##grid", {0, 0}, ImGuiChildFlags_NavFlattened, ImGuiWindowFlags_HorizontalScrollbar);
  const ImVec2 origin = ImGui::GetCursorScreenPos();
  const Grid grid(theme, merges, origin, room.x);
  const int rows = merges.steps() + 1;
  const ImDrawList* draw = ImGui::GetWindowDrawList();
  const float seen_top = draw->GetClipRectMin().y, seen_bottom = draw->GetClipRectMax().y;
  const int first = std::clamp(static_cast<int>(std::ceil((seen_top - origin.y) / grid.pitch)), 0, rows - 1);
  // One row more than is seen each way, for the keyboard to go on to. Tab leads to the shown step where it is in sight.
  const bool shown_seen = grid.top(shown) >= seen_top - 1 && grid.top(shown) < seen_bottom;
  for (int row = std::max(0, first - 2); row < rows && grid.top(row) <= seen_bottom + grid.pitch; ++row)
    draw_row(context, merges, grid, row, shown, row == (shown_seen ? shown : first));
  ImGui::SetCursorScreenPos(origin);
  ImGui::Dummy({grid.label + grid.unit * static_cast<float>(merges.bytes.size()), grid.pitch * static_cast<float>(rows) - theme.px(6)});

  // The shown step stays in sight while it moves.
  ImGuiStorage* storage = ImGui::GetStateStorage();
  const ImGuiID followed = ImGui::GetID("followed step");
  const int place = merges.piece * 1024 + shown;  // a traced piece has fewer steps than bytes, of which 512
  if (storage->GetInt(followed, -1) != place) {
    storage->SetInt(followed, place);
    const float top = grid.pitch * static_cast<float>(shown), bottom = top + grid.pitch;
    if (top < ImGui::GetScrollY()) ImGui::SetScrollY(top);
    else if (bottom > ImGui::GetScrollY() + room.y) ImGui::SetScrollY(bottom - room.y);
  }
  fade_scrolled_edges(theme, theme.surface);
  ImGui::EndChild();
}

void draw_merges(FrameContext& context) {
  const Theme& theme = context.theme;
  const std::shared_ptr<const PieceMerges> merges = shown_merges(context);
  const bool selected = merges && merges->piece == selected_piece(context, *shown_trace(context));
  const int shown = merges && merges->merges ? shown_merge_step(context, *merges) : 0;
  {
    PanelHeader header(context, merges ? "Merges of" : "Merges");
    if (merges) {
      const std::string_view bytes = merges->bytes;
      constexpr size_t kTitleBytes = 120;
      header.mono(visible_text(theme, bytes.substr(0, kTitleBytes)) + (bytes.size() > kTitleBytes ? "…" : ""), theme.text);
    }
    if (merges && merges->steps() > 0) {
      Player player{context, *merges};
      const bool playing = player.playing();
      ButtonLook look;
      look.enabled = selected;
      look.hint = playing ? "stop" : "play the merges one by one";
      look.width = button_width(theme, "play");
      if (header.button(playing ? "stop##play" : "play##play", look)) playing ? player.stop() : player.start(shown);
      look.width = theme.px(28);
      look.enabled = selected && shown < merges->steps();
      look.hint = "the next merge";
      if (header.button("▸##next merge", look)) player.stop(), context.run(cmd::SetMergeStep{shown + 1});
      look.enabled = selected && shown > 0;
      look.hint = "the merge before";
      if (header.button("◂##merge before", look)) player.stop(), context.run(cmd::SetMergeStep{shown - 1});
      header.note("step " + std::to_string(shown) + " of " + std::to_string(merges->steps()));
      if (selected) player.advance(shown);
    }
  }
  PanelBody body(context);
  if (draw_without_model(context, "its merges appear here")) return;
  if (!merges) {
    draw_waiting(theme, "The ids of this run are not those of its text under this model's tokenizer: there are no merges");
    return;
  }
  const std::string words = explain(theme, context, *merges);
  if (!words.empty()) {
    ImGui::PushTextWrapPos(std::min(ImGui::GetCursorPosX() + theme.px(520), ImGui::GetCursorPosX() + body.size.x));
    ImGui::PushFont(theme.body.font, theme.body.size);
    ImGui::PushStyleColor(ImGuiCol_Text, theme.dim);
    ImGui::TextUnformatted(words.c_str());
    ImGui::PopStyleColor();
    ImGui::PopFont();
    ImGui::PopTextWrapPos();
    ImGui::Dummy({1, theme.px(4)});
  }
  if (!merges->merges || merges->merges->bytes.empty() || merges->merges->whole_piece) return;

  draw_grid(context, *merges, shown);
}

nlohmann::json merges_figure(const FrameContext& context) {
  const std::shared_ptr<const PieceMerges> merges = shown_merges(context);
  if (!merges || !merges->merges) return nlohmann::json::object();
  return figure_merges(context.model()->tokenizer(), *merges->merges);
}

}  // namespace

const Panel kMergesPanel = {
    .id = "merges",
    .title = "Merges",
    .help = "A piece starts as single bytes. In each step the neighbours whose pair was learned first (the lowest rank) become "
            "one; the row shows the piece after the step. Boxes are as wide as their bytes. Click a row, or play them one by "
            "one; the last row holds the tokens.",
    .stage = 1,
    .needs = [](const Document&, const ModelConfig&, Needs&) {},
    .draw = draw_merges,
    .figure = merges_figure,
};

}  // namespace glassbox
