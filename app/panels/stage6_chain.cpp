// From logits to one token: every candidate, and what each rule of the chain does to it. The cuts are handles.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage6_chain_columns.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr float kLane = 17;        // pixels at 100 %, under the rows: where cuts are parked that lie farther down
constexpr int kLogitBarRows = 1000;  // the least logit among these has a bar of no length

// The table as it stands in this frame.
struct Table {
  const ChainResult& chain;
  const std::vector<ChainColumn>& columns;
  ImVec2 origin;              // of row 0, scrolled
  float width = 0, row = 0;   // pixels
  float top = 0, bottom = 0;  // of what is visible
  float logit_low = 0, logit_high = 1;
  float x(const ChainColumn& column) const { return origin.x + column.x; }
};

float row_text_y(const TextStyle& style, float y, float height) { return std::round(y + (height - text_height(style)) / 2); }

void draw_kept(ImDrawList* draw, const Theme& theme, ImVec2 centre, bool active) {
  if (active) draw->AddCircleFilled(centre, theme.px(5), theme.logits);
  else draw->AddCircleFilled(centre, theme.px(2), theme.faint);
}

void draw_cut_sign(ImDrawList* draw, const Theme& theme, ImVec2 centre) {
  const float radius = theme.px(5), reach = radius * 0.45f, line = std::max(1.0f, theme.scale);
  draw->AddCircle(centre, radius, theme.error, 0, line);
  draw->AddLine({centre.x - reach, centre.y - reach}, {centre.x + reach, centre.y + reach}, theme.error, line);
  draw->AddLine({centre.x - reach, centre.y + reach}, {centre.x + reach, centre.y - reach}, theme.error, line);
}

// Middle of the marks of a column.
float mark_x(const Theme& theme, const Table& table, const ChainColumn& column) { return table.x(column) + theme.px(20); }

void draw_candidate(const FrameContext& context, const Table& table, int row, float y) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const Candidate& candidate = table.chain.candidates[static_cast<size_t>(row)];
  const bool kept = candidate.cut_by < 0, drawn = candidate.id == table.chain.drawn;
  const float text = row_text_y(theme.mono, y, table.row), bar_height = theme.px(9), bar = y + (table.row - bar_height) / 2;
  const ImU32 ink = kept ? theme.text : theme.dim;
  for (const ChainColumn& column : table.columns) {
    const float x = table.x(column);
    const float bar_x = x + column.width - column.bar - theme.px(20);
    switch (column.kind) {
      case ColumnKind::token:
        draw_visible_text(draw, drawn ? theme.mono_bold : theme.mono, {x, text}, ink,
                          fit_text(theme.mono, token_of(context, candidate.id), column.width - theme.px(10)));
        break;
      case ColumnKind::logit: {
        const std::string value = format_fixed(static_cast<double>(candidate.logit), 2);
        draw_text(draw, theme.mono, {x + text_size(theme.mono, "00.00").x - text_size(theme.mono, value).x, text}, ink, value);
        if (column.bar > 0)
          draw_bar(draw, theme, {bar_x, bar}, {column.bar, bar_height}, (candidate.logit - table.logit_low) / std::max(table.logit_high - table.logit_low, 1e-6f), theme.bar);
        break;
      }
      case ColumnKind::penalty: {
        const bool changed = candidate.penalised != candidate.logit;
        draw_text(draw, theme.mono, {x, text}, changed ? theme.warn : theme.faint,
                  changed ? format_fixed(static_cast<double>(candidate.penalised), 2) : kNoValue);
        break;
      }
      case ColumnKind::stage: {
        const int index = stage_index(table.chain, column.stage);
        const bool reached = candidate.cut_by < 0 || candidate.cut_by >= index;
        if (!column.cuts()) {
          draw_text(draw, theme.mono, {x, text}, ink, format_probability(static_cast<double>(candidate.prob_heated)));
          if (column.bar > 0) draw_bar(draw, theme, {bar_x, bar}, {column.bar, bar_height}, candidate.prob_heated, theme.logits);
        } else if (reached) {
          const ImVec2 centre(mark_x(theme, table, column), std::round(y + table.row / 2));
          if (candidate.cut_by == index) draw_cut_sign(draw, theme, centre);
          else draw_kept(draw, theme, centre, table.chain.stages[static_cast<size_t>(index)].active);
        }
        break;
      }
      case ColumnKind::probability:
        draw_text(draw, theme.mono, {x, text}, ink, format_probability(static_cast<double>(candidate.prob)));
        if (column.bar > 0) {
          const float shown = context.motion.value(ImGui::GetID("probability"), candidate.prob);
          draw_bar(draw, theme, {bar_x, bar}, {column.bar, bar_height}, shown, drawn ? theme.accent : theme.logits);
        }
        break;
    }
  }
}

int column_at(const Table& table, float x) {
  for (size_t i = 0; i < table.columns.size(); ++i)
    if (x >= table.x(table.columns[i]) && x < table.x(table.columns[i]) + table.columns[i].width) return static_cast<int>(i);
  return -1;
}

std::string cell_value(const Candidate& candidate, const ChainColumn& column) {
  switch (column.kind) {
    case ColumnKind::token: return std::to_string(candidate.id);
    case ColumnKind::logit: return format_exact(candidate.logit);
    case ColumnKind::penalty: return format_exact(candidate.penalised);
    case ColumnKind::stage: return column.cuts() ? std::string() : format_exact(candidate.prob_heated);
    case ColumnKind::probability: return format_exact(candidate.prob);
  }
  return {};
}

void draw_row(FrameContext& context, const Table& table, WindowState& state, int row) {
  const Theme& theme = context.theme;
  const Candidate& candidate = table.chain.candidates[static_cast<size_t>(row)];
  const float y = table.origin.y + static_cast<float>(row) * table.row, bleed = theme.px(8);
  ImGui::PushID(candidate.id);
  ImGui::SetCursorScreenPos({table.origin.x - bleed, y});
  ImGui::SetNextItemAllowOverlap();
  const bool way_in = y >= table.top - 1 && y < table.top + table.row - 1;  // Tab leads to the first row in sight, the arrows from there
  if (!way_in) begin_list_items();
  const bool pressed = press_area("row", {table.width + bleed + theme.px(3), table.row});
  if (!way_in) end_list_items();
  if (pressed) state.set("selected", candidate.id);
  const bool hovered = ImGui::IsItemHovered(), focused = item_focused();
  // Up and down go from row to row and keep the column; left and right go along the row.
  const int under = pointer_on_item() ? column_at(table, ImGui::GetIO().MousePos.x) : -1;
  const CellPick pick = pick_column(static_cast<int>(table.columns.size()), under, state.get("column"));
  const ChainColumn* column = pick.shown ? &table.columns[static_cast<size_t>(pick.shown->column)] : nullptr;
  if (pick.by_keys) {
    state.set("column", pick.shown->column);
    stand_at(pick, {table.x(*column), y}, {table.x(*column) + column->width, y + table.row});
  }
  const bool go = (hovered && ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left)) || (focused && ImGui::IsKeyPressed(ImGuiKey_Enter, false));
  if (begin_value_menu(context, "menu", cell_value(candidate, table.columns[static_cast<size_t>(pick.asked.column)]))) {
    ImGui::Separator();
    if (ImGui::MenuItem(("Continue with " + token_of(context, candidate.id)).c_str())) continue_with_token(context, candidate.id, candidate.prob);
    end_value_menu();
  }
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const ImVec2 min(table.origin.x - bleed, y), max(table.origin.x + table.width + theme.px(3), y + table.row);
  const bool drawn = candidate.id == table.chain.drawn, selected = state.get("selected", -1) == candidate.id;
  const bool lit = hovered || context.hovered.token == candidate.id;
  if (drawn || lit || focused) draw->AddRectFilled(min, max, drawn ? theme.selected : theme.hover, theme.px(4));
  if (selected || focused) draw->AddRect(min, max, focused ? theme.accent : theme.dim, theme.px(4), 0, theme.hairline());
  if (pick.by_keys) draw->AddRectFilled({table.x(*column) - theme.px(6), y}, {table.x(*column) + column->width - theme.px(8), y + table.row}, theme.selected, theme.px(4));
  draw_candidate(context, table, row, y);
  ImGui::PopID();
  if (hovered) {
    context.hover.token = candidate.id;
    if (column && !ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup) && !ImGui::IsMouseDown(ImGuiMouseButton_Left))
      draw_candidate_card(context, *column, row);
  }
  if (go) continue_with_token(context, candidate.id, candidate.prob);
}

// The cut of one column as a line with a grip. What lies outside the visible rows is parked at their edge.
void draw_handle(FrameContext& context, const Table& table, WindowState& state, const ChainColumn& column, int index) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const int limit = kept_before(table.chain, column.stage), kept = kept_after(table.chain, column.stage);
  const bool active = table.chain.stages[static_cast<size_t>(stage_index(table.chain, column.stage))].active;
  ImGui::PushID(index);
  const bool dragging = state.get("dragged column", -1) == index;
  const int rows = dragging ? state.get("dragged rows", kept) : kept;
  const float place = table.origin.y + static_cast<float>(rows) * table.row;
  const bool below = (!active && !dragging) || place > table.bottom, above = !below && place < table.top;
  const float y = std::round(below ? table.bottom + theme.px(kLane / 2) : above ? table.top + theme.px(7) : place);
  const float left = table.x(column), right = left + column.width - theme.px(10), thick = theme.px(12);
  ImGui::SetCursorScreenPos({left, y - thick / 2});
  press_area("cut", {std::max(1.0f, right - left), thick});
  const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive(), focused = item_focused();
  if (hovered || held) ImGui::SetMouseCursor(ImGuiMouseCursor_ResizeNS);
  int target = -1;
  if (held && ImGui::IsMouseDragging(ImGuiMouseButton_Left, 2)) {
    const float mouse = ImGui::GetIO().MousePos.y;
    target = static_cast<int>(std::round((mouse - table.origin.y) / table.row));
    // Near the edge the rows move under the handle, the faster the farther out.
    if (mouse > table.bottom - theme.px(4)) ImGui::SetScrollY(ImGui::GetScrollY() + (mouse - table.bottom + theme.px(4)) * 0.5f + 1);
    if (mouse < table.top + theme.px(4)) ImGui::SetScrollY(ImGui::GetScrollY() - (table.top + theme.px(4) - mouse) * 0.5f - 1);
  } else if (focused) {
    const int step = ImGui::GetIO().KeyShift ? 10 : 1;
    if (ImGui::IsKeyPressed(ImGuiKey_DownArrow)) target = kept + step;
    if (ImGui::IsKeyPressed(ImGuiKey_UpArrow)) target = kept - step;
    keep_keys({ImGuiKey_DownArrow, ImGuiKey_UpArrow});
  }
  if (target >= 0) {
    target = std::clamp(target, 1, std::max(limit, 1));
    if (held) state.set("dragged column", index), state.set("dragged rows", target);
    const SamplerSettings next = with_cut(*stage_input(context, column.stage), context.document().sampler, column.stage, target);
    if (!(next == context.document().sampler)) context.run(cmd::SetSampler{next});
  }
  if (dragging && !held) state.set("dragged column", -1);

  const bool strong = hovered || held || focused;
  const ImU32 colour = below && !active ? (strong ? theme.warn : theme.faint) : theme.warn;
  draw->AddRectFilled({left, y - theme.px(1)}, {right, y - theme.px(1) + std::max(theme.px(2), 1.0f)}, with_alpha(colour, strong ? 1.0f : 0.85f));
  const ImVec2 grip_min(right - theme.px(16), y - theme.px(5)), grip_max(right, y + theme.px(5));
  draw->AddRectFilled(grip_min, grip_max, colour, theme.px(3));
  if (focused) draw->AddRect({grip_min.x - 2, grip_min.y - 2}, {grip_max.x + 2, grip_max.y + 2}, theme.accent, theme.px(3), 0, theme.px(2));
  if ((below || above) && active && !held) {
    const std::string text = (below ? "↓ " : "↑ ") + format_count(kept);
    draw->AddRectFilled({left - theme.px(2), y - theme.px(8)}, {left + text_size(theme.mono_small, text).x + theme.px(4), y + theme.px(8)}, theme.surface);
    draw_text(draw, theme.mono_small, {left, y - text_height(theme.mono_small) / 2}, theme.warn, text);
  }
  if (held && target >= 0) {
    begin_hover_card(theme);
    card_value(theme, stage_label(context.document().sampler, column.stage), "", theme.warn);
    card_row(theme, "kept", format_count(target));
    end_hover_card(theme);
  } else if (hovered) {
    tooltip(theme, "Drag: " + stage_title(column.stage) + " cuts here" + (active ? ", after " + format_count(kept) + " tokens" : "; it is off now"));
  }
  ImGui::PopID();
}

// Titles of the columns. Those of the four stages can be dragged to another place of the order.
void draw_titles(FrameContext& context, const Table& table, ImVec2 min, float height) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const ChainColumn& column = table.columns[i];
    const ColumnHead head = column_head(table.chain, column);
    const float x = min.x + column.x, width = column.width - theme.px(8);
    ImGui::SetCursorScreenPos({x - theme.px(4), min.y});
    ImGui::PushID(static_cast<int>(i));
    if (i > 0) begin_list_items();  // Tab leads to the first title, the arrows from there
    press_area("title", {column.width - theme.px(2), height});
    if (i > 0) end_list_items();
    draw_focus(theme, ImGui::GetItemRectMin(), ImGui::GetItemRectMax());
    const bool hovered = ImGui::IsItemHovered();
    bool target = false;
    if (column.kind == ColumnKind::stage) {
      const int stage = static_cast<int>(column.stage);
      if (ImGui::BeginDragDropSource(ImGuiDragDropFlags_SourceNoHoldToOpenOthers)) {
        ImGui::SetDragDropPayload("chain stage", &stage, sizeof stage);
        text_line(theme.bold, theme.text, head.name);
        ImGui::EndDragDropSource();
      }
      if (ImGui::BeginDragDropTarget()) {
        target = true;
        if (const ImGuiPayload* payload = ImGui::AcceptDragDropPayload("chain stage", ImGuiDragDropFlags_AcceptNoDrawDefaultRect)) {
          const auto moved = static_cast<SamplerStage>(*static_cast<const int*>(payload->Data));
          SamplerSettings next = context.document().sampler;
          const auto from = std::find(next.order.begin(), next.order.end(), moved);
          const auto to = std::find(next.order.begin(), next.order.end(), column.stage);
          if (from < to) std::rotate(from, from + 1, to + 1);
          else std::rotate(to, from, from + 1);
          if (!(next == context.document().sampler)) context.run(cmd::SetSampler{next});
        }
        ImGui::EndDragDropTarget();
      }
    }
    ImGui::PopID();
    if ((hovered || target) && column.kind == ColumnKind::stage)
      draw->AddRectFilled({x - theme.px(6), min.y}, {x + width, min.y + height - theme.px(4)}, target ? theme.selected : theme.hover, theme.px(4));
    const auto fitted = [&](const TextStyle& style, const std::string& text, const std::string& shorter) {
      return text_size(style, text).x <= width ? text : fit_text(style, shorter, width);
    };
    const std::string name = fitted(theme.bold, head.name, head.short_name);
    draw_text(draw, theme.bold, {x, min.y + theme.px(11) - text_height(theme.bold) / 2}, head.off ? theme.dim : theme.text, name);
    draw_text(draw, theme.mono_small, {x, min.y + theme.px(30) - text_height(theme.mono_small) / 2}, theme.dim, fitted(theme.mono_small, head.note, head.short_note));
    if (hovered && !ImGui::IsMouseDown(ImGuiMouseButton_Left) && !ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_stage_card(context, column);
  }
  // The draw, above the right end of the probabilities.
  const ChainColumn& last = table.columns.back();
  const std::string text = "drawn: u = " + format_fixed(table.chain.u, 4);
  const float width = text_size(theme.small, text).x, room = last.width - theme.px(100);
  if (width + theme.px(16) <= room) {
    const float x = min.x + last.x + last.width - width;
    draw_text(draw, theme.small, {x, min.y + theme.px(11) - text_height(theme.small) / 2}, theme.accent, text);
    draw->AddCircleFilled({x - theme.px(10), min.y + theme.px(11)}, theme.px(4.5f), theme.accent);
  }
}

void draw_table(FrameContext& context, const PanelBody& body, WindowState& state) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const float titles = theme.px(44), bleed = theme.px(8);
  // The table is as wide as its columns need; a narrow panel scrolls across, titles and rows together.
  const float scrollbar = theme.px(14), room = body.size.x - scrollbar;
  const std::vector<ChainColumn> columns = make_columns(theme, chain.settings, room);
  const float width = std::max(room, columns.back().x + columns.back().width);
  ImGui::SetCursorScreenPos({body.min.x - bleed, body.min.y});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(0, 0));
  ImGui::BeginChild("across", {body.size.x + bleed + theme.px(4), body.size.y}, ImGuiChildFlags_NavFlattened,
                    width > room + 1 ? ImGuiWindowFlags_HorizontalScrollbar : ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoScrollWithMouse);
  const ImVec2 corner = ImGui::GetCursorScreenPos();
  Table table{chain, columns, {corner.x + bleed, corner.y}, width, theme.px(22.5f)};
  table.logit_high = chain.candidates.front().logit;
  table.logit_low = chain.candidates[std::min(chain.candidates.size(), static_cast<size_t>(kLogitBarRows)) - 1].logit;
  draw_titles(context, table, {corner.x + bleed, corner.y}, titles);
  const float rule = corner.y + titles;
  ImGui::GetWindowDrawList()->AddRectFilled({corner.x + bleed, rule}, {corner.x + bleed + width, rule + theme.hairline()}, theme.line);
  ImGui::SetCursorScreenPos({corner.x, rule + theme.px(4)});
  // Whole rows, so that none is cut at the lower edge.
  const float lane = theme.px(kLane);
  const float rows_height = std::max(2.0f, std::floor((ImGui::GetContentRegionAvail().y - lane) / table.row)) * table.row + lane;
  ImGui::BeginChild("rows", {width + bleed + scrollbar, rows_height}, ImGuiChildFlags_NavFlattened);
  const ImVec2 start = ImGui::GetCursorScreenPos();
  table.origin = {start.x + bleed, start.y};
  table.top = ImGui::GetWindowPos().y, table.bottom = table.top + rows_height - lane;
  ImGuiListClipper clipper;
  clipper.Begin(static_cast<int>(chain.candidates.size()), table.row);
  while (clipper.Step())
    for (int row = clipper.DisplayStart; row < clipper.DisplayEnd; ++row) {
      draw_row(context, table, state, row);
      ImGui::SetCursorScreenPos({start.x, start.y + static_cast<float>(row + 1) * table.row});
    }
  const float scroll = ImGui::GetScrollY();
  state.set("first row", static_cast<int>(scroll / table.row + 0.5f));
  state.set("last row", std::min(static_cast<int>(chain.candidates.size()), static_cast<int>((scroll + rows_height - lane) / table.row + 0.5f)));
  const ImVec2 end = ImGui::GetCursorScreenPos();
  ImGui::GetWindowDrawList()->AddRectFilled({corner.x, table.bottom}, {corner.x + width + 2 * bleed, table.bottom + lane}, theme.surface);
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i].cuts()) draw_handle(context, table, state, columns[i], static_cast<int>(i));
  ImGui::SetCursorScreenPos(end);
  ImGui::Dummy({1, lane});  // the last row can be scrolled above the lane
  ImGui::EndChild();
  ImGui::EndChild();
  ImGui::PopStyleVar(2);
}

// The order of the chain as a list; the arrows move a stage.
void draw_order_menu(FrameContext& context, PanelHeader& header) {
  const Theme& theme = context.theme;
  if (!header.place(dropdown_width(theme, "order of the chain"))) return;
  if (!begin_dropdown(theme, "order of the chain")) return;
  SamplerSettings next = context.document().sampler;
  const size_t count = next.order.size();
  for (size_t i = 0; i < count; ++i) {
    ImGui::PushID(static_cast<int>(i));
    const ImVec2 at = ImGui::GetCursorScreenPos();
    draw_text(ImGui::GetWindowDrawList(), theme.body, {at.x + theme.px(4), at.y + theme.px(3)}, theme.text, std::to_string(i + 1) + "  " + stage_title(next.order[i]));
    ImGui::Dummy({theme.px(120), theme.px(24)});
    ImGui::SameLine();
    const bool up = small_button(theme, "↑##up", {.enabled = i > 0, .width = theme.px(28), .hint = "earlier"});
    ImGui::SameLine();
    const bool down = small_button(theme, "↓##down", {.enabled = i + 1 < count, .width = theme.px(28), .hint = "later"});
    if (up) std::swap(next.order[i], next.order[i - 1]);
    if (down) std::swap(next.order[i], next.order[i + 1]);
    ImGui::PopID();
    if (up || down) break;
  }
  if (small_button(theme, "usual order", {.enabled = next.order != SamplerSettings{}.order})) next.order = SamplerSettings{}.order;
  if (!(next == context.document().sampler)) context.run(cmd::SetSampler{next});
  end_dropdown();
}

void needs_chain(const Document&, const ModelConfig&, Needs& needs) { needs.chain = true; }

void draw_chain(FrameContext& context) {
  PanelHeader header(context, "From logits to one token");
  const View& view = context.view();
  WindowState state;
  draw_order_menu(context, header);
  if (view.chain && !view.chain->candidates.empty()) {
    // The chosen row's token can be taken from here.
    const int selected = state.get("selected", -1);
    if (selected >= 0 && static_cast<size_t>(selected) < view.chain->rank_of.size()) {
      const std::string label = "continue with " + fit_text(context.theme.body, token_of(context, selected), context.theme.px(120)) + "###continue";
      const Candidate& candidate = view.chain->candidates[static_cast<size_t>(view.chain->rank_of[static_cast<size_t>(selected)])];
      if (header.button(label.c_str(), {.hint = "opens a branch with this token in the place of the drawn one"})) continue_with_token(context, candidate.id, candidate.prob);
    }
    const std::string total = format_count(static_cast<int64_t>(view.chain->candidates.size()));
    const int last = state.get("last row");
    header.note(last > 0 ? "rows " + format_count(state.get("first row") + 1) + " – " + format_count(last) + " of " + total : total + " rows");
  }
  header.end();
  PanelBody body(context, true);
  if (!context.model()) draw_waiting(context.theme, "no model yet");
  else if (!view.chain || view.chain->candidates.empty()) draw_waiting(context.theme, view.tokens.empty() ? "type a prompt" : "computing");
  else draw_table(context, body, state);
}

nlohmann::json chain_figure(const FrameContext& context) {
  const View& view = context.view();
  if (!view.chain || !context.model()) return nullptr;
  return figure_next(*view.chain, &context.model()->tokenizer(), -1);
}

}  // namespace

const Panel kChainPanel = {
    "chain",
    "From logits to one token",
    "All tokens of the vocabulary and what each rule does to them, in the order in which the rules apply: a dot is kept, a "
    "crossed ring is cut. Drag a cut line up or down, drag a column's title to change the order. A click marks a token, a "
    "double click continues the text with it. The row with the blue ground is the one that the random number u chose.",
    6,
    needs_chain,
    draw_chain,
    chain_figure,
};

}  // namespace glassbox
