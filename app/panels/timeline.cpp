#include "app/panels/timeline.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/widgets.h"
#include "core/text/tokenizer.h"

namespace glassbox {

namespace {

// The menu of the timeline: the ways that go on from a node.
void draw_ways(FrameContext& context, const Run& run, int node) {
  if (!ImGui::BeginPopupContextItem("ways")) return;
  const Model* model = context.model();
  for (const int way : run.children(node)) {
    const RunNode& next = run.nodes[static_cast<size_t>(way)];
    ImGui::PushID(way);
    const std::string text = model ? token_text(context.theme, model->tokenizer(), next.token) : "";
    const bool chosen = ImGui::MenuItem(text.c_str(), format_probability(next.prob).c_str(), run.on_path(way, run.leaf));
    ImGui::PopID();
    if (!chosen) continue;
    context.run(cmd::MoveCursor{way});
    break;  // the run is another one now
  }
  ImGui::EndPopup();
}

}  // namespace

bool has_timeline(const Document& document) {
  return !document.runs.empty() && (document.run().nodes.size() > 1 || document.runs.size() > 1);
}

float timeline_height(const Theme& theme) { return theme.px(26); }

void draw_timeline(FrameContext& context, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  const Document& document = context.document();
  const Run& run = document.run();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float middle = min.y + theme.px(16);
  float right = min.x + width;

  // Older runs, at the right end.
  if (document.runs.size() > 1) {
    const std::string label = format_count(static_cast<int64_t>(document.runs.size())) + " runs";
    right -= dropdown_width(theme, label);
    ImGui::SetCursorScreenPos({right, middle - theme.px(11)});
    ImGui::PushID("runs");
    if (begin_dropdown(theme, label.c_str(), {.height = theme.px(22)})) {
      for (int i = static_cast<int>(document.runs.size()) - 1; i >= 0; --i) {
        const Run& other = document.runs[static_cast<size_t>(i)];
        std::string text = other.text.substr(0, other.text.find('\n'));
        text = fit_text(theme.body, text.empty() ? "(empty)" : text, theme.px(360));
        ImGui::PushID(i);
        if (ImGui::MenuItem(text.c_str(), (format_count(static_cast<int64_t>(other.nodes.size()) - 1) + " generated").c_str(),
                            i + 1 == static_cast<int>(document.runs.size())))
          context.run(cmd::ShowRun{i});
        ImGui::PopID();
      }
      end_dropdown();
    }
    ImGui::PopID();
    right -= theme.px(14);
  }
  if (run.nodes.size() <= 1) return;

  const std::vector<int> path = run.path(run.leaf);
  const int steps = static_cast<int>(path.size()) - 1;
  const std::string place = format_count(run.depth(run.cursor)) + " of " + format_count(steps) + " tokens";
  const float label = text_size(theme.small, place).x;
  right -= label;
  draw_text(draw, theme.small, {right, middle - theme.small.size * 0.5f}, theme.dim, place);
  right -= theme.px(14);

  const float left = min.x + theme.px(6);
  const float pitch = std::clamp((right - left - theme.px(8)) / static_cast<float>(std::max(steps, 1)), 1.0f, theme.px(22));
  const float radius = std::clamp(pitch * 0.3f, theme.px(1.5f), theme.px(4));
  const float end = left + pitch * static_cast<float>(steps);
  draw->AddRectFilled({left, middle - theme.hairline() / 2}, {end, middle + theme.hairline() / 2}, theme.line);
  const uint64_t settings = hash_sampler(document.sampler);
  const Tokenizer* tokenizer = context.model() ? &context.model()->tokenizer() : nullptr;
  std::vector<int> offspring(run.nodes.size(), 0);
  for (size_t i = 1; i < run.nodes.size(); ++i) ++offspring[static_cast<size_t>(run.nodes[i].parent)];

  // One item for the whole line: it is dragged like a slider.
  ImGui::SetCursorScreenPos({left - theme.px(6), min.y + theme.px(4)});
  press_area("timeline", {std::max(1.0f, end - left + theme.px(12)), theme.px(22)});
  draw_focus(theme, ImGui::GetItemRectMin(), ImGui::GetItemRectMax());
  const bool dragged = ImGui::IsItemActive() && ImGui::IsMouseDown(ImGuiMouseButton_Left);
  int under = -1;
  if (pointer_on_item() || dragged)
    under = std::clamp(static_cast<int>(std::lround((ImGui::GetIO().MousePos.x - left) / pitch)), 0, steps);
  const CellPick pick = pick_column(steps + 1, under, run.depth(run.cursor));
  const bool explained = pick.shown.has_value();
  if (explained) under = pick.shown->column;
  if ((dragged || pick.moved) && path[static_cast<size_t>(under)] != run.cursor) context.run(cmd::MoveCursor{path[static_cast<size_t>(under)]});
  const float under_x = left + pitch * static_cast<float>(under);
  stand_at(pick, {under_x - radius, middle - radius}, {under_x + radius, middle + radius});
  draw_ways(context, context.document().run(), path[static_cast<size_t>(pick.asked.column)]);
  const Run& now = context.document().run();
  const int reached = now.depth(now.cursor);
  for (int i = 0; i <= steps; ++i) {
    const int index = path[static_cast<size_t>(i)];
    const RunNode& node = now.nodes[static_cast<size_t>(index)];
    const ImVec2 centre(left + pitch * static_cast<float>(i), middle);
    const bool current = index == now.cursor, past = i <= reached;
    const ImU32 colour = current ? theme.accent : past ? theme.text : theme.faint;
    const bool other_settings = i > 0 && !node.by_hand && node.sampler_hash != settings;
    if (i == 0) {
      draw->AddRectFilled({centre.x - theme.hairline(), middle - theme.px(6)}, {centre.x + theme.hairline(), middle + theme.px(6)}, colour);
    } else if (node.by_hand) {
      draw->AddRectFilled({centre.x - radius, middle - radius}, {centre.x + radius, middle + radius}, colour);
    } else if (other_settings) {
      draw->AddCircleFilled(centre, radius, theme.surface);
      draw->AddCircle(centre, radius, colour, 0, theme.px(1.5f));
    } else {
      draw->AddCircleFilled(centre, radius, colour);
    }
    if (current) draw->AddCircle(centre, radius + theme.px(3), theme.accent, 0, theme.px(1.5f));
    if (i == under) draw->AddCircle(centre, radius + theme.px(3), theme.ring, 0, theme.hairline());
    if (offspring[static_cast<size_t>(index)] > 1 && i < steps) {
      // A fork: the other ways out of this place, upwards.
      const float up = middle - theme.px(9);
      draw->AddBezierCubic(centre, {centre.x + theme.px(4), middle}, {centre.x + theme.px(3), up}, {centre.x + theme.px(9), up},
                           theme.warn, theme.px(1.5f));
      draw->AddCircleFilled({centre.x + theme.px(10), up}, theme.px(2), theme.warn);
    }
  }
  if (explained && tokenizer && !ImGui::IsPopupOpen("ways")) {
    const int index = path[static_cast<size_t>(under)];
    const RunNode& node = now.nodes[static_cast<size_t>(index)];
    if (under > 0) context.hover.position = static_cast<int>(now.prompt.size()) + under - 1;
    begin_hover_card(theme);
    if (under == 0) card_value(theme, "the end of the prompt", "", theme.text);
    else card_tokens(theme, token_text(theme, *tokenizer, node.token), node.by_hand ? "by hand" : "", node.by_hand ? "" : format_probability(node.prob));
    const std::vector<int> ways = now.children(index);
    for (size_t i = 0; i < ways.size() && ways.size() > 1 && i < 6; ++i) {
      const RunNode& way = now.nodes[static_cast<size_t>(ways[i])];
      card_row(theme, i == 0 ? "goes on with" : "", token_text(theme, *tokenizer, way.token) + (now.on_path(ways[i], now.leaf) ? "  (shown)" : ""));
    }
    if (!node.by_hand && under > 0 && node.sampler_hash != settings) card_source(theme, "drawn under other sampler settings");
    card_source(theme, ways.size() > 1 ? "Click or drag to go there. Right-click to take another way." : "Click or drag to go there.");
    end_hover_card(theme);
  }
}

}  // namespace glassbox
