// Stage 1, tokens: every token of the shown step as a large chip, with its id and bytes, and brackets under characters
// that are spread over several tokens.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage1_parts.h"
#include "app/panels/stage1_trace.h"
#include "app/widgets/widgets.h"

namespace glassbox {

namespace {

constexpr size_t kListedBytes = 5;  // more are given as their number: the list would be wider than the chip

struct TokenCell {
  std::string text, id, bytes;
  FlowLayout::Place place;
  float width = 0, chip_width = 0;
};

struct TokenLine {
  int first = 0, last = 0;  // tokens
  float top = 0;            // from the first line's
  bool brackets = false;
};

// What is measured once for a text, a width and a scale.
struct TokensLayout {
  std::vector<TokenCell> cells;
  std::vector<TokenLine> lines;
  float height = 0;
};

struct LineMetrics {
  float chip, id, bytes, bracket, gap;  // heights
  explicit LineMetrics(const FrameContext& context)
      : chip(context.theme.px(34)),
        id(context.document().show_ids ? context.theme.px(17) : 0),
        bytes(context.document().show_bytes ? context.theme.px(16) : 0),
        bracket(context.theme.px(30)),
        gap(context.theme.px(14)) {}
  float labels() const { return id + bytes; }
};

std::string bytes_label(const ShownToken& token, std::string_view bytes) {
  if (token.special) return "special";
  return bytes.size() <= kListedBytes ? hex_bytes(bytes) : std::to_string(bytes.size()) + " B";
}

TokensLayout make_layout(const FrameContext& context, const TextTrace& trace, float width) {
  const Theme& theme = context.theme;
  const Document& document = context.document();
  const Tokenizer& tokenizer = context.model()->tokenizer();
  TokensLayout layout;
  layout.cells.resize(trace.tokens.size());
  const float digit = text_size(theme.mono_small, "0").x, chip_padding = chip_size(theme, "", true).x;
  for (size_t i = 0; i < trace.tokens.size(); ++i) {
    const ShownToken& token = trace.tokens[i];
    TokenCell& cell = layout.cells[i];
    cell.text = fit_text(theme.mono_large, token_text(theme, tokenizer, token.id), width - chip_padding);
    cell.chip_width = cell.width = chip_size(theme, cell.text, true).x;
    // Digits and letters of the labels are of one width, so that nothing needs measuring.
    const auto label = [&](std::string& out, std::string text, bool shown) {
      if (!shown) return;
      out = std::move(text);
      cell.width = std::max(cell.width, std::ceil(digit * static_cast<float>(out.size())) + theme.px(5));
    };
    label(cell.id, std::to_string(token.id), document.show_ids);
    label(cell.bytes, bytes_label(token, tokenizer.bytes_of(token.id)), document.show_bytes);
  }
  FlowLayout flow(width, theme.px(5));
  std::vector<FlowLayout::Place> places;
  std::vector<float> widths;
  for (int i = 0; i < static_cast<int>(trace.tokens.size());) {
    const SplitCharacters* split = trace.find_split(i);
    const int last = split ? split->last : i;
    widths.clear();
    for (; i <= last; ++i) widths.push_back(layout.cells[static_cast<size_t>(i)].width);
    flow.add_together(widths, places);
  }
  const LineMetrics metrics(context);
  for (int i = 0; i < static_cast<int>(places.size()); ++i) {
    const FlowLayout::Place& place = layout.cells[static_cast<size_t>(i)].place = places[static_cast<size_t>(i)];
    if (place.line >= static_cast<int>(layout.lines.size())) layout.lines.push_back({i, i, 0, false});
    TokenLine& line = layout.lines.back();
    line.last = i;
    line.brackets |= trace.find_split(i) != nullptr;
  }
  for (TokenLine& line : layout.lines) {
    line.top = layout.height;
    layout.height += metrics.chip + metrics.labels() + (line.brackets ? metrics.bracket : 0) + metrics.gap;
  }
  layout.height = std::max(0.0f, layout.height - metrics.gap);
  return layout;
}

void draw_summary_card(const Theme& theme, const TextTrace& trace) {
  const double bytes = static_cast<double>(trace.text.size()), tokens = static_cast<double>(trace.tokens.size());
  begin_hover_card(theme);
  card_value(theme, "bytes a token", format_fixed(bytes / tokens, 2), theme.text);
  card_equation(theme, Fraction{"bytes", "tokens"},
                Fraction{format_count(static_cast<int64_t>(bytes)), format_count(static_cast<int64_t>(tokens))},
                format_fixed(bytes / tokens, 4));
  card_source(theme,
              "Characters are Unicode code points. Bytes are those of the text in UTF-8, in a chat with the template's own "
              "text. Tokens are all of the shown step, with those that the model wrote.");
  if (!trace.dropped.empty())
    card_source(theme, "The vocabulary has no token for " + format_count(static_cast<int64_t>(trace.dropped.size())) +
                           " of these bytes, the first at " + std::to_string(trace.dropped.front()) +
                           ": they do not reach the model.");
  end_hover_card(theme);
}

void draw_header(FrameContext& context, const TextTrace* trace) {
  const Theme& theme = context.theme;
  const Document& document = context.document();
  PanelHeader header(context, "Tokens");
  ButtonLook chat;
  std::string reason = "wrap the prompt in the model's chat template";
  if (const Model* model = context.model(); model && !model->chat_template()) {
    chat.enabled = false;
    reason = model->chat_template_error();
  }
  chat.enabled = chat.enabled && context.model();
  chat.hint = reason;
  if (header.toggle("chat template", document.chat, chat)) context.run(cmd::SetChat{!document.chat});
  ButtonLook look;
  look.hint = "show each token's bytes (hexadecimal)";
  if (header.toggle("bytes", document.show_bytes, look)) context.run(cmd::SetShowBytes{!document.show_bytes});
  look.hint = "show each token's id, its row in the vocabulary";
  if (header.toggle("ids", document.show_ids, look)) context.run(cmd::SetShowIds{!document.show_ids});
  if (!trace || trace->tokens.empty()) return;
  const auto counted = [](size_t count, const char* one, const char* many) {
    return format_count(static_cast<int64_t>(count)) + " " + (count == 1 ? one : many);
  };
  const std::string tokens = counted(trace->tokens.size(), "token", "tokens");
  const double rate = static_cast<double>(trace->text.size()) / static_cast<double>(trace->tokens.size());
  std::vector<NotePart> parts = {
      {counted(trace->characters, "character", "characters") + " · " + counted(trace->text.size(), "byte", "bytes") + " · ",
       &theme.body, theme.dim},
      {tokens, &theme.bold, theme.text},
      {" · " + format_fixed(rate, 2) + " bytes a token", &theme.body, theme.dim}};
  if (!trace->dropped.empty())
    parts.push_back({" · " + counted(trace->dropped.size(), "byte", "bytes") + " without a token", &theme.body, theme.warn});
  bool placed = header.place_note(note_width(parts));
  if (!placed) {
    parts = {{tokens, &theme.bold, theme.text}};
    placed = header.place_note(note_width(parts));
  }
  if (placed && note_item(context, "##summary", parts)) draw_summary_card(theme, *trace);
}

void draw_token_card(const FrameContext& context, const TextTrace& trace, int index) {
  const Theme& theme = context.theme;
  const Tokenizer& tokenizer = context.model()->tokenizer();
  const ShownToken& token = trace.tokens[static_cast<size_t>(index)];
  const std::string_view bytes = tokenizer.bytes_of(token.id);
  begin_hover_card(theme);
  card_value(theme, "id", std::to_string(token.id), theme.accent);
  card_tokens(theme, fit_text(theme.mono, token_text(theme, tokenizer, token.id), theme.px(300)), "", "");
  card_row(theme, "position", std::to_string(index) + " of " + format_count(static_cast<int64_t>(trace.tokens.size())));
  // A token of the vocabulary can be a hundred bytes long; the card stays readable.
  constexpr size_t kCardBytes = 12;
  const std::string hex = hex_bytes(bytes.substr(0, kCardBytes));
  card_row(theme, bytes.size() == 1 ? "1 byte" : std::to_string(bytes.size()) + " bytes", bytes.size() > kCardBytes ? hex + " …" : hex);
  card_row(theme, "in the text", "bytes " + std::to_string(token.start) + " to " + std::to_string(token.end));
  if (const SplitCharacters* split = trace.find_split(index))
    card_row(theme, "part of", visible_text(theme, split->text) + " (" + hex_bytes(std::string_view(split->text).substr(0, kCardBytes)) + ")");
  const Run& run = context.document().run();
  if (token.generated) {
    const std::vector<int> path = run.path(run.cursor);
    const size_t step = static_cast<size_t>(index) - run.prompt.size() + 1;
    if (step < path.size()) {
      const RunNode& node = run.nodes[static_cast<size_t>(path[step])];
      if (node.by_hand) card_row(theme, "chosen", "by hand");
      else card_row(theme, "drawn with", "p = " + format_probability(node.prob));
    }
  }
  if (token.special)
    card_source(theme, "A special token: one row of the vocabulary that stands for a mark, found in the text before anything else.");
  card_source(theme, "Row " + format_count(token.id) + " of the vocabulary of " + format_count(tokenizer.vocab_size()) +
                         " tokens, pre-tokeniser " + std::string(tokenizer.pre_name()) + ". Click to select it.");
  end_hover_card(theme);
}

// A bracket under the tokens of a split character, within one line of chips.
void draw_bracket(ImDrawList* draw, const Theme& theme, const SplitCharacters& split, float left, float right, float top,
                  bool label) {
  const float line = theme.hairline(), tick = theme.px(5), inset = theme.px(3);
  left = std::round(left + inset), right = std::round(right - inset), top = std::round(top + theme.px(2));
  const ImU32 colour = theme.dim;
  draw->AddRectFilled({left, top}, {left + line, top + tick}, colour);
  draw->AddRectFilled({right - line, top}, {right, top + tick}, colour);
  draw->AddRectFilled({left, top + tick}, {right, top + tick + line}, colour);
  if (!label) return;
  const std::string text = fit_text(theme.mono, visible_text(theme, split.text), right - left);
  std::string words = split.count == 1 ? " one character" : " " + std::to_string(split.count) + " characters";
  const float text_width = text_size(theme.mono, text).x;
  if (text_width + text_size(theme.small, words).x > right - left) words.clear();
  const float x = std::round((left + right - text_width - text_size(theme.small, words).x) / 2);
  const float bottom = top + tick + theme.px(22);
  draw_text(draw, theme.mono, {x, middle_of(theme.mono, top + tick + theme.px(2), bottom)}, theme.text, text);
  draw_text(draw, theme.small, {x + text_width, middle_of(theme.small, top + tick + theme.px(2), bottom)}, theme.dim, words);
}

// `way_in`: Tab leads to the line's first chip, the arrows from there to all others.
void draw_line(FrameContext& context, const TextTrace& trace, const TokensLayout& layout, const TokenLine& line, ImVec2 origin, bool way_in) {
  const Theme& theme = context.theme;
  const LineMetrics metrics(context);
  const int piece = shown_piece(context, trace), selected = context.document().shown_position();
  ImDrawList* draw = ImGui::GetWindowDrawList();
  const float top = std::round(origin.y + line.top);
  for (int i = line.first; i <= line.last; ++i) {
    const ShownToken& token = trace.tokens[static_cast<size_t>(i)];
    const TokenCell& cell = layout.cells[static_cast<size_t>(i)];
    ChipLook look;
    look.large = true;
    look.fill = token.special ? 0 : theme.chip_colour(i);
    look.dashed = token.special;
    look.generated = token.generated;
    if (context.hovered.position == i) look.ring = theme.accent;
    else if (token.piece >= 0 && token.piece == piece) look.ring = theme.ring;
    else if (i == selected) look.ring = theme.accent;
    const float left = std::round(origin.x + cell.place.x);
    const std::string id = "token " + std::to_string(i);
    ImGui::SetCursorScreenPos({left + std::round((cell.width - cell.chip_width) / 2), top});
    const bool listed = !way_in || i != line.first;
    if (listed) begin_list_items();
    const ChipAnswer answer = token_chip(theme, id.c_str(), cell.text, look);
    if (listed) end_list_items();
    if (answer.hovered) {
      context.hover.position = i;
      context.hover.token = token.id;
      context.hover.piece = token.piece;
      draw_token_card(context, trace, i);
    }
    if (answer.clicked) {
      context.run(cmd::SelectPosition{i});
      if (token.piece >= 0 && token.piece != selected_piece(context, trace)) select_piece(context, token.piece);
    }
    value_menu(context, id.c_str(), std::to_string(token.id));
    const bool ringed = look.ring != 0;
    const auto centred = [&](const std::string& text, float y, ImU32 colour) {
      draw_text(draw, theme.mono_small, {left + (cell.width - text_size(theme.mono_small, text).x) / 2, y}, colour, text);
    };
    if (!cell.id.empty()) centred(cell.id, top + metrics.chip + theme.px(4), ringed ? theme.text : mix(theme.dim, theme.text, 0.5f));
    if (!cell.bytes.empty()) centred(cell.bytes, top + metrics.chip + metrics.id + theme.px(2), theme.dim);
  }
  if (!line.brackets) return;
  for (int i = line.first; i <= line.last;) {
    const SplitCharacters* split = trace.find_split(i);
    if (!split) {
      ++i;
      continue;
    }
    const int last = std::min(split->last, line.last);
    const TokenCell &from = layout.cells[static_cast<size_t>(i)], &to = layout.cells[static_cast<size_t>(last)];
    draw_bracket(draw, theme, *split, origin.x + from.place.x, origin.x + to.place.x + to.width,
                 top + metrics.chip + metrics.labels(), i == split->first);
    i = last + 1;
  }
}

// Scrolls to the selected token when another one was selected, so that a choice made elsewhere is seen here. While one
// types or generates, the end is followed; another text begins at its top.
void follow_selection(const FrameContext& context, const TextTrace& trace, const TokensLayout& layout) {
  constexpr int kTypedAtOnce = 4;  // a keystroke at the end adds a few tokens at most; more is another text
  ImGuiStorage* storage = ImGui::GetStateStorage();
  const ImGuiID position_key = ImGui::GetID("followed position"), count_key = ImGui::GetID("followed count");
  const int position = context.document().shown_position(), count = static_cast<int>(trace.tokens.size());
  const int followed = storage->GetInt(position_key, -1), counted = storage->GetInt(count_key, 0);
  if (position < 0 || position >= count || (followed == position && counted == count)) return;
  storage->SetInt(position_key, position);
  storage->SetInt(count_key, count);
  if (std::abs(count - counted) > kTypedAtOnce) {
    ImGui::SetScrollY(0);
    return;
  }
  const LineMetrics metrics(context);
  const TokenLine& line = layout.lines[static_cast<size_t>(layout.cells[static_cast<size_t>(position)].place.line)];
  const float top = line.top, bottom = line.top + metrics.chip + metrics.labels() + metrics.bracket;
  if (top < ImGui::GetScrollY()) ImGui::SetScrollY(top);
  else if (bottom > ImGui::GetScrollY() + ImGui::GetWindowHeight()) ImGui::SetScrollY(bottom - ImGui::GetWindowHeight());
}

void draw_tokens(FrameContext& context) {
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  draw_header(context, trace.get());
  PanelBody body(context);
  if (draw_without_model(context, "its tokens appear here")) return;
  const Theme& theme = context.theme;
  uint64_t version = mix_version(trace->version, static_cast<uint64_t>(body.size.x));
  version = mix_version(version, static_cast<uint64_t>(theme.scale * 1000) * 4 +
                                     static_cast<uint64_t>(context.document().show_ids) * 2 +
                                     static_cast<uint64_t>(context.document().show_bytes));
  const auto layout = context.memo.get<TokensLayout>("stage 1 tokens", version,
                                                     [&] { return make_layout(context, *trace, body.size.x); });
  // Only the lines that are seen become items, and one more each way for the keyboard to go on to.
  const float seen_top = body.draw->GetClipRectMin().y - body.min.y, seen_bottom = body.draw->GetClipRectMax().y - body.min.y;
  const float tallest = LineMetrics(context).chip + LineMetrics(context).labels() + LineMetrics(context).bracket;
  bool entered = false;
  for (const TokenLine& line : layout->lines) {
    if (line.top + 2 * tallest < seen_top) continue;
    if (line.top - tallest > seen_bottom) break;
    const bool way_in = !entered && line.top >= seen_top - 1;
    entered |= way_in;
    draw_line(context, *trace, *layout, line, body.min, way_in);
  }
  ImGui::SetCursorScreenPos(body.min);
  ImGui::Dummy({1, layout->height});
  follow_selection(context, *trace, *layout);
}

nlohmann::json tokens_figure(const FrameContext& context) {
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  if (!trace) return nlohmann::json::object();
  return {{"tokens", tokens_json(context.model()->tokenizer(), *trace)}, {"missing_bytes", trace->dropped}};
}

}  // namespace

const Panel kTokensPanel = {
    .id = "tokens",
    .title = "Tokens",
    .help = "The prompt as the model gets it: one chip a token, with its id and its bytes. A space is ·, a new line ↵, and a "
            "byte that is no whole character ‹E8›; a bracket joins the tokens that share one character. Dashed chips are "
            "special tokens. Hover to find a token in every panel, click to select it and to see the merges of its piece.",
    .stage = 1,
    .needs = [](const Document&, const ModelConfig&, Needs&) {},
    .draw = draw_tokens,
    .figure = tokens_figure,
};

}  // namespace glassbox
