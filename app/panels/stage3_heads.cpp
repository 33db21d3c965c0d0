// All heads of the model as thumbnails of their patterns: one texture, one small item a head.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage3_shared.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"
#include "core/run/pooling.h"
#include "kernels/lanes.h"
#include "kernels/pattern_summary.h"

namespace glassbox {

namespace {

constexpr std::array<Badge, 4> kBadges = {Badge::previous, Badge::induction, Badge::name_mover, Badge::suppressor};
// Pixels, the gap included. The smallest is one of the screen's: a picture of 14 pixels is read at any scale of the text.
constexpr float kSmallestThumbnail = 14;
constexpr float kGreatestThumbnail = 64;  // at 100 %

std::string_view badge_name(Badge badge) {
  switch (badge) {
    case Badge::previous: return "previous";
    case Badge::induction: return "induction";
    case Badge::name_mover: return "name mover";
    case Badge::suppressor: return "suppressor";
  }
  return "";
}

// Where the thumbnails lie: `cell` includes the gap right of and below each.
struct Grid {
  int layers = 0, heads = 0;
  float gap = 0;
  ImVec2 origin, cell;
  ImVec2 corner(int layer, int head) const {
    return {origin.x + static_cast<float>(head) * cell.x, origin.y + static_cast<float>(layer) * cell.y};
  }
  ImVec2 inner() const { return {cell.x - gap, cell.y - gap}; }
};

using Spans = std::vector<PixelSpan>;

// Paints a thumbnail with a pixel for each of the spans, `pitch` from row to row. Each has the colour of the greatest weight
// that it covers, and none when the mask closes all of them.
void paint_head(const Thumbnails& thumbnails, HeadChoice head, const Spans& down, const Spans& across, const ColourMap& map, ImU32* pixels,
                size_t pitch) {
  const auto side = static_cast<size_t>(thumbnails.side);
  const std::span<const float> weights = std::span(thumbnails.weights).subspan(static_cast<size_t>(head.layer * thumbnails.heads + head.head) * side * side, side * side);
  std::array<float, kPooledKeys> greatest{}, row{};  // greatest: over the rows that one row of pixels covers
  size_t open = 0;                                  // pixels of the row that are not masked; more from row to row
  for (const PixelSpan& covered : down) {
    greatest.fill(0);
    for (int r = covered.begin; r < covered.end; ++r)
      take_greater(weights.subspan(static_cast<size_t>(r) * side, static_cast<size_t>(r) + 1), greatest.data());
    while (open < across.size() && across[open].begin < covered.end) ++open;
    pool_row(std::span(across).first(open), greatest.data(), row.data());
    map.paint(std::span(row).first(open), 0, 1, pixels);
    std::fill(pixels + open, pixels + across.size(), 0u);
    pixels += pitch;
  }
}

uint64_t atlas_version(const FrameContext& context, const Thumbnails& thumbnails) {
  uint64_t hash = context.view().id * 0x9E3779B97F4A7C15u + reinterpret_cast<uintptr_t>(&thumbnails);
  for (const size_t i : {size_t{0}, size_t{64}, size_t{128}, size_t{192}, size_t{255}})
    hash = (hash ^ context.theme.attention_map.entries[i]) * 0x100000001B3u;
  return hash;
}

struct Sampler {  // all thumbnails between two switches of the sampler, so that they are one draw call
  explicit Sampler(ImDrawList* list) : draw(list) {
    const ImGuiPlatformIO& platform = ImGui::GetPlatformIO();
    if (platform.DrawCallback_SetSamplerNearest) draw->AddCallback(platform.DrawCallback_SetSamplerNearest, nullptr);
  }
  ~Sampler() {
    const ImGuiPlatformIO& platform = ImGui::GetPlatformIO();
    if (platform.DrawCallback_SetSamplerLinear) draw->AddCallback(platform.DrawCallback_SetSamplerLinear, nullptr);
  }
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  ImDrawList* draw;
};

void draw_atlas(FrameContext& context, ImDrawList* draw, const Thumbnails& thumbnails, const Grid& grid, int first_layer,
                int last_layer) {
  const ImVec2 inner = grid.inner();
  // A thumbnail has as many pixels as weights, or as pixels on the screen when those are fewer.
  int columns = std::min(thumbnails.side, std::max(1, static_cast<int>(inner.x)));
  int rows = std::min(thumbnails.side, std::max(1, static_cast<int>(inner.y)));
  columns = std::min(columns, TextureCache::kMaxSide / std::max(1, thumbnails.heads));
  rows = std::min(rows, TextureCache::kMaxSide / std::max(1, thumbnails.layers));
  if (rows < 1 || columns < 1) return;
  const int width = columns * thumbnails.heads, height = rows * thumbnails.layers;
  const ImTextureRef texture = context.textures.get(
      "heads.atlas", atlas_version(context, thumbnails), width, height, [&](std::span<ImU32> pixels) {
        const Spans across = pixel_spans(columns, thumbnails.side), down = pixel_spans(rows, thumbnails.side);
        for (int layer = 0; layer < thumbnails.layers; ++layer)
          for (int head = 0; head < thumbnails.heads; ++head)
            paint_head(thumbnails, {layer, head}, down, across, context.theme.attention_map,
                       pixels.data() + static_cast<size_t>(layer * rows * width + head * columns), static_cast<size_t>(width));
      });
  const float u = 1.0f / static_cast<float>(thumbnails.heads), v = 1.0f / static_cast<float>(thumbnails.layers);
  for (int layer = first_layer; layer < last_layer; ++layer)
    for (int head = 0; head < grid.heads; ++head) {
      const ImVec2 min = grid.corner(layer, head);
      draw->AddRectFilled(min, {min.x + inner.x, min.y + inner.y}, context.theme.well);
    }
  const Sampler sampler(draw);
  for (int layer = first_layer; layer < last_layer; ++layer)
    for (int head = 0; head < grid.heads; ++head) {
      const ImVec2 min = grid.corner(layer, head);
      const float x = static_cast<float>(head) * u, y = static_cast<float>(layer) * v;
      draw->AddImage(texture, min, {min.x + inner.x, min.y + inner.y}, {x, y}, {x + u, y + v});
    }
}

void draw_off_mark(ImDrawList* draw, const Theme& theme, ImVec2 min, ImVec2 max) {
  draw->AddRectFilled(min, max, with_alpha(theme.surface, 0.66f));
  draw->PushClipRect(min, max, true);
  const float step = theme.px(5), line = theme.hairline(), reach = max.y - min.y;
  for (float x = min.x - reach; x < max.x; x += step) draw->AddLine({x, max.y}, {x + reach, min.y}, with_alpha(theme.warn, 0.55f), line);
  draw->PopClipRect();
  draw->AddRect(min, max, theme.warn, 0, 0, line);
}

// A ring with a stroke at its top: the sign of a switch.
void draw_power_sign(ImDrawList* draw, const Theme& theme, ImVec2 centre, float radius, ImU32 colour) {
  draw->PathArcTo(centre, radius, -0.9f, 4.04f, 16);
  draw->PathStroke(colour, 0, std::max(1.0f, theme.scale * 1.2f));
  draw->AddLine({centre.x, centre.y - radius * 1.25f}, {centre.x, centre.y - radius * 0.1f}, colour,
                std::max(1.0f, theme.scale * 1.2f));
}

void draw_badges(ImDrawList* draw, const Theme& theme, const std::vector<Badge>& badges, ImVec2 min, ImVec2 inner) {
  const float side = std::min(theme.px(13), std::max(11.0f, inner.y * 0.62f));
  float right = min.x + inner.x;
  for (const Badge badge : badges) {
    if (right - side < min.x) break;
    const ImVec2 from(right - side, min.y), to(right, min.y + side);
    draw->AddRectFilled(from, to, theme.raised, theme.px(2));
    draw->AddRect(from, to, theme.line, theme.px(2), 0, theme.hairline());
    TextStyle style = theme.small_bold;
    style.size = std::min(theme.small_bold.size * 11 / 13, side);
    const std::string letter(1, badge_letter(badge));
    draw_text(draw, style, {(from.x + to.x - text_size(style, letter).x) / 2, (from.y + to.y - text_height(style)) / 2}, theme.text, letter);
    right -= side + theme.px(1);
  }
}

std::string score_text(float value) { return format_fixed(static_cast<double>(value), 3); }

void draw_head_card(FrameContext& context, const Thumbnails& thumbnails, HeadChoice head) {
  const Theme& theme = context.theme;
  begin_hover_card(theme);
  card_value(theme, head_name(head), head_is_off(context.document(), head) ? "switched off" : "", theme.warn);
  const int side = thumbnails.side;
  const uint64_t version = atlas_version(context, thumbnails) + static_cast<uint64_t>(head.layer * 4096 + head.head) * 0x9E3779B97F4A7C15u;
  const ImTextureRef texture = context.textures.get("heads.preview", version, side, side, [&](std::span<ImU32> pixels) {
    const Spans whole = pixel_spans(side, side);
    paint_head(thumbnails, head, whole, whole, context.theme.attention_map, pixels.data(), static_cast<size_t>(side));
  });
  const float picture = std::max(1.0f, std::floor(theme.px(168) / static_cast<float>(side))) * static_cast<float>(side);
  const ImVec2 min = ImGui::GetCursorScreenPos();
  ImGui::Dummy({picture, picture});
  ImGui::GetWindowDrawList()->AddRectFilled(min, {min.x + picture, min.y + picture}, theme.well);
  TextureCache::draw_nearest(ImGui::GetWindowDrawList(), texture, min, {min.x + picture, min.y + picture});
  if (context.view().heads) {
    const HeadTable& table = *context.view().heads;
    const HeadScores& scores = table.at(head.layer, head.head);
    card_row(theme, "previous token", score_text(scores.previous));
    card_row(theme, "induction", score_text(scores.induction));
    if (scores.best_key >= 0) {
      card_row(theme, "last row's best", score_text(scores.best_weight) + " on " + shown_token(context, scores.best_key));
      card_row(theme, "direct logit of it", format_fixed(static_cast<double>(scores.direct_logit), 2));
    }
    for (const Badge badge : table.badges(head.layer, head.head)) card_source(theme, badge_definition(badge));
  } else {
    card_source(theme, "Its scores are being measured.");
  }
  const std::string length = std::to_string(thumbnails.length);
  card_source(theme, "attn_pattern [T, S] = [" + length + ", " + length + "], colours 0 … 1" +
                         (thumbnails.width > 1 ? "; max-pooled: each pixel is the greatest weight of " +
                                                     std::to_string(thumbnails.width) + " × " +
                                                     std::to_string(thumbnails.width) + " cells."
                                               : "."));
  end_hover_card(theme);
}

void add_head_edit(FrameContext& context, HeadChoice head, float factor) {
  Edit edit;
  edit.kind = EditKind::scale;
  edit.tap = Tap::attn_z;
  edit.layer = head.layer;
  edit.head = head.head;
  edit.factor = factor;
  context.run(cmd::AddEdit{edit});
}

void head_menu_items(FrameContext& context, HeadChoice head) {
  ImGui::Separator();
  if (ImGui::MenuItem("Choose this head")) context.run(cmd::SelectHead{head.layer, head.head});
  const bool off = head_is_off(context.document(), head);
  if (ImGui::MenuItem(off ? "Switch it on" : "Switch it off")) context.run(cmd::ToggleHead{head.layer, head.head});
  if (ImGui::BeginMenu("Scale its output")) {
    if (ImGui::MenuItem("× 0.5")) add_head_edit(context, head, 0.5f);
    if (ImGui::MenuItem("× 2")) add_head_edit(context, head, 2.0f);
    if (ImGui::MenuItem("× 1 (changes no bit)")) add_head_edit(context, head, 1.0f);
    ImGui::EndMenu();
  }
}

void draw_head_item(FrameContext& context, ImDrawList* draw, const Thumbnails& thumbnails, const Grid& grid, HeadChoice head) {
  const Theme& theme = context.theme;
  const ImVec2 min = grid.corner(head.layer, head.head), inner = grid.inner();
  const ImVec2 max(min.x + inner.x, min.y + inner.y);
  const std::string name = head_name(head);
  ImGui::PushID(name.c_str());
  ImGui::SetCursorScreenPos(min);
  ImGui::SetNextItemAllowOverlap();
  const bool chosen = chosen_head(context.document(), context.model()->config()) == head;
  if (!chosen) begin_list_items();  // Tab leads to the chosen head, the arrows from there
  const bool clicked = press_area("head", inner);
  if (!chosen) end_list_items();
  const bool hovered = ImGui::IsItemHovered(ImGuiHoveredFlags_AllowWhenOverlappedByItem);
  const bool focused = item_focused();
  const std::string value =
      context.view().heads ? format_exact(context.view().heads->at(head.layer, head.head).best_weight) : std::string();
  if (begin_value_menu(context, "menu", value)) {
    head_menu_items(context, head);
    end_value_menu();
  }
  const bool off = head_is_off(context.document(), head);
  if (off) draw_off_mark(draw, theme, min, max);
  if (context.view().heads) draw_badges(draw, theme, context.view().heads->badges(head.layer, head.head), min, inner);
  const bool lit = hovered || (context.hovered.layer == head.layer && context.hovered.head == head.head);
  if (chosen || lit || focused) {
    const float line = chosen ? theme.px(2) : theme.hairline(), out = line / 2 + (chosen ? theme.px(1) : 0);
    draw->AddRect({min.x - out, min.y - out}, {max.x + out, max.y + out}, focused ? theme.accent : theme.ring, theme.px(2), 0, line);
  }
  bool switched = false;
  // Less than half of the side: the middle of a thumbnail must choose the head.
  const float corner = std::min(theme.px(15), std::min(inner.x, inner.y) * 0.44f);
  // While it is being pressed, nothing else counts as hovered; without the button there would be no click.
  const bool pressing = ImGui::GetActiveID() == ImGui::GetID("switch");
  if ((hovered || off || pressing) && inner.x >= 16) {
    const ImVec2 from(max.x - corner, max.y - corner);
    ImGui::SetCursorScreenPos(from);
    switched = ImGui::InvisibleButton("switch", {corner, corner});
    const bool on_corner = ImGui::IsItemHovered();
    draw->AddRectFilled(from, max, on_corner ? theme.pressed : theme.raised, theme.px(3));
    draw_power_sign(draw, theme, {(from.x + max.x) / 2, (from.y + max.y) / 2 + theme.px(1)}, corner * 0.3f,
                    off ? theme.warn : theme.text);
    if (on_corner) {
      tooltip(theme, off ? "Switch " + name + " on" : "Switch " + name + " off: its output becomes 0");
      context.hover.layer = head.layer, context.hover.head = head.head;
    }
    if (switched) context.run(cmd::ToggleHead{head.layer, head.head});
    if (on_corner) {
      ImGui::PopID();
      return;
    }
  }
  if (clicked && !switched) context.run(cmd::SelectHead{head.layer, head.head});
  if (hovered && !ImGui::IsPopupOpen("menu")) {
    context.hover.layer = head.layer, context.hover.head = head.head;
    draw_head_card(context, thumbnails, head);
  }
  ImGui::PopID();
}

// Every n-th label, so that they keep `room` pixels of distance.
int label_stride(float cell, float room) {
  for (const int stride : {1, 2, 3, 4, 5, 6, 8, 10, 16, 20, 32})
    if (cell * static_cast<float>(stride) >= room) return stride;
  return 64;
}

// The badges' letters with their names; in a narrow panel the names stand on hover only.
struct Legend {
  bool names = true;
  int lines = 1;
};

Legend lay_out_legend(const Theme& theme, float width) {
  Legend legend;
  float x = 0;
  for (const Badge badge : kBadges) {
    const float total = text_size(theme.small_bold, "N").x + theme.px(4) + text_size(theme.small, badge_name(badge)).x;
    if (x > 0 && x + total > width) x = 0, ++legend.lines;
    x += total + theme.px(12);
  }
  return legend.lines > 2 ? Legend{false, 1} : legend;
}

void draw_legend(FrameContext& context, ImDrawList* draw, const Legend& legend, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  float x = min.x, y = min.y;
  for (const Badge badge : kBadges) {
    const std::string letter(1, badge_letter(badge));
    const std::string_view name = legend.names ? badge_name(badge) : std::string_view();
    const float letter_width = text_size(theme.small_bold, letter).x + theme.px(4);
    const float total = letter_width + text_size(theme.small, name).x;
    // Two lines hold two each.
    const bool second = legend.lines == 2 && badge == kBadges[kBadges.size() / 2];
    if (second || (x > min.x && x + total > min.x + width)) x = min.x, y += theme.px(18);
    ImGui::SetCursorScreenPos({x, y});
    ImGui::PushID(static_cast<int>(badge));
    press_area("legend", {total, theme.px(17)});
    draw_focus(theme, {x, y}, {x + total, y + theme.px(17)});
    ImGui::PopID();
    tooltip(theme, badge_definition(badge));
    draw_text(draw, theme.small_bold, {x, y}, theme.text, letter);
    draw_text(draw, theme.small, {x + letter_width, y}, theme.dim, name);
    x += total + theme.px(12);
  }
}

void draw_grid(FrameContext& context, const PanelBody& body, const Thumbnails& thumbnails) {
  const Theme& theme = context.theme;
  Grid grid;
  grid.layers = thumbnails.layers, grid.heads = thumbnails.heads, grid.gap = theme.px(2);
  const float left = std::max(text_size(theme.mono, std::to_string(grid.layers - 1)).x, text_size(theme.small, "layer").x) + theme.px(9);
  const float top = theme.px(20), foot_gap = theme.px(8);
  const Legend badges = lay_out_legend(theme, body.size.x);
  const float legend = static_cast<float>(badges.lines) * theme.px(18), foot = legend + foot_gap;
  const ImVec2 area(body.size.x - left, std::max(theme.px(40), body.size.y - top - foot));
  const float smallest = std::max(kSmallestThumbnail, theme.px(7.5f)), greatest = theme.px(kGreatestThumbnail);
  const float wide = std::floor(area.x / static_cast<float>(grid.heads)), high = std::floor(area.y / static_cast<float>(grid.layers));
  grid.cell.x = std::clamp(wide, smallest, greatest);
  // Close to square; what then does not fit is scrolled to.
  grid.cell.y = std::clamp(high, std::max(smallest, grid.cell.x * 0.8f), std::max(smallest, grid.cell.x * 1.3f));
  grid.cell.x = std::clamp(grid.cell.x, smallest, std::max(smallest, std::floor(grid.cell.y * 1.3f)));
  grid.cell.y = std::floor(grid.cell.y);
  const ImVec2 extent(grid.cell.x * static_cast<float>(grid.heads), grid.cell.y * static_cast<float>(grid.layers));
  const float ring = theme.px(3);  // the ring of a chosen head at the edge must not be cut off

  const ImVec2 corner(body.min.x + left - ring, body.min.y + top - ring);
  ImGui::SetCursorScreenPos(corner);
  const bool scrolls_across = extent.x > area.x + 1;
  ImGui::PushStyleVar(ImGuiStyleVar_WindowPadding, ImVec2(0, 0));
  ImGui::BeginChild("grid", {area.x + 2 * ring, area.y + 2 * ring}, ImGuiChildFlags_NavFlattened,
                    scrolls_across ? ImGuiWindowFlags_HorizontalScrollbar : ImGuiWindowFlags_None);
  ImGui::PopStyleVar();
  const ImVec2 scroll(ImGui::GetScrollX(), ImGui::GetScrollY());
  grid.origin = {corner.x + ring - scroll.x, corner.y + ring - scroll.y};
  const int first = std::clamp(static_cast<int>(scroll.y / grid.cell.y), 0, grid.layers);
  const int last = std::clamp(static_cast<int>((scroll.y + area.y + ring) / grid.cell.y) + 1, first, grid.layers);
  ImDrawList* draw = ImGui::GetWindowDrawList();
  draw_atlas(context, draw, thumbnails, grid, first, last);
  // One row more than is seen each way, for the keyboard to go on to.
  for (int layer = std::max(0, first - 1); layer < std::min(last + 1, grid.layers); ++layer) {
    const int heads = context.model()->config().layers[static_cast<size_t>(layer)].heads;
    for (int head = 0; head < std::min(heads, grid.heads); ++head) draw_head_item(context, draw, thumbnails, grid, {layer, head});
  }
  ImGui::SetCursorScreenPos({grid.origin.x + extent.x, grid.origin.y + extent.y + ring});
  ImGui::Dummy({1, 1});
  // A head that was chosen elsewhere comes into view.
  const HeadChoice chosen = chosen_head(context.document(), context.model()->config());
  WindowState state;
  if (const int now = (chosen.layer * 4096 + chosen.head) * 64 + static_cast<int>(grid.cell.y); state.get("shown head", -1) != now) {
    state.set("shown head", now);
    const float y = static_cast<float>(chosen.layer) * grid.cell.y;
    if (y < scroll.y || y + grid.cell.y > scroll.y + area.y) ImGui::SetScrollY(std::max(0.0f, y - area.y / 2));
  }
  ImGui::EndChild();

  // The labels stay while the grid scrolls under them.
  body.draw->PushClipRect({body.min.x - theme.px(4), body.min.y + top - ring}, {corner.x + ring, body.min.y + top + area.y + ring}, true);
  const int layer_step = label_stride(grid.cell.y, theme.px(15)) == 1 && grid.layers > 12 && grid.cell.y < theme.px(40)
                             ? 3 : label_stride(grid.cell.y, theme.px(15));
  for (int layer = first; layer < last; ++layer) {
    const bool is_chosen = layer == chosen.layer, lit = layer == context.hovered.layer;
    const bool near_chosen = std::abs(layer - chosen.layer) * grid.cell.y < theme.px(15) && !is_chosen;
    if (!is_chosen && !lit && (layer % layer_step || near_chosen)) continue;
    const std::string text = std::to_string(layer);
    const TextStyle& style = is_chosen ? theme.mono_bold : theme.mono;
    draw_text(body.draw, style,
              {body.min.x + left - theme.px(9) - text_size(style, text).x,
               grid.corner(layer, 0).y + (grid.inner().y - text_height(style)) / 2},
              is_chosen || lit ? theme.attention : theme.dim, text);
  }
  body.draw->PopClipRect();
  draw_text(body.draw, theme.small, {body.min.x + left - theme.px(9) - text_size(theme.small, "layer").x, body.min.y - theme.px(1)}, theme.dim, "layer");
  body.draw->PushClipRect({corner.x, body.min.y - theme.px(4)}, {corner.x + area.x + 2 * ring, body.min.y + top}, true);
  const int head_step = label_stride(grid.cell.x, theme.px(20));
  for (int head = 0; head < grid.heads; ++head) {
    const bool lit = head == chosen.head || head == context.hovered.head;
    if (head % head_step && !(head == chosen.head && head_step == 1)) continue;
    const std::string text = std::to_string(head);
    const TextStyle& style = head == chosen.head ? theme.mono_bold : theme.mono;
    draw_text(body.draw, style, {grid.corner(0, head).x + (grid.inner().x - text_size(style, text).x) / 2, body.min.y - theme.px(2)},
              lit ? theme.attention : theme.dim, text);
  }
  body.draw->PopClipRect();
  draw_legend(context, body.draw, badges, {body.min.x, body.min.y + body.size.y - legend + theme.px(2)}, body.size.x);
}

void needs_heads(const Document&, const ModelConfig&, Needs& needs) {
  needs.thumbnails = needs.heads = true;
}

void draw_heads(FrameContext& context) {
  PanelHeader header(context, "Heads");
  if (context.model()) {
    const ModelConfig& config = context.model()->config();
    int heads = 0;
    for (const LayerConfig& layer : config.layers) heads = std::max(heads, layer.heads);
    header.dim(std::to_string(config.layer_count()) + " layers × " + std::to_string(heads));
  }
  header.end();
  PanelBody body(context, true);
  const View& view = context.view();
  if (!context.model()) {
    draw_waiting(context.theme, "no model yet");
  } else if (!view.thumbnails || view.thumbnails->length < 1) {
    draw_waiting(context.theme, view.tokens.empty() ? "type a prompt" : "computing the patterns of all heads");
  } else if (view.thumbnails->layers == context.model()->config().layer_count()) {
    draw_grid(context, body, *view.thumbnails);
  }
}

nlohmann::json heads_figure(const FrameContext& context) {
  if (!context.view().heads) return nullptr;
  return {{"heads", figure_heads(*context.view().heads)}};
}

}  // namespace

const Panel kHeadsPanel = {
    "heads",
    "Heads",
    "Every attention head of the model: each picture is its pattern on your text, query tokens downwards, key tokens to "
    "the right, bright where the weight is great. Click a head to open it; its corner button switches it off. The "
    "letters mark heads whose behaviour was measured; hover one for its definition.",
    3,
    needs_heads,
    draw_heads,
    heads_figure,
};

}  // namespace glassbox
