// Stage 1, pieces: how the pre-tokeniser cuts the text before any merge.
#include <algorithm>
#include <array>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage1_trace.h"
#include "app/widgets/widgets.h"
#include "app/widgets/window_state.h"
#include "core/run/figures.h"

namespace glassbox {

namespace {

struct PiecesLayout {
  std::vector<std::string> texts;
  std::vector<float> widths;
  std::vector<FlowLayout::Place> places;
  int lines = 0;
};

// What a pre-tokeniser does, in a few words, by its name in the model's file (core/text/pretokenizer.h has the rules).
std::string_view pre_tokenizer_words(std::string_view name) {
  struct Words {
    std::string_view name, words;
  };
  static constexpr std::array<Words, 5> kWords = {{{"smollm", "digits one by one, then GPT-2 words"},
                                                   {"gpt-2", "words with the space before them"},
                                                   {"llama-bpe", "words, digits in threes"},
                                                   {"llama3", "words, digits in threes"},
                                                   {"qwen2", "words, digits one by one"}}};
  for (const Words& entry : kWords)
    if (entry.name == name) return entry.words;
  return {};
}

PiecesLayout make_layout(const FrameContext& context, const TextTrace& trace, float width) {
  const Theme& theme = context.theme;
  const float padding = theme.px(12);
  // A piece can be the whole text; what a line cannot show is not measured either.
  const auto most_bytes = static_cast<size_t>(width / text_size(theme.mono, "i").x) * 4 + 8;
  PiecesLayout layout;
  FlowLayout flow(width, theme.px(4));
  for (const Piece& piece : trace.pieces) {
    const std::string_view bytes = trace.bytes(piece.start, piece.end);
    std::string text = visible_text(theme, bytes.substr(0, most_bytes));
    if (bytes.size() > most_bytes) text += "…";
    layout.texts.push_back(fit_text(theme.mono, text, width - padding));
    layout.widths.push_back(std::ceil(text_size(theme.mono, layout.texts.back()).x) + padding);
    flow.add(layout.widths.back(), layout.places);
  }
  layout.lines = layout.places.empty() ? 0 : layout.places.back().line + 1;
  return layout;
}

void draw_piece_card(const FrameContext& context, const TextTrace& trace, int index) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const Piece& piece = trace.pieces[static_cast<size_t>(index)];
  begin_hover_card(theme);
  card_value(theme, "piece", std::to_string(index) + " of " + format_count(static_cast<int64_t>(trace.pieces.size())), theme.text);
  card_row(theme, "in the text", "bytes " + std::to_string(piece.start) + " to " + std::to_string(piece.end));
  card_row(theme, piece.token_count == 1 ? "1 token" : format_count(piece.token_count) + " tokens", "");
  constexpr uint32_t kListed = 6;
  for (uint32_t t = 0; t < std::min(piece.token_count, kListed); ++t) {
    const int32_t id = trace.tokens[piece.first_token + t].id;
    card_row(theme, std::to_string(id), fit_text(theme.mono, token_text(theme, tokenizer, id), theme.px(240)));
  }
  if (piece.token_count > kListed) card_row(theme, "…", "");
  card_source(theme, piece.special ? "A special token is found in the text before the pre-tokeniser cuts the rest."
                                   : "Merges join bytes inside a piece only. Click to keep its merges in view.");
  end_hover_card(theme);
}

// Scrolls to the line of the chosen piece when another one is chosen, or another text is shown.
void follow_choice(const TextTrace& trace, const PiecesLayout& layout, int chosen, float pitch, float height) {
  WindowState state;
  const auto now = static_cast<int>(mix_version(trace.version, static_cast<uint64_t>(chosen)));
  if (chosen < 0 || state.get("followed") == now) return;
  state.set("followed", now);
  const float top = pitch * static_cast<float>(layout.places[static_cast<size_t>(chosen)].line);
  if (top < ImGui::GetScrollY()) ImGui::SetScrollY(top);
  else if (top + pitch > ImGui::GetScrollY() + height) ImGui::SetScrollY(top + pitch - height);
}

void draw_pieces(FrameContext& context) {
  const Theme& theme = context.theme;
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  {
    PanelHeader header(context, "Pre-tokeniser pieces");
    header.dim("no merge ever crosses a border");
    if (const Model* model = context.model()) {
      const std::string name(model->tokenizer().pre_name()), words(pre_tokenizer_words(name));
      header.note(words.empty() ? name : name + ": " + words, theme.mono_small, theme.dim);
    }
  }
  PanelBody body(context);
  if (draw_without_model(context, "its pieces appear here")) return;
  if (trace->pieces.empty()) {
    draw_waiting(theme, "The ids of this run are not those of its text under this model's tokenizer: there are no pieces");
    return;
  }
  uint64_t version = mix_version(trace->version, static_cast<uint64_t>(body.size.x));
  version = mix_version(version, static_cast<uint64_t>(theme.scale * 1000));
  const auto layout = context.memo.get<PiecesLayout>("stage 1 pieces", version,
                                                     [&] { return make_layout(context, *trace, body.size.x); });
  const float height = theme.px(26), pitch = height + theme.px(6);
  const float seen_top = body.draw->GetClipRectMin().y - body.min.y, seen_bottom = body.draw->GetClipRectMax().y - body.min.y;
  // One line more than is seen each way, for the keyboard to go on to.
  const int first_line = std::max(0, static_cast<int>(seen_top / pitch) - 1);
  const auto begin = std::partition_point(layout->places.begin(), layout->places.end(),
                                          [&](const FlowLayout::Place& place) { return place.line < first_line; });
  const int chosen = selected_piece(context, *trace), shown = shown_piece(context, *trace);
  const int of_position = [&] {
    const int position = context.hovered.position;
    return position >= 0 && position < static_cast<int>(trace->tokens.size()) ? trace->tokens[static_cast<size_t>(position)].piece : -1;
  }();
  bool entered = false;
  for (auto i = static_cast<int>(begin - layout->places.begin()); i < static_cast<int>(layout->places.size()); ++i) {
    const size_t at = static_cast<size_t>(i);
    const FlowLayout::Place& place = layout->places[at];
    const float top = std::round(body.min.y + static_cast<float>(place.line) * pitch);
    if (top - body.min.y > seen_bottom + pitch) break;
    const ImVec2 min(std::round(body.min.x + place.x), top), max(min.x + layout->widths[at], min.y + height);
    const std::string id = "piece " + std::to_string(i);
    const bool way_in = !entered && top - body.min.y >= seen_top - 1;
    entered |= way_in;
    const SpotAnswer answer = spot(context, id.c_str(), min, max, way_in);
    const bool lit = i == shown || i == of_position;
    const float rounding = theme.px(Theme::kChipRounding);
    if (answer.hovered) body.draw->AddRectFilled(min, max, theme.hover, rounding);
    if (trace->pieces[at].special) body.draw->AddRectFilled(min, max, theme.well, rounding);
    body.draw->AddRect(min, max, i == chosen ? theme.ring : lit ? theme.accent : theme.line, rounding, 0,
                       i == chosen || lit ? std::max(theme.hairline(), theme.px(1.5f)) : theme.hairline());
    draw_visible_text(body.draw, theme.mono, {min.x + theme.px(6), middle_of(theme.mono, min.y, max.y)},
                      trace->pieces[at].special ? theme.dim : theme.text, layout->texts[at]);
    if (answer.hovered) {
      context.hover.piece = i;
      draw_piece_card(context, *trace, i);
    }
    if (answer.clicked && i != chosen) select_piece(context, i);
    value_menu(context, id.c_str(), trace->bytes(trace->pieces[at].start, trace->pieces[at].end).substr(0, 4096));
  }
  ImGui::SetCursorScreenPos(body.min);
  ImGui::Dummy({1, static_cast<float>(layout->lines) * pitch - theme.px(6)});
  follow_choice(*trace, *layout, chosen, pitch, body.size.y);
}

nlohmann::json pieces_figure(const FrameContext& context) {
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  nlohmann::json pieces = nlohmann::json::array();
  if (trace)
    for (const Piece& piece : trace->pieces) pieces.push_back(figure_piece(trace->text, piece));
  return {{"pieces", std::move(pieces)}};
}

}  // namespace

const Panel kPiecesPanel = {
    .id = "pieces",
    .title = "Pre-tokeniser pieces",
    .help = "Before any merge the text is cut into pieces by fixed rules. Byte pairs are merged inside a piece, never across "
            "its border, so no token is longer than a piece. Hover a piece to see its merges below, click to keep them.",
    .stage = 1,
    .needs = [](const Document&, const ModelConfig&, Needs&) {},
    .draw = draw_pieces,
    .figure = pieces_figure,
};

}  // namespace glassbox
