// All tokens by rank, both axes logarithmic: the model's own distribution, the one at T, and the cut as a line to drag.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage6_shared.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

constexpr int kLowestDecade = -10;  // of the probability axis; what is less lies on its lower edge

// The sum of the probabilities at T of the first `rows` candidates.
double heated_mass(const ChainResult& chain, int rows) {
  double sum = 0;
  for (int i = 0; i < rows; ++i) sum += static_cast<double>(chain.candidates[static_cast<size_t>(i)].prob_heated);
  return sum;
}

struct Plot {
  ImVec2 min, max;
  double ranks;  // log10 of the last rank
  float x(double rank) const {
    return min.x + (max.x - min.x) * static_cast<float>(std::log10(std::max(rank, 1.0)) / ranks);
  }
  double rank_at(float at) const { return std::pow(10.0, static_cast<double>((at - min.x) / (max.x - min.x)) * ranks); }
  float y(double p) const {
    const double decade = p > 0 ? std::max(std::log10(p), static_cast<double>(kLowestDecade)) : kLowestDecade;
    return min.y + (max.y - min.y) * static_cast<float>(decade / kLowestDecade);
  }
};

// The ranks at which the curves have a point: every one while they are farther apart than a pixel, then one a pixel.
std::vector<int> plotted_ranks(const Plot& plot, int count) {
  std::vector<int> ranks;
  float last = -10;
  for (int rank = 1; rank <= count;) {
    const float x = plot.x(rank);
    if (x - last >= 1 || rank == count) ranks.push_back(rank), last = x;
    rank = std::max(rank + 1, static_cast<int>(plot.rank_at(last + 1)));
  }
  if (ranks.empty() || ranks.back() != count) ranks.push_back(count);
  return ranks;
}

void draw_axes(ImDrawList* draw, const Theme& theme, const Plot& plot, int count) {
  for (int decade = 0; decade >= kLowestDecade; decade -= 2) {
    const float y = std::round(plot.y(std::pow(10.0, decade)));
    draw->AddRectFilled({plot.min.x, y}, {plot.max.x, y + theme.hairline()}, with_alpha(theme.line, 0.8f));
    const std::string text = decade == 0 ? "1" : "1e" + std::to_string(decade);
    const ImVec2 extent = text_size(theme.mono, text);
    draw_text(draw, theme.mono, {plot.min.x - theme.px(8) - extent.x, y - text_height(theme.mono) / 2}, theme.dim, text);
  }
  float taken = -1e9f;
  const auto tick = [&](int rank, bool must) {
    const std::string text = format_count(rank);
    const float width = text_size(theme.mono, text).x, x = plot.x(rank);
    const float left = std::min(x - width / 2, plot.max.x - width);
    if (!must && (left < taken + theme.px(10) || left + width > plot.x(count) - text_size(theme.mono, format_count(count)).x - theme.px(14))) return;
    draw->AddRectFilled({std::round(x), plot.max.y}, {std::round(x) + theme.hairline(), plot.max.y + theme.px(4)}, theme.line);
    draw_text(draw, theme.mono, {left, plot.max.y + theme.px(6)}, theme.dim, text);
    taken = left + width;
  };
  for (int rank = 1; rank < count; rank *= 10) tick(rank, rank == 1);
  tick(count, true);
  const float middle = (plot.min.x + plot.max.x) / 2;
  draw_text(draw, theme.small, {middle - text_size(theme.small, "rank →").x / 2, plot.max.y + theme.px(22)}, theme.dim, "rank →");
}

void draw_curve(ImDrawList* draw, const Plot& plot, const std::vector<int>& ranks, const ChainResult& chain, float Candidate::* value, ImU32 colour, float width) {
  std::vector<ImVec2> points;
  points.reserve(ranks.size());
  for (const int rank : ranks) {
    const float p = chain.candidates[static_cast<size_t>(rank) - 1].*value;
    const ImVec2 point(plot.x(rank), plot.y(static_cast<double>(p)));
    points.push_back(point);
    // Past the lower edge the curve is off the axis.
    if (static_cast<double>(p) < std::pow(10.0, kLowestDecade)) break;
  }
  draw->AddPolyline(points.data(), static_cast<int>(points.size()), colour, 0, width);
}

// "entropy 2.14 → 8.76 → 1.48 bit" in the upper right corner; the x where it begins.
float draw_entropies(FrameContext& context, ImDrawList* draw, const Plot& plot) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const double own = chain.entropy_model_bits, last = chain.stages[chain.stages.size() - 2].entropy_bits;
  const double heated = chain.stages[static_cast<size_t>(stage_index(chain, SamplerStage::temperature))].entropy_bits;
  const std::string numbers = format_fixed(own, 2) + " → " + format_fixed(heated, 2) + " → " + format_fixed(last, 2);
  const float words = text_size(theme.body, "entropy ").x, digits = text_size(theme.mono, numbers).x;
  const float total = words + digits + text_size(theme.body, " bit").x;
  const ImVec2 at(plot.max.x - total - theme.px(10), plot.min.y + theme.px(8));
  if (at.x < plot.min.x + theme.px(60)) return plot.max.x;
  draw->AddRectFilled({at.x - theme.px(4), at.y}, {at.x + total + theme.px(4), at.y + theme.px(19)}, with_alpha(theme.surface, 0.85f), theme.px(3));
  draw_text(draw, theme.body, at, theme.dim, "entropy ");
  draw_text(draw, theme.mono, {at.x + words, at.y + theme.px(1)}, theme.text, numbers);
  draw_text(draw, theme.body, {at.x + words + digits, at.y}, theme.dim, " bit");
  ImGui::SetCursorScreenPos(at);
  press_area("entropy", {total, theme.px(20)});
  draw_focus(theme, at, {at.x + total, at.y + theme.px(20)});
  const bool hovered = ImGui::IsItemHovered();
  if (begin_value_menu(context, "entropy menu", format_exact(static_cast<float>(last)))) end_value_menu();
  if (!hovered) return at.x;
  begin_hover_card(theme);
  card_line(theme, "H = -Σ p log2 p");
  card_row(theme, "the model's own", format_value(own, 6) + " bit");
  card_row(theme, "after the temperature", format_value(heated, 6) + " bit");
  card_row(theme, "after the whole chain", format_value(last, 6) + " bit");
  card_source(theme, "2 to the power of H is how many equally likely tokens would be as uncertain.");
  end_hover_card(theme);
  return at.x;
}

void draw_rank_card(const FrameContext& context, int rank) {
  const Theme& theme = context.theme;
  const Candidate& candidate = context.view().chain->candidates[static_cast<size_t>(rank) - 1];
  begin_hover_card(theme);
  card_tokens(theme, token_of(context, candidate.id), "rank", format_count(rank), theme.text, theme.dim);
  card_row(theme, "before", format_probability(static_cast<double>(candidate.prob_model)));
  card_row(theme, "at T", format_probability(static_cast<double>(candidate.prob_heated)));
  card_row(theme, "Σ at T up to here", format_value(heated_mass(*context.view().chain, rank), 5));
  card_row(theme, "after the chain", format_probability(static_cast<double>(candidate.prob)));
  card_source(theme, "before: softmax of the logits; at T: of the penalised logits divided by T. Ranks are by penalised logit.");
  end_hover_card(theme);
}

// The line of the cut: dragging it sets top-p. `taken`: where something else begins in the first line of the plot.
void draw_cut(FrameContext& context, ImDrawList* draw, const Plot& plot, float taken, WindowState& state) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const int count = static_cast<int>(chain.candidates.size());
  const int kept = chain.stages[chain.stages.size() - 2].kept;
  const bool was_held = state.get("held") != 0;
  const int shown = was_held ? state.get("rows", kept) : kept;
  const float x = std::round(shown >= count ? plot.max.x : plot.x(shown + 0.5)), reach = theme.px(8);
  ImGui::SetCursorScreenPos({x - reach, plot.min.y});
  press_area("cut", {2 * reach, plot.max.y - plot.min.y});
  const bool hovered = ImGui::IsItemHovered(), held = ImGui::IsItemActive(), focused = item_focused();
  if (hovered || held) ImGui::SetMouseCursor(ImGuiMouseCursor_ResizeEW);
  int target = -1;
  if (held && ImGui::IsMouseDragging(ImGuiMouseButton_Left, 2))
    target = static_cast<int>(std::round(plot.rank_at(ImGui::GetIO().MousePos.x) - 0.5));
  else if (focused && ImGui::IsKeyPressed(ImGuiKey_RightArrow)) target = kept + 1;
  else if (focused && ImGui::IsKeyPressed(ImGuiKey_LeftArrow)) target = kept - 1;
  if (focused) keep_keys({ImGuiKey_LeftArrow, ImGuiKey_RightArrow});
  if (target >= 0) {
    target = std::clamp(target, 1, count);
    const std::shared_ptr<const StageInput> input = stage_input(context, SamplerStage::top_p);
    const SamplerSettings next = with_cut(*input, context.document().sampler, SamplerStage::top_p, target);
    if (!(next == context.document().sampler)) context.run(cmd::SetSampler{next});
    state.set("rows", target);
  }
  state.set("held", held && (target >= 0 || was_held));

  const ImU32 colour = theme.warn;
  draw->AddRectFilled({x - theme.px(1), plot.min.y}, {x - theme.px(1) + std::max(theme.px(2), 1.0f), plot.max.y}, with_alpha(colour, hovered || held || focused ? 1.0f : 0.9f));
  const float middle = std::round((plot.min.y + plot.max.y) / 2), grip = theme.px(14);
  draw->AddRectFilled({x - theme.px(5), middle - grip}, {x + theme.px(5), middle + grip}, colour, theme.px(3));
  if (focused) draw->AddRect({x - theme.px(7), middle - grip - theme.px(2)}, {x + theme.px(7), middle + grip + theme.px(2)}, theme.accent, theme.px(4), 0, theme.px(2));
  uint64_t version = mix_version(context.view().id, hash_sampler(chain.settings));
  version = mix_version(mix_version(version, reinterpret_cast<uintptr_t>(&chain)), static_cast<uint64_t>(shown));
  const double mass = *context.memo.get<double>("stage 6 heated mass", version, [&] { return heated_mass(chain, std::max(shown, 1)); });
  std::string text = "drag: " + format_count(shown) + (shown == 1 ? " token holds " : " tokens hold ") +
                     format_value(100 * mass, 3) + " %";
  if (was_held && shown > kept) text += ", of which the other rules keep " + format_count(kept);
  const float width = text_size(theme.body, text).x;
  const float line = plot.min.y + theme.px(x + theme.px(22) + width > taken ? 30 : 8);
  const bool right = x + theme.px(14) + width < plot.max.x;
  const ImVec2 at(right ? x + theme.px(14) : std::max(plot.min.x + theme.px(4), x - theme.px(14) - width), line);
  draw->AddRectFilled({at.x - theme.px(4), at.y}, {at.x + width + theme.px(4), at.y + theme.px(19)}, with_alpha(theme.surface, 0.85f), theme.px(3));
  draw_text(draw, theme.body, at, colour, text);
  if (hovered && !held) {
    const SamplerSettings& s = chain.settings;
    tooltip(theme, std::string("The tokens left of the line are kept. Dragging it sets top-p, now ") + (s.top_p >= 1 ? "off" : format_exact(s.top_p)) + ".");
  }
}

void draw_plot(FrameContext& context, const PanelBody& body) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const int count = static_cast<int>(chain.candidates.size());
  const float left = text_size(theme.mono, "1e-10").x + theme.px(26);
  const Plot plot{{body.min.x + left, body.min.y + theme.px(4)},
                  {body.min.x + body.size.x - theme.px(6), body.min.y + body.size.y - theme.px(38)},
                  std::max(std::log10(static_cast<double>(std::max(count, 2))), 0.3)};
  if (plot.max.x - plot.min.x < theme.px(60) || plot.max.y - plot.min.y < theme.px(40)) return;
  ImDrawList* draw = body.draw;
  WindowState state;

  // The figure itself, under the line.
  ImGui::SetCursorScreenPos(plot.min);
  ImGui::SetNextItemAllowOverlap();
  press_area("plot", {plot.max.x - plot.min.x, plot.max.y - plot.min.y});
  draw_focus(theme, plot.min, plot.max);
  const int pointed = pointer_on_item() ? std::clamp(static_cast<int>(std::round(plot.rank_at(ImGui::GetIO().MousePos.x))), 1, count) : 0;
  const CellPick pick = pick_column(count, pointed - 1);
  const int under = pick.shown ? pick.shown->column + 1 : 0;  // a rank; 0: none
  stand_at(pick, {plot.x(under), plot.min.y}, {plot.x(under) + 1, plot.max.y});
  if (begin_value_menu(context, "menu", format_exact(chain.candidates[static_cast<size_t>(pick.asked.column)].prob_heated))) end_value_menu();

  const int kept = chain.stages[chain.stages.size() - 2].kept;
  const float edge = kept >= count ? plot.max.x : plot.x(kept + 0.5);
  draw->AddRectFilled(plot.min, {edge, plot.max.y}, with_alpha(theme.logits, 0.10f));
  draw_axes(draw, theme, plot, count);
  const std::vector<int> ranks = plotted_ranks(plot, count);
  draw->PushClipRect({plot.min.x - theme.px(2), plot.min.y - theme.px(2)}, {plot.max.x + theme.px(2), plot.max.y + theme.px(1)}, true);
  draw_curve(draw, plot, ranks, chain, &Candidate::prob_model, theme.dim, std::max(theme.px(1.25f), 1.0f));
  draw_curve(draw, plot, ranks, chain, &Candidate::prob_heated, theme.logits, std::max(theme.px(2), 1.5f));
  draw->PopClipRect();
  const float half = text_size(theme.small, "probability →").x / 2;
  draw_turned_text(draw, theme.small, {body.min.x + theme.px(6), (plot.min.y + plot.max.y) / 2 + half}, theme.dim, "probability →", 90);
  const float entropies = draw_entropies(context, draw, plot);

  int lit = under;
  if (lit < 1 && context.hovered.token >= 0 && static_cast<size_t>(context.hovered.token) < chain.rank_of.size())
    lit = chain.rank_of[static_cast<size_t>(context.hovered.token)] + 1;
  if (lit > 0) {
    const Candidate& candidate = chain.candidates[static_cast<size_t>(lit) - 1];
    const float x = std::round(plot.x(lit));
    draw->AddRectFilled({x, plot.min.y}, {x + theme.hairline(), plot.max.y}, with_alpha(theme.text, 0.35f));
    draw->AddCircleFilled({x, plot.y(static_cast<double>(candidate.prob_model))}, theme.px(3), theme.dim);
    draw->AddCircleFilled({x, plot.y(static_cast<double>(candidate.prob_heated))}, theme.px(4), theme.logits);
  }
  if (under > 0) {
    context.hover.token = chain.candidates[static_cast<size_t>(under) - 1].id;
    if (!ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_rank_card(context, under);
  }
  draw_cut(context, draw, plot, entropies, state);
}

// "before ─  at T ━" at the right end of the header.
void draw_legend(FrameContext& context, PanelHeader& header) {
  const Theme& theme = context.theme;
  const float sample = theme.px(14), gap = theme.px(5);
  const float width = text_size(theme.body, "before").x + text_size(theme.body, "at T").x + 2 * (sample + gap) + theme.px(14);
  if (!header.place(width)) return;
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const ImVec2 at = ImGui::GetCursorScreenPos();
  const float text = at.y + theme.px(3), middle = std::round(at.y + theme.px(12));
  float x = at.x;
  const auto item = [&](std::string_view name, ImU32 colour, float line) {
    draw_text(draw, theme.body, {x, text}, theme.dim, name);
    x += text_size(theme.body, name).x + gap;
    draw->AddRectFilled({x, middle - line / 2}, {x + sample, middle + line / 2}, colour);
    x += sample + theme.px(14);
  };
  item("before", theme.dim, theme.hairline());
  item("at T", theme.logits, std::max(theme.px(3), 2.0f));
}

void needs_rank_plot(const Document&, const ModelConfig&, Needs& needs) { needs.chain = true; }

void draw_rank_plot(FrameContext& context) {
  const std::string title = context.model() ? "All " + format_count(context.model()->config().vocab) + " tokens by rank" : "Tokens by rank";
  PanelHeader header(context, title);
  draw_legend(context, header);
  header.end();
  PanelBody body(context, true);
  const View& view = context.view();
  if (!context.model()) draw_waiting(context.theme, "no model yet");
  else if (!view.chain || view.chain->candidates.empty()) draw_waiting(context.theme, view.tokens.empty() ? "type a prompt" : "computing");
  else draw_plot(context, body);
}

nlohmann::json rank_plot_figure(const FrameContext& context) {
  const View& view = context.view();
  if (!view.chain || !context.model()) return nullptr;
  return figure_next(*view.chain, &context.model()->tokenizer(), -1);
}

}  // namespace

const Panel kRankPlotPanel = {
    "rank_plot",
    "All tokens by rank",
    "The probability of every token of the vocabulary against its rank, both axes logarithmic: the thin line is the "
    "model's own distribution, the thick one the distribution at the temperature. What lies left of the vertical line "
    "is kept by the whole chain; drag the line to set top-p.",
    6,
    needs_rank_plot,
    draw_rank_plot,
    rank_plot_figure,
};

}  // namespace glassbox
