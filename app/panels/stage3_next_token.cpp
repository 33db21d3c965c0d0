// What the model says next, and what the edits change about it.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage3_shared.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr int kFigureRows = 256;  // of the copied figure

// What one row shows. Without edits `before` is absent.
struct Row {
  int32_t id = -1;
  int rank = 0;
  float after = 0;
  std::optional<float> before;
  float logit = 0;
};

// The rows by their place in the list.
struct Rows {
  const ChainResult* chain = nullptr;
  const DistributionChange* change = nullptr;
  bool by_before = false;
  int count() const {
    if (by_before && change) return static_cast<int>(change->order.size());
    return static_cast<int>(chain->candidates.size());
  }
  Row at(int index) const {
    const int32_t id = by_before && change ? change->order[static_cast<size_t>(index)] : chain->candidates[static_cast<size_t>(index)].id;
    const Candidate& candidate = chain->candidates[static_cast<size_t>(chain->rank_of[static_cast<size_t>(id)])];
    Row row{id, index, candidate.prob_model, std::nullopt, candidate.logit};
    if (change) row.before = change->before[static_cast<size_t>(id)], row.after = change->after[static_cast<size_t>(id)];
    return row;
  }
};

void draw_row_card(const FrameContext& context, const Row& row, const std::string& text) {
  const Theme& theme = context.theme;
  const View& view = context.view();
  begin_hover_card(theme);
  card_tokens(theme, text, "id", std::to_string(row.id), theme.text, theme.dim);
  card_value(theme, "P", format_probability(static_cast<double>(row.after)), theme.logits);
  const double greatest = static_cast<double>(view.chain->candidates.empty() ? row.logit : view.chain->candidates.front().logit);
  card_equation(theme, Fraction{"exp(z - max)", "Σ exp(zⱼ - max)"},
                Fraction{format_value(std::exp(static_cast<double>(row.logit) - greatest)),
                         format_value(std::exp(static_cast<double>(row.logit) - greatest) / static_cast<double>(row.after))},
                format_probability(static_cast<double>(row.after)));
  card_row(theme, "logit z", format_exact(row.logit));
  card_row(theme, "rank", format_count(view.chain->rank_of[static_cast<size_t>(row.id)] + 1) + " of " +
                              format_count(static_cast<int64_t>(view.chain->candidates.size())));
  if (row.before) {
    card_row(theme, "before the edits", format_exact(*row.before));
    card_row(theme, "with them", format_exact(row.after));
    card_row(theme, "ratio", "× " + format_value(static_cast<double>(row.after) / static_cast<double>(*row.before)));
  } else {
    card_row(theme, "exact", format_exact(row.after));
  }
  card_source(theme, "softmax of the logits [V] = [" + format_count(static_cast<int64_t>(view.chain->candidates.size())) + "] at position " +
                         std::to_string(static_cast<int>(view.tokens.size()) - 1) +
                         ", before any sampler setting. A double click continues the text with this token.");
  end_hover_card(theme);
}

// The token is taken after what is shown, unless the document has moved on since.
void continue_with(FrameContext& context, const Row& row) {
  const Document& document = context.document();
  if (document.runs.empty() || document.shown_tokens() != context.view().tokens) return;
  context.run(cmd::Branch{document.run().cursor, row.id, row.after});
}

// The widths that all rows share.
struct Columns {
  float before = 0, arrow = 0, after = 0;  // widths; `before` is 0 without edits
  bool stacked = false;                    // in a narrow panel the numbers stand under the token
  float line = 0;                          // height of a line of text
};

// `way_in`: Tab leads to this row, the arrows from there to the others.
void draw_row(FrameContext& context, const Row& row, const Columns& columns, ImVec2 min, ImVec2 size, bool way_in) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const std::string text = token_text(theme, context.model()->tokenizer(), row.id);
  ImGui::PushID(row.id);
  ImGui::SetCursorScreenPos(min);
  if (!way_in) begin_list_items();
  press_area("row", size);
  if (!way_in) end_list_items();
  const bool hovered = ImGui::IsItemHovered();
  const bool focused = item_focused();
  if (hovered && ImGui::IsMouseDoubleClicked(ImGuiMouseButton_Left)) continue_with(context, row);
  if (focused && ImGui::IsKeyPressed(ImGuiKey_Enter, false)) continue_with(context, row);
  if (begin_value_menu(context, "menu", format_exact(row.after))) {
    ImGui::Separator();
    if (ImGui::MenuItem(("Continue with " + text).c_str())) continue_with(context, row);
    end_value_menu();
  }
  const bool lit = hovered || focused || context.hovered.token == row.id;
  if (lit) draw->AddRectFilled({min.x - theme.px(6), min.y}, {min.x + size.x + theme.px(6), min.y + size.y}, focused ? theme.selected : theme.hover, theme.px(4));
  const float top_line = min.y + theme.px(3), line = columns.stacked ? top_line + columns.line : top_line, right = min.x + size.x;
  const std::string after = format_probability(static_cast<double>(row.after));
  const ImU32 changed = row.before ? theme.warn : theme.logits;
  draw_text(draw, theme.mono, {right - text_size(theme.mono, after).x, line}, changed, after);
  float numbers = columns.after;
  if (row.before) {
    const std::string before = format_probability(static_cast<double>(*row.before));
    const float arrow = right - columns.after - columns.arrow;
    draw_text(draw, theme.mono, {arrow + (columns.arrow - text_size(theme.mono, "→").x) / 2, line}, theme.dim, "→");
    draw_text(draw, theme.mono, {arrow - text_size(theme.mono, before).x, line}, theme.logits, before);
    numbers += columns.arrow + columns.before;
  }
  draw_visible_text(draw, theme.mono, {min.x, top_line}, theme.text, fit_text(theme.mono, text, columns.stacked ? size.x : size.x - numbers - theme.px(10)));
  const float bar = theme.px(7), top = line + theme.px(21);
  const auto moved = [&](const char* name, float value) {
    return context.motion.value(ImGui::GetID(name), value);
  };
  if (row.before) {
    draw_bar(draw, theme, {min.x, top}, {size.x, bar}, moved("before", *row.before), theme.logits);
    draw_bar(draw, theme, {min.x, top + bar + theme.px(2)}, {size.x, bar}, moved("after", row.after), theme.warn, true);
  } else {
    draw_bar(draw, theme, {min.x, top}, {size.x, bar}, moved("after", row.after), theme.logits);
  }
  ImGui::PopID();
  if (!hovered) return;
  context.hover.token = row.id;
  if (!ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_row_card(context, row, text);
}

// One chip for each edit: click removes it, its menu disables it. Returns the height used.
float draw_edits(FrameContext& context, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const std::vector<Edit>& edits = context.document().edits;
  const float height = theme.px(24), gap = theme.px(6);
  float x = min.x, y = min.y;
  int removed = -1, switched = -1;
  for (size_t i = 0; i < edits.size(); ++i) {
    const std::string label = fit_text(theme.mono, edit_label(edits[i]), width - theme.px(40));
    const float chip = text_size(theme.mono, label).x + theme.px(32);
    if (x > min.x && x + chip > min.x + width) x = min.x, y += height + gap;
    const ImVec2 from(x, y), to(x + chip, y + height);
    ImGui::SetCursorScreenPos(from);
    ImGui::PushID(static_cast<int>(i));
    if (press_area("edit", {chip, height})) removed = static_cast<int>(i);
    const bool hovered = ImGui::IsItemHovered();
    draw_focus(theme, from, to);
    if (begin_value_menu(context, "edit menu", to_json(edits[i]).dump())) {
      ImGui::Separator();
      if (ImGui::MenuItem(edits[i].enabled ? "Leave it out for now" : "Apply it again")) switched = static_cast<int>(i);
      if (ImGui::MenuItem("Remove it")) removed = static_cast<int>(i);
      if (ImGui::MenuItem("Remove all edits")) removed = -2;
      end_value_menu();
    }
    ImGui::PopID();
    draw->AddRectFilled(from, to, hovered ? theme.hover : theme.raised, theme.px(Theme::kChipRounding));
    draw->AddRect(from, to, edits[i].enabled ? theme.warn : theme.line, theme.px(Theme::kChipRounding), 0, theme.hairline());
    const float middle = (from.y + to.y) / 2, label_width = text_size(theme.mono, label).x;
    draw_text(draw, theme.mono, {from.x + theme.px(8), middle - text_height(theme.mono) / 2}, edits[i].enabled ? theme.text : theme.faint, label);
    if (!edits[i].enabled)
      draw->AddLine({from.x + theme.px(8), std::round(middle)}, {from.x + theme.px(8) + label_width, std::round(middle)}, theme.faint, theme.hairline());
    const ImVec2 cross(to.x - theme.px(13), middle);
    const float reach = theme.px(3.5f);
    const ImU32 colour = hovered ? theme.text : theme.dim;
    draw->AddLine({cross.x - reach, cross.y - reach}, {cross.x + reach, cross.y + reach}, colour, std::max(1.0f, theme.scale));
    draw->AddLine({cross.x - reach, cross.y + reach}, {cross.x + reach, cross.y - reach}, colour, std::max(1.0f, theme.scale));
    if (hovered && !ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) {
      begin_hover_card(theme);
      card_value(theme, edit_label(edits[i]), edits[i].enabled ? "" : "left out", theme.dim);
      card_line(theme, to_json(edits[i]).dump().substr(0, 160));
      card_source(theme, std::string(tap_info(edits[i].tap).definition) + " A click removes the edit; the right button leaves it out for now.");
      end_hover_card(theme);
    }
    x += chip + gap;
  }
  if (removed >= 0) context.run(cmd::RemoveEdit{removed});
  else if (removed == -2) context.run(cmd::ClearEdits{});
  else if (switched >= 0) context.run(cmd::EnableEdit{switched, !edits[static_cast<size_t>(switched)].enabled});
  return edits.empty() ? 0 : y + height + theme.px(8) - min.y;
}

// "without the edit ■   with it □"
void draw_legend(const FrameContext& context, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float side = theme.px(9);
  float x = min.x;
  const auto item = [&](std::string_view text, ImU32 colour, bool outline) {
    draw_text(draw, theme.small, {x, min.y}, theme.dim, text);
    x += text_size(theme.small, text).x + theme.px(6);
    const ImVec2 from(x, min.y + theme.px(4)), to(x + side, min.y + theme.px(4) + side);
    if (outline) draw->AddRect(from, to, colour, theme.px(2), 0, theme.hairline());
    else draw->AddRectFilled(from, to, colour, theme.px(2));
    x += side + theme.px(16);
  };
  item("before", theme.logits, false);
  if (x - min.x < width) item("with the edits", theme.warn, true);
}

void draw_foot(FrameContext& context, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  const View& view = context.view();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  ImGui::SetCursorScreenPos(min);
  press_area("entropy", {std::max(1.0f, width), theme.px(18)});
  const bool hovered = ImGui::IsItemHovered();
  draw_focus(theme, min, {min.x + width, min.y + theme.px(18)});
  const std::string copied = format_exact(static_cast<float>(view.change ? view.change->kl_nats : view.chain->entropy_model_bits));
  if (begin_value_menu(context, "entropy menu", copied)) end_value_menu();
  struct Part {
    bool number;
    std::string text;
  };
  std::vector<Part> parts = {{false, "entropy "}};
  if (view.change) {
    parts.push_back({true, format_fixed(view.change->entropy_before_bits, 2) + " → " + format_fixed(view.change->entropy_after_bits, 2)});
    parts.push_back({false, " bit · KL "});
    parts.push_back({true, format_value(view.change->kl_nats, 2)});
    parts.push_back({false, " nat"});
  } else {
    parts.push_back({true, format_fixed(view.chain->entropy_model_bits, 2)});
    parts.push_back({false, " bit"});
  }
  // A size smaller where the line would not fit.
  const auto total = [&](const TextStyle& words, const TextStyle& numbers) {
    float sum = 0;
    for (const Part& part : parts) sum += text_size(part.number ? numbers : words, part.text).x;
    return sum;
  };
  const bool fits = total(theme.body, theme.mono) <= width;
  const TextStyle &words = fits ? theme.body : theme.small, &numbers = fits ? theme.mono : theme.mono_small;
  float x = min.x;
  for (const Part& part : parts) {
    const TextStyle& style = part.number ? numbers : words;
    draw_text(draw, style, {x, min.y + theme.px(9) - text_height(style) / 2}, part.number ? theme.text : theme.dim,
              fit_text(style, part.text, std::max(0.0f, min.x + width - x)));
    x += text_size(style, part.text).x;
  }
  const std::string all = format_count(static_cast<int64_t>(view.chain->candidates.size())) + " in all";
  const float all_width = text_size(theme.small, all).x;
  if (x + theme.px(16) + all_width <= min.x + width)
    draw_text(draw, theme.small, {min.x + width - all_width, min.y + theme.px(9) - text_height(theme.small) / 2}, theme.dim, all);
  if (!hovered || ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) return;
  begin_hover_card(theme);
  card_line(theme, "H = -Σ p log2 p");
  if (view.change) {
    card_row(theme, "before", format_value(view.change->entropy_before_bits, 7) + " bit");
    card_row(theme, "with the edits", format_value(view.change->entropy_after_bits, 7) + " bit");
    card_line(theme, "KL = Σ p_before ln(p_before / p_after)");
    card_row(theme, "KL", format_value(view.change->kl_nats, 7) + " nat");
  } else {
    card_row(theme, "H", format_value(view.chain->entropy_model_bits, 7) + " bit");
    card_row(theme, "as if", format_value(std::exp2(view.chain->entropy_model_bits)) + " equal choices");
  }
  card_source(theme, "Over all " + format_count(static_cast<int64_t>(view.chain->candidates.size())) + " tokens of the vocabulary.");
  end_hover_card(theme);
}

void draw_list(FrameContext& context, const PanelBody& body, const Rows& rows) {
  const Theme& theme = context.theme;
  float y = body.min.y + draw_edits(context, body.min, body.size.x);
  if (rows.change) {
    draw_legend(context, {body.min.x, y}, body.size.x);
    y += theme.px(24);
  }
  const float foot = theme.px(26);
  const float height = std::max(theme.px(40), body.min.y + body.size.y - foot - y);
  Columns columns;
  columns.after = text_size(theme.mono, "0.0000").x;
  if (rows.change) columns.before = columns.after, columns.arrow = theme.px(28);
  const float bleed = theme.px(6);  // of the lit row beyond its text
  ImGui::SetCursorScreenPos({body.min.x - bleed, y});
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::PushStyleVar(ImGuiStyleVar_ItemSpacing, ImVec2(0, 0));
  const float text_line = std::ceil(text_height(theme.mono));
  const float narrow = body.size.x - theme.px(10) - columns.after - columns.arrow - columns.before;
  columns.line = text_line, columns.stacked = narrow < theme.px(76);
  const float row_height = (rows.change ? theme.px(46) : theme.px(37)) + (columns.stacked ? text_line : 0);
  // Whole rows, so that none is cut at the lower edge.
  ImGui::BeginChild("rows", {body.size.x + bleed + theme.px(8), std::max(1.0f, std::floor(height / row_height)) * row_height}, ImGuiChildFlags_NavFlattened);
  // Of another text the likeliest tokens come first into sight, and not the ranks that one had scrolled to.
  WindowState state;
  if (const auto text = static_cast<int>(hash_ids(context.view().tokens)); state.get("text") != text) state.set("text", text), ImGui::SetScrollY(0);
  const float width = ImGui::GetContentRegionAvail().x - bleed - theme.px(8);
  const int first = static_cast<int>(std::ceil(ImGui::GetScrollY() / row_height - 0.01f));
  ImGuiListClipper clipper;
  clipper.Begin(rows.count(), row_height);
  while (clipper.Step()) {
    for (int i = clipper.DisplayStart; i < clipper.DisplayEnd; ++i) {
      const ImVec2 at = ImGui::GetCursorScreenPos();
      draw_row(context, rows.at(i), columns, {at.x + bleed, at.y}, {width, row_height - theme.px(2)}, i == first);
      ImGui::SetCursorScreenPos({at.x, at.y + row_height});
    }
  }
  ImGui::Dummy({1, 0});
  ImGui::EndChild();
  ImGui::PopStyleVar(2);
  draw_foot(context, {body.min.x, body.min.y + body.size.y - theme.px(17)}, body.size.x);
}

void needs_next_token(const Document&, const ModelConfig&, Needs& needs) { needs.chain = needs.change = true; }

void draw_next_token(FrameContext& context) {
  static const std::array<std::string, 2> kOrders = {"before", "after"};
  PanelHeader header(context, "Next token");
  const View& view = context.view();
  const Rows base{view.chain.get(), view.change.get(), false};
  WindowState state;
  if (view.change) {
    const int order = header.dropdown("order", "", state.get("order"), kOrders, "the list by the probabilities before the edits or with them");
    if (order >= 0) state.set("order", order);
  }
  header.end();
  PanelBody body(context, true);
  if (!context.model()) {
    draw_waiting(context.theme, "no model yet");
  } else if (!view.chain || view.tokens.empty()) {
    draw_waiting(context.theme, view.tokens.empty() ? "type a prompt" : "computing");
  } else {
    Rows rows = base;
    rows.by_before = view.change && state.get("order") == 0;
    draw_list(context, body, rows);
  }
}

nlohmann::json next_token_figure(const FrameContext& context) {
  const View& view = context.view();
  if (!view.chain || !context.model()) return nullptr;
  return figure_next(*view.chain, &context.model()->tokenizer(), kFigureRows, view.change.get());
}

}  // namespace

const Panel kNextTokenPanel = {
    "next_token",
    "Next token",
    "The model's distribution of the token after the last one, before any sampler setting. When something is edited, "
    "each row shows the probability before and with the edits; the chips name them, and a click on a chip takes it "
    "back. A double click on a token continues the text with it.",
    3,
    needs_next_token,
    draw_next_token,
    next_token_figure,
};

}  // namespace glassbox
