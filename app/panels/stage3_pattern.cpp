// The pattern of the chosen head: who looks at whom, with the numbers behind every cell.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "app/panels/panel_list.h"
#include "app/panels/stage3_shared.h"
#include "app/widgets/text_metrics.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"
#include "core/run/pooling.h"
#include "kernels/lanes.h"

namespace glassbox {

namespace {

constexpr float kLogFloor = 1e-4f;   // the logarithmic colours begin here
constexpr int kSmallestWindow = 4;   // cells a side, zoomed in as far as it goes
constexpr float kLabelAngle = 55;    // degrees, of the key labels

// The square part of the matrix that is shown: `span` cells from (row, column) on. Kept by the window.
struct Zoom {
  int row, column, span;
  int clamp_to(int length) {
    if (span <= 0 || span >= length) span = length, row = column = 0;
    row = std::clamp(row, 0, length - span), column = std::clamp(column, 0, length - span);
    return span;
  }
  // Moves just as far as brings the cell into sight.
  void show(FigureCell cell) {
    row = std::clamp(row, cell.row - span + 1, cell.row);
    column = std::clamp(column, cell.column - span + 1, cell.column);
  }
};

FigureCell figure_cell(Cell cell) { return {cell.query, cell.key}; }

// Where the figure's parts lie.
struct Layout {
  ImVec2 grid;         // upper left corner of the cells
  float side = 0;      // pixels of the square
  float cell = 0;      // pixels of one cell of the matrix; below 1 when pooled
  int pixels = 0;      // rows and columns of the texture: the cells shown, or fewer when pooled
  bool pooled = false;
  bool tokens = false; // labels are tokens; otherwise positions
  int stride = 1;      // of the labels
  float left = 0, top = 0;
};

float widest_label(const FrameContext& context, int from, int count, float limit) {
  float width = 0;
  for (int i = from; i < from + count && width < limit; ++i)
    width = std::max(width, text_size(context.theme.mono, shown_token(context, i)).x);
  return std::min(width, limit);
}

// `marked`: the query of the opened cell, which is named in any case.
Layout lay_out(const FrameContext& context, ImVec2 min, ImVec2 size, const Zoom& zoom, int marked) {
  const Theme& theme = context.theme;
  const float bar = theme.px(64), foot = theme.px(20), line = text_height(theme.mono) * 0.95f;
  const float sine = std::sin(kLabelAngle * 3.14159265f / 180), cosine = std::cos(kLabelAngle * 3.14159265f / 180);
  Layout layout;
  const auto fit = [&](float left, float top, float right) {
    layout.left = left, layout.top = top;
    layout.side = std::max(theme.px(24), std::min(size.x - left - std::max(bar, right), size.y - top - foot));
    layout.cell = layout.side / static_cast<float>(zoom.span);
  };
  // With tokens as labels, when most of them have room.
  if (zoom.span <= 256) {
    const float width = std::max(std::max(widest_label(context, zoom.row, zoom.span, theme.px(112)),
                                          widest_label(context, zoom.column, zoom.span, theme.px(112))),
                                 theme.px(20));
    // The label of the last key leans out over the colour bar's column.
    fit(width + theme.px(10), width * sine + line * cosine * 0.5f + theme.px(8), width * cosine - layout.cell + theme.px(8));
    layout.stride = std::max(1, static_cast<int>(std::ceil(line / layout.cell)));
    layout.tokens = layout.stride <= 2;
  }
  if (!layout.tokens) {
    const float name = std::min(text_size(theme.mono_bold, shown_token(context, marked)).x, theme.px(84));
    fit(std::max(text_size(theme.mono, std::to_string(zoom.row + zoom.span)).x, name) + theme.px(14), theme.px(40), 0);
    const float room = theme.px(44);
    layout.stride = 1;
    for (const int step : {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}) {
      layout.stride = step;
      if (layout.cell * static_cast<float>(step) >= room) break;
    }
  }
  layout.pixels = zoom.span;
  if (layout.cell < 1) {
    layout.pixels = std::max(1, static_cast<int>(layout.side)), layout.pooled = true;
    layout.side = static_cast<float>(layout.pixels);
  } else if (std::floor(layout.cell) >= 0.8f * layout.cell) {
    layout.cell = std::floor(layout.cell), layout.side = layout.cell * static_cast<float>(zoom.span);
  }
  layout.cell = layout.side / static_cast<float>(zoom.span);
  const float spare = std::max(0.0f, size.x - layout.left - layout.side - bar);
  layout.grid = {std::round(min.x + layout.left + spare * 0.35f), std::round(min.y + layout.top)};
  return layout;
}

// The cells that a pixel of the texture stands for, along one axis.
PixelSpan pixel_range(const Layout& layout, int offset, int span, int pixel) {
  const PixelSpan covered = pixel_span(pixel, layout.pixels, span);
  return {offset + covered.begin, offset + covered.end};
}

// The cell with the greatest weight among those of a pixel.
Cell strongest(const HeadReader& reader, PixelSpan rows, PixelSpan columns) {
  Cell best{rows.begin, columns.begin};
  float greatest = -1;
  for (int q = rows.begin; q < rows.end; ++q)
    for (int k = columns.begin; k < columns.end; ++k)
      if (const float weight = reader.weight(q, k); weight > greatest) greatest = weight, best = {q, k};
  return best;
}

// The greatest weights of a row of pixels, from key `first` on; NaN where all that a pixel stands for is masked.
// `greatest` is room for the keys in sight.
void read_weights(const HeadReader& reader, PixelSpan queries, int first, std::span<const PixelSpan> columns, std::span<float> values,
                  std::span<float> greatest) {
  std::fill(greatest.begin(), greatest.end(), -std::numeric_limits<float>::infinity());
  int open = 0;  // keys from here on are masked
  for (int query = queries.begin; query < queries.end; ++query) {
    const std::span<const float> weights = reader.weights(query);
    const size_t skipped = std::min(static_cast<size_t>(first), weights.size());
    take_greater(weights.subspan(skipped, std::min(weights.size() - skipped, greatest.size())), greatest.data());
    open = std::max(open, static_cast<int>(weights.size()) - first);
  }
  const auto masked = std::partition_point(columns.begin(), columns.end(), [&](const PixelSpan& keys) { return keys.begin < open; });
  const auto seen = static_cast<size_t>(masked - columns.begin());
  pool_row(columns.first(seen), greatest.data(), values.data());
  std::fill(values.begin() + static_cast<ptrdiff_t>(seen), values.end(), std::nanf(""));
}

uint64_t figure_version(const FrameContext& context, HeadChoice head, const Zoom& zoom) {
  uint64_t hash = context.view().id;
  for (const int part : {head.layer, head.head, zoom.row, zoom.column, zoom.span})
    hash = (hash ^ static_cast<uint64_t>(part)) * 0x9E3779B97F4A7C15u;
  return hash;
}

// Cells that the mask closes: a darker ground with a stroke, where cells are large enough to show it.
void draw_masked(ImDrawList* draw, const Theme& theme, const Layout& layout, const Zoom& zoom) {
  draw->AddRectFilled(layout.grid, {layout.grid.x + layout.side, layout.grid.y + layout.side}, theme.well);
  if (layout.cell < theme.px(14)) return;
  const float reach = layout.cell * 0.16f;
  for (int r = 0; r < zoom.span; ++r) {
    for (int c = std::max(0, zoom.row + r - zoom.column + 1); c < zoom.span; ++c) {
      const float x = layout.grid.x + (static_cast<float>(c) + 0.5f) * layout.cell;
      const float y = layout.grid.y + (static_cast<float>(r) + 0.5f) * layout.cell;
      draw->AddLine({x - reach, y + reach}, {x + reach, y - reach}, with_alpha(theme.line, 0.7f), theme.hairline());
    }
  }
}

void draw_cuts(ImDrawList* draw, const FrameContext& context, const Layout& layout, const Zoom& zoom, HeadChoice head) {
  const bool any = std::any_of(context.document().edits.begin(), context.document().edits.end(), [&](const Edit& edit) {
    return edit.enabled && edit.layer == head.layer && (edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight);
  });
  if (!any || layout.cell < 4) return;
  const float reach = layout.cell * 0.28f, line = std::max(context.theme.px(1.5f), 1.0f);
  for (int r = 0; r < zoom.span; ++r) {
    for (int c = 0; c < zoom.span && zoom.column + c <= zoom.row + r; ++c) {
      if (!cell_is_cut(context.document(), head, zoom.row + r, zoom.column + c)) continue;
      const float x = layout.grid.x + (static_cast<float>(c) + 0.5f) * layout.cell;
      const float y = layout.grid.y + (static_cast<float>(r) + 0.5f) * layout.cell;
      draw->AddLine({x - reach, y - reach}, {x + reach, y + reach}, context.theme.error, line);
      draw->AddLine({x - reach, y + reach}, {x + reach, y - reach}, context.theme.error, line);
    }
  }
}

// Where cells are smaller than a pixel, the opened one is marked by a ring around its place.
void mark_pooled_cell(ImDrawList* draw, const Theme& theme, const Layout& layout, const Zoom& zoom, Cell cell) {
  const float x = layout.grid.x + (static_cast<float>(cell.key - zoom.column) + 0.5f) * layout.cell;
  const float y = layout.grid.y + (static_cast<float>(cell.query - zoom.row) + 0.5f) * layout.cell, reach = theme.px(4);
  draw->AddRect({x - reach, y - reach}, {x + reach, y + reach}, theme.ring, 0, 0, std::max(1.0f, theme.px(1.5f)));
}

// The labels of one axis. `marked`: the query or key of the opened cell; `lit`: of the cell under the pointer.
struct AxisMarks {
  int marked = -1, lit = -1, token = -1;
  ImU32 colour = 0;
};

void draw_query_labels(FrameContext& context, ImDrawList* draw, const Layout& layout, const Zoom& zoom, const AxisMarks& marks) {
  const Theme& theme = context.theme;
  for (int i = 0; i < zoom.span; ++i) {
    const int position = zoom.row + i;
    const bool strong = position == marks.marked || position == marks.lit || position == marks.token;
    const float y = layout.grid.y + (static_cast<float>(i) + 0.5f) * layout.cell;
    if (!strong) {
      if (position % layout.stride) continue;
      // Those beside a marked label give way when cells are small.
      const auto close = [&](int other) {
        return other >= 0 && static_cast<float>(std::abs(other - position)) * layout.cell < text_height(theme.mono) * 0.9f;
      };
      if (close(marks.marked) || close(marks.lit)) continue;
    }
    const bool words = layout.tokens || strong;
    const std::string text = fit_text(theme.mono, words ? shown_token(context, position) : std::to_string(position),
                                      words && !layout.tokens ? theme.px(150) : layout.left - theme.px(8));
    const TextStyle& style = position == marks.marked ? theme.mono_bold : theme.mono;
    const ImVec2 extent = text_size(style, text);
    const float right = layout.grid.x - theme.px(8);
    ImVec2 pos(right - extent.x, y - text_height(style) / 2);
    if (words && !layout.tokens) {  // lies over the figure's left edge
      pos.x = std::max(pos.x, layout.grid.x - layout.left);
      draw->AddRectFilled({pos.x - theme.px(3), pos.y}, {pos.x + extent.x + theme.px(3), pos.y + text_height(style)}, theme.raised, theme.px(3));
    }
    const bool token = position == marks.token;
    draw_visible_text(draw, style, pos, position == marks.marked || position == marks.lit ? marks.colour : token ? theme.text : theme.dim, text);
  }
}

void draw_key_labels(FrameContext& context, ImDrawList* draw, const Layout& layout, const Zoom& zoom, const AxisMarks& marks) {
  const Theme& theme = context.theme;
  const float longest = layout.tokens ? (layout.top - theme.px(8)) / std::sin(kLabelAngle * 3.14159265f / 180) : theme.px(150);
  for (int i = 0; i < zoom.span; ++i) {
    const int position = zoom.column + i;
    const bool strong = position == marks.marked || position == marks.lit || position == marks.token;
    if (!strong) {
      if (position % layout.stride) continue;
      const float apart = layout.tokens ? text_height(theme.mono) * 0.95f : theme.px(38);
      const auto close = [&](int other) {
        return other >= 0 && static_cast<float>(std::abs(other - position)) * layout.cell < apart;
      };
      if (close(marks.marked) || close(marks.lit)) continue;
    }
    const float x = layout.grid.x + (static_cast<float>(i) + 0.5f) * layout.cell;
    const bool chosen = position == marks.marked || position == marks.lit;
    const ImU32 colour = chosen ? marks.colour : position == marks.token ? theme.text : theme.dim;
    const TextStyle& style = position == marks.marked ? theme.mono_bold : theme.mono;
    if (layout.tokens) {
      draw_turned_text(draw, style, {x - theme.px(1), layout.grid.y - theme.px(8)}, colour,
                       fit_text(style, shown_token(context, position), longest), kLabelAngle);
    } else {
      const std::string text = strong ? fit_text(style, shown_token(context, position), theme.px(150)) : std::to_string(position);
      const ImVec2 extent = text_size(style, text);
      const float y = layout.grid.y - text_height(style) - theme.px(5);
      draw_visible_text(draw, style, {x - extent.x / 2, strong ? y - theme.px(16) : y}, colour, text);
    }
  }
}

void add_cut(FrameContext& context, HeadChoice head, Cell cell, EditKind kind) {
  Edit edit;
  edit.kind = kind;
  edit.tap = kind == EditKind::cut_score ? Tap::attn_scores : Tap::attn_pattern;
  edit.layer = head.layer;
  edit.head = head.head;
  edit.position_begin = cell.query;
  edit.position_end = cell.query + 1;
  edit.key = cell.key;
  context.run(cmd::AddEdit{edit});
}

void remove_cut(FrameContext& context, HeadChoice head, Cell cell) {
  const std::vector<Edit>& edits = context.document().edits;
  for (size_t i = 0; i < edits.size(); ++i) {
    const Edit& edit = edits[i];
    if ((edit.kind == EditKind::cut_score || edit.kind == EditKind::cut_weight) && edit.layer == head.layer &&
        edit.head == head.head && edit.position_begin == cell.query && edit.key == cell.key) {
      context.run(cmd::RemoveEdit{static_cast<int>(i)});
      return;
    }
  }
}

void draw_menu(FrameContext& context, const HeadReader& reader, Cell cell) {
  const auto [query, key] = cell;
  const float weight = reader.weight(query, key);
  if (!begin_value_menu(context, "cell menu", std::isnan(weight) ? std::string() : format_exact(weight))) return;
  ImGui::Separator();
  const bool open = key <= query && query < reader.length();
  if (ImGui::MenuItem("Open this cell", nullptr, false, open)) context.run(cmd::OpenCell{query, key});
  if (cell_is_cut(context.document(), reader.head(), query, key)) {
    if (ImGui::MenuItem("Restore this edge")) remove_cut(context, reader.head(), cell);
  } else {
    if (ImGui::MenuItem("Cut this edge before softmax (score = -∞)", nullptr, false, open))
      add_cut(context, reader.head(), cell, EditKind::cut_score);
    if (ImGui::MenuItem("Cut this edge after softmax (weight = 0)", nullptr, false, open))
      add_cut(context, reader.head(), cell, EditKind::cut_weight);
  }
  ImGui::Separator();
  if (ImGui::MenuItem("Colours by the logarithm", nullptr, context.document().log_map)) context.run(cmd::SetLogMap{!context.document().log_map});
  end_value_menu();
}

// The wheel zooms at the pointer, dragging moves what is zoomed, a double click zooms to the cell and back, Esc leaves.
// True while the figure is dragged.
bool handle_zoom(const Layout& layout, Zoom& zoom, int length, const HeatmapHit& hit, std::optional<Cell> under) {
  const ImGuiIO& io = ImGui::GetIO();
  const auto set = [&](int span, Cell centre, float fx, float fy) {
    zoom.span = std::clamp(span, std::min(kSmallestWindow, length), length);
    zoom.row = centre.query - static_cast<int>(fy * static_cast<float>(zoom.span));
    zoom.column = centre.key - static_cast<int>(fx * static_cast<float>(zoom.span));
    zoom.clamp_to(length);
  };
  if (under) {
    const float fx = std::clamp((io.MousePos.x - layout.grid.x) / layout.side, 0.0f, 0.999f);
    const float fy = std::clamp((io.MousePos.y - layout.grid.y) / layout.side, 0.0f, 0.999f);
    if (io.MouseWheel != 0) {
      const float factor = std::pow(0.8f, io.MouseWheel);
      const int next = io.MouseWheel > 0 ? static_cast<int>(static_cast<float>(zoom.span) * factor)
                                         : static_cast<int>(std::ceil(static_cast<float>(zoom.span) * factor));
      set(next, *under, fx, fy);
    } else if (hit.double_clicked) {
      if (zoom.span < length) set(length, *under, fx, fy);
      else set(std::max(8, length / 4), *under, 0.5f, 0.5f);
    }
  }
  if (zoom.span < length && takes_escape()) zoom.span = 0;
  const bool dragging = zoom.span < length && ImGui::IsItemActive() && ImGui::IsMouseDragging(ImGuiMouseButton_Left);
  WindowState state;
  if (ImGui::IsItemActivated()) state.set("drag row", zoom.row), state.set("drag column", zoom.column);
  if (dragging) {
    const ImVec2 delta = ImGui::GetMouseDragDelta(ImGuiMouseButton_Left);
    zoom.row = state.get("drag row") - static_cast<int>(std::round(delta.y / layout.cell));
    zoom.column = state.get("drag column") - static_cast<int>(std::round(delta.x / layout.cell));
  }
  zoom.clamp_to(length);
  return dragging;
}

void draw_bar_and_note(const FrameContext& context, ImDrawList* draw, const Layout& layout, const Zoom& zoom, int length,
                       const PanelBody& body) {
  const Theme& theme = context.theme;
  static const std::vector<std::string> kLinear = {"0.00", "0.25", "0.50", "0.75", "1.00"};
  static const std::vector<std::string> kLog = {"1e-4", "0.001", "0.01", "0.1", "1"};
  const float high = std::max(theme.px(60), layout.side);
  draw_colour_bar(draw, theme, theme.attention_map, {layout.grid.x + layout.side + theme.px(18), layout.grid.y},
                  {theme.px(12), high}, context.document().log_map ? kLog : kLinear);
  std::string note;
  const std::string cells = format_count(zoom.span) + " × " + format_count(zoom.span);
  if (zoom.span < length)
    note = "rows " + std::to_string(zoom.row) + " – " + std::to_string(zoom.row + zoom.span - 1) + ", columns " +
           std::to_string(zoom.column) + " – " + std::to_string(zoom.column + zoom.span - 1) + " of " + format_count(length) +
           "; Esc shows all. ";
  if (layout.pooled)
    note += cells + " cells on " + std::to_string(layout.pixels) + " × " + std::to_string(layout.pixels) +
            " pixels: each is the greatest of its cells.";
  if (note.empty()) return;
  const float y = std::min(layout.grid.y + layout.side + theme.px(5), body.min.y + body.size.y - theme.px(14));
  draw_text(draw, theme.small, {body.min.x, y}, theme.dim, fit_text(theme.small, note, body.size.x));
}

void draw_figure(FrameContext& context, const PanelBody& body, const HeadReader& reader) {
  const Theme& theme = context.theme;
  const int length = reader.length();
  WindowState state;
  // Another text is shown whole; a text that grows token by token keeps the zoom.
  const int before = state.get("length");
  state.set("length", length);
  if (std::abs(length - before) > 8) state.set("span", 0);
  Zoom zoom{state.get("row"), state.get("column"), state.get("span")};
  zoom.clamp_to(length);
  const std::optional<Cell> opened = context.document().selection.cell;
  const Layout layout = lay_out(context, body.min, body.size, zoom, opened ? opened->query : -1);

  Heatmap heatmap;
  heatmap.min = layout.grid, heatmap.size = {layout.side, layout.side};
  heatmap.key = "attention pattern";
  heatmap.version = figure_version(context, reader.head(), zoom);
  heatmap.rows = heatmap.columns = layout.pixels;
  const std::vector<PixelSpan> columns = pixel_spans(layout.pixels, zoom.span);
  std::vector<float> greatest(static_cast<size_t>(zoom.span));
  heatmap.read_row = [&](int row, std::span<float> values) {
    read_weights(reader, pixel_range(layout, zoom.row, zoom.span, row), zoom.column, columns, values, greatest);
  };
  heatmap.map = &theme.attention_map;
  heatmap.logarithmic = context.document().log_map;
  heatmap.low = heatmap.logarithmic ? kLogFloor : 0.0f;
  heatmap.numbers = !layout.pooled;
  heatmap.numbers_from = 0.2f;
  heatmap.number_text = [&](float value) {
    if (value < 0.995f) return format_fixed(static_cast<double>(value), 2).substr(1);
    return std::string(text_size(theme.mono_small, "1.00").x + 2 <= layout.cell ? "1.00" : "1.0");
  };
  const HeatmapHit hit = heatmap_item(theme, heatmap);
  std::optional<Cell> under;
  if (hit.under)
    under = strongest(reader, pixel_range(layout, zoom.row, zoom.span, hit.under->row), pixel_range(layout, zoom.column, zoom.span, hit.under->column));
  // The keyboard's cursor is the opened cell, which the mask does not let beyond the diagonal.
  const CellGrid cells{length, [length](int) { return length; }};
  FigureCell cursor = figure_cell(opened.value_or(Cell{length - 1, 0}));
  CellPick pick = pick_cell(cells, under ? std::optional(figure_cell(*under)) : std::nullopt, cursor);
  if (pick.moved) cursor = *pick.shown;
  // Ctrl and the arrows move it from anywhere in the panel.
  else if (!item_focused() && ImGui::GetIO().KeyCtrl && ImGui::IsWindowFocused(ImGuiFocusedFlags_ChildWindows)) pick.moved = move_cell(cursor, cells);
  cursor.column = std::min(cursor.column, cursor.row);
  if (pick.moved) context.run(cmd::OpenCell{cursor.row, cursor.column});
  if (pick.by_keys) {
    pick.shown = cursor;
    const ImVec2 from(layout.grid.x + static_cast<float>(cursor.column - zoom.column) * layout.cell,
                      layout.grid.y + static_cast<float>(cursor.row - zoom.row) * layout.cell);
    stand_at(pick, from, {from.x + layout.cell, from.y + layout.cell});
  }

  Zoom next = zoom;  // from the next frame on
  const bool dragging = handle_zoom(layout, next, length, hit, under);
  if (pick.by_keys) next.show(cursor);
  state.set("row", next.row), state.set("column", next.column), state.set("span", next.span == length ? 0 : next.span);
  draw_menu(context, reader, {pick.asked.row, pick.asked.column});
  if (pick.shown && !dragging) {
    const Cell cell{pick.shown->row, pick.shown->column};
    context.hover.query = cell.query, context.hover.key = cell.key;
    const ImVec2 moved = ImGui::GetMouseDragDelta(ImGuiMouseButton_Left, 0);
    const bool still = std::abs(moved.x) + std::abs(moved.y) < theme.px(4);
    if (hit.clicked && still && cell.key <= cell.query) context.run(cmd::OpenCell{cell.query, cell.key});
    if (!ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopup)) draw_cell_card(context, reader, cell.query, cell.key);
  }

  draw_masked(body.draw, theme, layout, zoom);
  if (!layout.pooled) {
    const auto in_sight = [&](int query, int key) { return FigureCell{query - zoom.row, key - zoom.column}; };
    if (opened) heatmap.marked = in_sight(opened->query, opened->key);
    if (context.hovered.query >= 0) heatmap.lit = in_sight(context.hovered.query, context.hovered.key);
  }
  if (hit.under) heatmap.lit = hit.under;
  draw_heatmap(theme, context.textures, heatmap);
  if (opened && layout.pooled) mark_pooled_cell(body.draw, theme, layout, zoom, *opened);
  draw_cuts(body.draw, context, layout, zoom, reader.head());

  AxisMarks queries, keys;
  queries.colour = theme.query, keys.colour = theme.key;
  if (opened) queries.marked = opened->query, keys.marked = opened->key;
  queries.lit = context.hovered.query, keys.lit = context.hovered.key;
  queries.token = keys.token = context.hovered.position;
  body.draw->PushClipRect(body.min, {body.min.x + body.size.x + theme.px(8), body.min.y + body.size.y}, true);
  draw_query_labels(context, body.draw, layout, zoom, queries);
  body.draw->PopClipRect();
  draw_key_labels(context, body.draw, layout, zoom, keys);
  draw_bar_and_note(context, body.draw, layout, zoom, length, body);
}

void needs_pattern(const Document& document, const ModelConfig& config, Needs& needs) {
  const int layer = chosen_head(document, config).layer;
  needs.probe.add(Tap::attn_pattern, layer, layer + 1);
  needs.probe.add(Tap::attn_scores, layer, layer + 1);
  const bool rotated = tap_exists(Tap::q_rot, config, layer);
  needs.probe.add(rotated ? Tap::q_rot : Tap::q, layer, layer + 1);
  needs.probe.add(rotated ? Tap::k_rot : Tap::k, layer, layer + 1);
}

void draw_pattern(FrameContext& context) {
  static const std::array<std::string, 2> kScales = {"linear", "log"};
  const Theme& theme = context.theme;
  PanelHeader header(context, "Pattern");
  if (!context.model()) {
    header.end();
    PanelBody body(context, true);
    draw_waiting(theme, "no model yet");
    return;
  }
  const HeadChoice head = chosen_head(context.document(), context.model()->config());
  header.mono(head_name(head), theme.attention);
  if (head_is_off(context.document(), head)) header.label("switched off", theme.body, theme.warn);
  const int scale = header.dropdown("scale", "", context.document().log_map ? 1 : 0, kScales, "how colours follow the weight");
  if (scale >= 0) context.run(cmd::SetLogMap{scale == 1});
  header.note("queries ↓  keys →");
  header.end();
  PanelBody body(context, true);
  const HeadReader reader(context.view(), context.model()->config(), head);
  if (reader.length() < 1) draw_waiting(theme, context.view().tokens.empty() ? "type a prompt" : "computing");
  else if (reader.weights(reader.length() - 1).empty()) draw_waiting(theme, "reading " + head_name(head));
  else draw_figure(context, body, reader);
}

nlohmann::json pattern_figure(const FrameContext& context) {
  if (!context.model()) return nullptr;
  const HeadChoice head = chosen_head(context.document(), context.model()->config());
  if (!context.view().step) return nullptr;
  return figure_tap(*context.view().step, context.model()->config(), {Tap::attn_pattern, head.layer, head.head, {}});
}

}  // namespace

const Panel kPatternPanel = {
    "pattern",
    "Pattern",
    "The chosen head on your text. Each row is a query token, each column a key token that it may look at; the colour is "
    "the weight, and a row sums to 1. Keys after the query are masked. Hover a cell for its numbers, click it to open "
    "it; Ctrl and the arrows move the opened cell. The wheel zooms at the pointer, dragging moves, Esc shows all. "
    "The right button cuts an edge.",
    3,
    needs_pattern,
    draw_pattern,
    pattern_figure,
};

}  // namespace glassbox
