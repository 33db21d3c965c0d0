#include "app/panels/prompt_bar.h"

#include <algorithm>
#include <cmath>

#include "app/panels/timeline.h"
#include "app/shell/icons.h"
#include "app/widgets/widgets.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"
#include "imgui_internal.h"
#include "imgui_stdlib.h"

namespace glassbox {

namespace {

constexpr int kMostLines = 3;
// Lengths at 100 %.
constexpr float kSide = 16, kTop = 11, kFieldPadding = 8, kChipGap = 4, kRowGap = 11, kBottom = 13;
constexpr float kMore = 56;  // room for "+ 1 234" after the last chip in sight

TextStyle field_style(const Theme& theme) { return {theme.body.font, theme.px(16 * Theme::kLine)}; }

struct TransportWidths {
  float chat, literal, seed, total;
};

TransportWidths transport_widths(const Theme& theme, uint64_t seed) {
  TransportWidths w{};
  const float gap = theme.px(6), wide = theme.px(12);
  w.chat = toggle_width(theme, "Chat"), w.literal = toggle_width(theme, "literal");
  w.seed = std::ceil(text_size(theme.small, "seed").x + text_size(theme.mono, std::to_string(seed)).x) + theme.px(24);
  const float step = icon_button_width(theme, {.primary = true, .text = "Step"});
  w.total = w.literal + wide + 4 * theme.px(30) + step + 4 * gap + wide + w.seed + gap + w.chat;
  return w;
}

float field_width(const Theme& theme, const Document& document, float width) {
  return std::max(theme.px(160), width - 2 * theme.px(kSide) - transport_widths(theme, document.seed).total - theme.px(24));
}

// The place where a line that begins at `line` is broken in the text field.
const char* wrap_line(const TextStyle& style, const char* line, const char* end, float width) {
  return ImFontCalcWordWrapPositionEx(style.font, style.size, line, end, width, ImDrawTextFlags_WrapKeepBlanks);
}

float wrap_width(const Theme& theme, float field) {
  // As InputTextMultiline has it: one padding, and room for its scroll bar.
  return std::max(1.0f, field - theme.px(10) - theme.px(10));
}

int count_lines(const TextStyle& style, std::string_view text, float width) {
  int lines = text.empty() || text.back() == '\n' ? 1 : 0;
  const char *at = text.data(), *end = text.data() + text.size();
  while (at < end && lines < kMostLines) {
    ++lines;
    const char* next = wrap_line(style, at, end, width);
    at = next < end && *next == '\n' ? next + 1 : std::max(next, at + 1);
  }
  return std::clamp(lines, 1, kMostLines);
}

float field_height(const Theme& theme, std::string_view text, float width) {
  const TextStyle style = field_style(theme);
  return style.size * static_cast<float>(count_lines(style, text, wrap_width(theme, width))) + 2 * theme.px(kFieldPadding);
}

// The field's buffer got another text than the one that was typed into it. Dear ImGui keeps the state of a field that was
// left, and draws its cursor when the field's width changes: on a text that is no longer there.
void text_replaced(ImGuiID id) {
  ImGuiInputTextState* state = ImGui::GetInputTextState(id);
  if (!state) return;
  if (ImGui::GetActiveID() == id) state->ReloadUserBufAndMoveToEnd();
  else state->ID = 0;
}

}  // namespace

float PromptBar::height(const Theme& theme, const Document& document, float width) const {
  const std::string& text = refused_ || editing_ ? buffer_ : document.text;
  return theme.px(kTop) + field_height(theme, text, field_width(theme, document, width)) + theme.px(kRowGap) + theme.px(27) +
         (has_timeline(document) ? timeline_height(theme) : 0) + theme.px(kBottom);
}

void PromptBar::draw(FrameContext& context) {
  const Theme& theme = context.theme;
  const ImVec2 origin = ImGui::GetWindowPos();
  const float width = ImGui::GetWindowWidth();
  sync(context);

  ImVec2 at(origin.x + theme.px(kSide), origin.y + theme.px(kTop));
  const float field = field_width(theme, context.document(), width);
  const float high = field_height(theme, buffer_, field);
  draw_text_field(context, at, {field, high});
  draw_transport(context, origin.x + width - theme.px(12), at.y + (theme.px(34) - theme.px(28)) / 2);

  at.y += high + theme.px(kRowGap);
  draw_chips(context, at, width - 2 * theme.px(kSide));
  if (has_timeline(context.document())) {
    at.y += theme.px(27);
    draw_timeline(context, at, width - 2 * theme.px(kSide));
  }
}

// Takes over what changed outside (undo, a lesson, another run) and finds the tokens' places in the text.
void PromptBar::sync(FrameContext& context) {
  const Document& document = context.document();
  if (document.text != known_) {
    const bool own = buffer_ == document.text;
    known_ = buffer_ = document.text;
    refused_ = false;
    if (!own) text_replaced(ImGui::GetID("##text"));
  }
  const Model* model = context.model();
  if (!model || document.runs.empty()) {
    places_.clear(), places_key_.clear();
    return;
  }
  const Run& run = document.run();
  std::string key = run.text + (run.chat ? "\1c" : "\1t") + (run.literal ? "l" : "s") + std::to_string(run.prompt.size()) +
                    "/" + std::to_string(model->hash());
  if (key == places_key_) return;
  places_key_ = std::move(key);
  places_.clear();
  const Tokenizer& tokenizer = model->tokenizer();
  if (run.chat && model->chat_template()) {
    const ChatMessage message{"user", run.text};
    const ChatRendering rendering = model->chat_template()->apply({&message, 1}, true, tokenizer);
    int begin = -1, end = -1;
    for (const ChatSpan& span : rendering.spans)
      if (span.part == ChatPart::content && span.message == 0)
        begin = static_cast<int>(span.start), end = static_cast<int>(span.end);
    for (const Token& token : rendering.tokens) {
      const int low = static_cast<int>(token.start), high = static_cast<int>(token.end);
      if (begin >= 0 && low >= begin && high <= end && high > low) places_.push_back({low - begin, high - begin});
      else places_.push_back({-1, -1});
    }
  } else {
    const std::vector<Token> tokens = tokenizer.encode(run.text, !run.literal);
    for (size_t i = tokens.size(); i < run.prompt.size(); ++i) places_.push_back({-1, -1});  // the start token
    for (const Token& token : tokens) places_.push_back({static_cast<int>(token.start), static_cast<int>(token.end)});
  }
}

void PromptBar::draw_text_field(FrameContext& context, ImVec2 min, ImVec2 size) {
  const Theme& theme = context.theme;
  const TextStyle style = field_style(theme);
  ImGui::SetCursorScreenPos(min);
  ImGui::PushFont(style.font, style.size);
  ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, ImVec2(theme.px(10), theme.px(kFieldPadding)));
  ImGui::PushStyleColor(ImGuiCol_FrameBg, theme.kind == ThemeKind::dark ? theme.well : theme.well);
  ImGui::PushStyleColor(ImGuiCol_Border, refused_ ? theme.error : editing_ ? theme.accent : theme.line);
  ImGui::PushStyleColor(ImGuiCol_NavCursor, 0u);
  if (focus_) ImGui::SetKeyboardFocusHere(), focus_ = false;
  const ImGuiID id = ImGui::GetID("##text");
  // Ctrl+Z belongs to the Document, which knows every text; the field keeps no history of its own.
  const bool changed = ImGui::InputTextMultiline(
      "##text", &buffer_, size,
      ImGuiInputTextFlags_WordWrap | ImGuiInputTextFlags_CtrlEnterForNewLine | ImGuiInputTextFlags_NoUndoRedo);
  const bool was_editing = editing_;
  editing_ = ImGui::IsItemActive();
  if (to_end_ && editing_) {
    if (ImGuiInputTextState* state = ImGui::GetInputTextState(id)) state->ReloadUserBufAndMoveToEnd();
    to_end_ = false;
  }
  // Enter draws a token, and one goes on typing: Dear ImGui leaves the field.
  const bool entered = (was_editing || editing_) && ImGui::IsKeyPressed(ImGuiKey_Enter, false) && !ImGui::GetIO().KeyShift && !ImGui::GetIO().KeyCtrl;
  if (entered && !editing_) focus_ = true;
  ImGui::PopStyleColor(3);
  ImGui::PopStyleVar();
  ImGui::PopFont();
  if (changed && !editing_ && ImGui::IsKeyPressed(ImGuiKey_Escape, false)) {
    // Esc leaves the field. Dear ImGui would also take back what was typed; that is Ctrl+Z's business.
    buffer_ = context.document().text;
    text_replaced(id);
  } else if (changed) {
    const Result<void> taken = context.bench.apply(cmd::SetText{buffer_});
    refused_ = !taken.ok();
    if (!taken) context.shell.report(taken.error());
    known_ = context.document().text;
    follow_end_ = true;
  }
  if (entered && !refused_) {
    context.bench.step_tokens(1);
    follow_end_ = true;
  }
  if (buffer_.empty() && !editing_)
    draw_text(ImGui::GetWindowDrawList(), style, {min.x + theme.px(10), min.y + theme.px(kFieldPadding)}, theme.dim,
              "Type here: the model answers at every key");
  mark_hovered(context, id, min, size);
}

// Links text and chips: the token under the pointer, and the letters of the hovered token.
void PromptBar::mark_hovered(FrameContext& context, ImGuiID id, ImVec2 min, ImVec2 size) {
  const Theme& theme = context.theme;
  const TextStyle style = field_style(theme);
  const ImGuiWindow* field = nullptr;
  for (const ImGuiWindow* child : ImGui::GetCurrentWindow()->DC.ChildWindows)
    if (child->ChildId == id) field = child;
  if (!field) return;
  if (field->ScrollMax.y > 0) {
    // Whole lines only: what would peep into the padding is covered, and the rounded corners are not.
    const float pad = theme.px(kFieldPadding), line = theme.hairline(), left = min.x + theme.px(Theme::kRounding);
    const float right = min.x + size.x - field->ScrollbarSizes.x - line;
    field->DrawList->AddRectFilled({left, min.y + line}, {right, min.y + pad - theme.px(2)}, theme.well);
    field->DrawList->AddRectFilled({left, min.y + size.y - pad + theme.px(2)}, {right, min.y + size.y - line}, theme.well);
  }
  if (places_.empty() || refused_) return;
  const bool over = ImGui::IsMouseHoveringRect(min, {min.x + size.x, min.y + size.y}) && ImGui::IsWindowHovered(ImGuiHoveredFlags_ChildWindows);
  const int hovered = context.hovered.position;
  const bool mark = hovered >= 0 && hovered < static_cast<int>(places_.size()) && places_[static_cast<size_t>(hovered)].begin >= 0;
  if (!over && !mark) return;
  const ImVec2 start(min.x + theme.px(10), min.y + theme.px(kFieldPadding) - field->Scroll.y);
  const char *text = buffer_.data(), *end = text + buffer_.size();
  const float wrap = wrap_width(theme, size.x);
  const ImVec2 mouse = ImGui::GetIO().MousePos;
  ImDrawList* draw = field->DrawList;
  draw->PushClipRect(min, {min.x + size.x, min.y + size.y});
  int under = -1;
  float y = start.y;
  for (const char* line = text; line < end; y += style.size) {
    const char* stop = wrap_line(style, line, end, wrap);
    if (stop <= line && !(stop < end && *stop == '\n')) stop = line + 1;
    const bool visible = y + style.size > min.y && y < min.y + size.y;
    if (visible && over && mouse.y >= y && mouse.y < y + style.size && mouse.x >= start.x) {
      const char* hit = line;
      style.font->CalcTextSizeA(style.size, mouse.x - start.x, 0, line, stop, &hit);
      if (hit < stop) under = static_cast<int>(hit - text);
    }
    if (visible && mark) {
      const Place place = places_[static_cast<size_t>(hovered)];
      const char *from = std::max(line, text + place.begin), *to = std::min(stop, text + place.end);
      if (from < to) {
        const auto width = [&](const char* a, const char* b) { return text_size(style, {a, static_cast<size_t>(b - a)}).x; };
        const float x = start.x + width(line, from);
        const ImVec2 low(x - 1, y - theme.px(2)), high(x + width(from, to) + 1, y + style.size + theme.px(3));
        draw->AddRectFilled(low, high, with_alpha(theme.accent, 0.22f), theme.px(3));
        draw->AddRectFilled({low.x, high.y - theme.px(2)}, high, theme.accent);
      }
    }
    line = stop < end && *stop == '\n' ? stop + 1 : stop;
  }
  draw->PopClipRect();
  if (under >= 0)
    for (size_t i = 0; i < places_.size(); ++i)
      if (places_[i].begin <= under && under < places_[i].end) context.hover.position = static_cast<int>(i);
}

void PromptBar::draw_transport(FrameContext& context, float right, float top) {
  const Theme& theme = context.theme;
  Workbench& bench = context.bench;
  const Document& document = context.document();
  const TransportWidths widths = transport_widths(theme, document.seed);
  const float gap = theme.px(6), wide = theme.px(12);
  const bool ready = bench.model() != nullptr && !document.shown_tokens().empty();
  float x = right - widths.total;
  const auto place = [&](float width, float after) {
    ImGui::SetCursorScreenPos({x, top});
    x += width + after;
  };
  const float high = theme.px(28);

  place(widths.literal, wide);
  if (toggle(theme, "literal", document.literal,
             {.enabled = !document.chat,
              .height = high,
              .hint = document.chat ? "In a chat, what you type is always taken literally: it never becomes a control token."
                                    : "Take special tokens such as <|im_start|> as plain text, letter by letter."}))
    context.run(cmd::SetLiteral{!document.literal});

  const Run* run = document.runs.empty() ? nullptr : &document.run();
  const bool generated = run && run->nodes.size() > 1;
  place(theme.px(30), gap);
  if (icon_button(theme, "reset", Icon::reset, {.enabled = generated, .hint = "Forget what was generated and go back to the prompt"}))
    context.run(cmd::ResetRun{});
  place(theme.px(30), gap);
  if (icon_button(theme, "back", Icon::back, {.enabled = run && run->cursor > 0, .hint = "One token back (←)"})) bench.back();
  const IconButtonLook step{.enabled = ready && !bench.playing(), .primary = true, .text = "Step",
                            .hint = "Draw the next token (F6, or Enter in the text; → walks along the line)"};
  place(icon_button_width(theme, step), gap);
  if (icon_button(theme, "step", Icon::step, step)) bench.forward_one(), follow_end_ = true;
  place(theme.px(30), gap);
  const bool playing = bench.playing();
  if (icon_button(theme, "play", playing ? Icon::pause : Icon::play,
                  {.enabled = ready, .active = playing, .hint = playing ? "Pause (Space)" : "Draw tokens until the text ends (Space)"})) {
    if (playing) bench.pause();
    else bench.play(), follow_end_ = true;
  }
  place(theme.px(30), wide);
  if (icon_button(theme, "redraw", Icon::branch,
                  {.enabled = ready, .hint = "Redraw from here: the next draws use new random numbers, on a branch of their own"})) {
    context.run(cmd::RedrawFromHere{});
    bench.step_tokens(1);
  }

  // The seed is a number to click on and type.
  place(widths.seed, gap);
  const ImVec2 low = ImGui::GetCursorScreenPos(), top_right(low.x + widths.seed, low.y + high);
  if (seed_editing_) {
    uint64_t seed = document.seed;
    ImGui::PushFont(theme.mono.font, theme.mono.size);
    ImGui::PushStyleVar(ImGuiStyleVar_FramePadding, ImVec2(theme.px(8), (high - theme.mono.size) / 2));
    ImGui::SetNextItemWidth(widths.seed);
    if (seed_focus_) ImGui::SetKeyboardFocusHere(), seed_focus_ = false;
    const bool done = ImGui::InputScalar("##seed", ImGuiDataType_U64, &seed, nullptr, nullptr, "%llu",
                                         ImGuiInputTextFlags_EnterReturnsTrue | ImGuiInputTextFlags_AutoSelectAll);
    const bool left = ImGui::IsItemDeactivated();
    ImGui::PopStyleVar();
    ImGui::PopFont();
    if (done || left) {
      seed_editing_ = false;
      if (seed != document.seed && !ImGui::IsKeyPressed(ImGuiKey_Escape, false)) context.run(cmd::SetSeed{seed});
    }
  } else {
    if (press_area("seed", {widths.seed, high})) seed_editing_ = seed_focus_ = true;
    ImDrawList* draw = ImGui::GetWindowDrawList();
    const bool hovered = ImGui::IsItemHovered();
    draw->AddRectFilled(low, top_right, hovered ? theme.hover : theme.raised, theme.px(Theme::kRounding));
    draw->AddRect(low, top_right, theme.line, theme.px(Theme::kRounding), 0, theme.hairline());
    const float middle = (low.y + top_right.y) / 2;
    draw_text(draw, theme.small, {low.x + theme.px(9), middle - theme.small.size / 2}, theme.dim, "seed");
    draw_text(draw, theme.mono, {low.x + theme.px(15) + text_size(theme.small, "seed").x, middle - theme.mono.size / 2}, theme.text,
              std::to_string(document.seed));
    draw_focus(theme, low, top_right);
    tooltip(theme, "Chance is a function of the seed, the branch and the position: the same seed draws the same text. Click to type another one.");
  }

  place(widths.chat, 0);
  const Model* model = context.model();
  const bool can_chat = model && model->chat_template();
  const std::string why = !model ? "No model is loaded." : can_chat ? "Wrap the text in the model's own chat template: " + std::string(model->chat_template()->name())
                                                                    : model->chat_template_error();
  if (toggle(theme, "Chat", document.chat, {.enabled = can_chat || document.chat, .height = high, .hint = why}))
    context.run(cmd::SetChat{!document.chat});
}

void PromptBar::explain_chip(FrameContext& context, int position, int32_t token) {
  const Theme& theme = context.theme;
  const Document& document = context.document();
  const Run& run = document.run();
  const Tokenizer& tokenizer = context.model()->tokenizer();
  begin_hover_card(theme);
  card_tokens(theme, token_text(theme, tokenizer, token), "", "");
  card_row(theme, "id", std::to_string(token));
  std::string bytes;
  for (const char byte : tokenizer.bytes_of(token).substr(0, 16)) {
    static constexpr char kHex[] = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    if (!bytes.empty()) bytes += ' ';
    bytes += kHex[value >> 4], bytes += kHex[value & 15];
  }
  if (tokenizer.bytes_of(token).size() > 16) bytes += " …";
  card_row(theme, "bytes", bytes);
  card_row(theme, "position", std::to_string(position));
  const int prompt = static_cast<int>(run.prompt.size());
  if (position >= prompt) {
    const std::vector<int> path = run.path(run.cursor);
    const size_t at = static_cast<size_t>(position - prompt) + 1;
    if (at < path.size()) {
      const RunNode& node = run.nodes[static_cast<size_t>(path[at])];
      if (node.by_hand) {
        card_row(theme, "chosen", "by hand");
      } else {
        card_row(theme, "drawn with p", format_probability(node.prob));
        card_row(theme, "by u", format_fixed(node.u, 4));
      }
      if (!node.by_hand && node.sampler_hash != hash_sampler(document.sampler)) card_source(theme, "drawn under other sampler settings");
      if (node.edits_hash != hash_edits(document.edits)) card_source(theme, "drawn under other edits of the model");
    }
  } else if (static_cast<size_t>(position) < places_.size() && places_[static_cast<size_t>(position)].begin < 0) {
    card_source(theme, document.chat ? "put in by the chat template" : "the token that this model expects at the start");
  }
  card_source(theme, "Click to select it in every panel.");
  end_hover_card(theme);
}

// At the ends of what is in sight the arrows bring the next chip there, for the keyboard to stand on in the next frame.
void PromptBar::walk_on(int at_keys, int last, int count) {
  if (at_keys >= 0 && at_keys == first_ && first_ > 0) {
    keep_keys({ImGuiKey_LeftArrow});
    if (ImGui::IsKeyPressed(ImGuiKey_LeftArrow)) walked_to_ = --first_;
  } else if (at_keys >= 0 && at_keys == last && last + 1 < count) {
    keep_keys({ImGuiKey_RightArrow});
    if (ImGui::IsKeyPressed(ImGuiKey_RightArrow)) walked_to_ = last + 1;
  }
}

// Texts and places of all chips. A 400-token prompt is 400 short texts: those that stay are kept.
void PromptBar::make_chips(const Theme& theme, const Model& model, const std::vector<int32_t>& tokens) {
  if (chips_.model != model.hash() || chips_.scale != theme.scale) chips_ = {model.hash(), theme.scale, {}, {}, {0}};
  const auto kept = static_cast<size_t>(std::mismatch(tokens.begin(), tokens.end(), chips_.tokens.begin(), chips_.tokens.end()).first - tokens.begin());
  chips_.tokens = tokens;
  chips_.texts.resize(kept);
  chips_.lefts.resize(kept + 1);
  for (size_t i = kept; i < tokens.size(); ++i) {
    chips_.texts.push_back(token_text(theme, model.tokenizer(), tokens[i]));
    chips_.lefts.push_back(chips_.lefts.back() + chip_size(theme, chips_.texts.back()).x + theme.px(kChipGap));
  }
}

void PromptBar::draw_chips(FrameContext& context, ImVec2 min, float width) {
  const Theme& theme = context.theme;
  const Model* model = context.model();
  const Document& document = context.document();
  if (!model || document.runs.empty()) {
    draw_text(ImGui::GetWindowDrawList(), theme.body, {min.x, min.y + (theme.px(27) - theme.body.size) / 2}, theme.dim,
              context.bench.loading() ? "The tokens appear when the model is loaded." : "Open a model to see the tokens (Ctrl+O).");
    return;
  }
  const Tokenizer& tokenizer = model->tokenizer();
  const std::vector<int32_t> tokens = document.shown_tokens();
  const int count = static_cast<int>(tokens.size()), prompt = static_cast<int>(document.run().prompt.size());
  if (count != seen_length_) {
    if (count > prompt || editing_) follow_end_ = true;
    seen_length_ = count;
  }

  // The prediction is of the step that is shown, so it waits while a newer one is being computed.
  const View& view = context.view();
  if (view.chain != predicted_from_) {
    predicted_from_ = view.chain;
    predicted_ = -1;
    if (view.chain && !view.chain->candidates.empty()) {
      // Without penalties the candidates are in the order of the model's own logits.
      const std::vector<Candidate>& candidates = view.chain->candidates;
      const auto best = !view.chain->stages.front().active
                            ? candidates.begin()
                            : std::max_element(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.logit < b.logit; });
      predicted_ = best->id, predicted_probability_ = best->prob_model;
    }
  }
  const bool predict = predicted_ >= 0 && view.chain && view.tokens == tokens;
  const std::string next = predict ? token_text(theme, tokenizer, predicted_) + " " + format_probability(predicted_probability_) : "";
  const float gap = theme.px(kChipGap);
  const float reserved = predict ? chip_size(theme, next).x + theme.px(12) : 0;

  make_chips(theme, *model, tokens);
  const std::vector<std::string>& texts = chips_.texts;
  const std::vector<float>& lefts = chips_.lefts;
  const float total = lefts.back();
  // The row begins at a chip of its own: whole chips only, since one that is cut reads as another token.
  const auto before_width = [&](int first) {
    return first > 0 ? text_size(theme.body, format_count(first) + " +").x + theme.px(8) : 0.0f;
  };
  const float room = width - reserved;
  const auto fits_from = [&](int first) { return before_width(first) + total - gap - lefts[static_cast<size_t>(first)] <= room; };
  int furthest = 0;  // the first chip when the last one is in sight
  while (furthest + 1 < count && !fits_from(furthest)) ++furthest;
  if (follow_end_) first_ = furthest, follow_end_ = false;
  const ImVec2 max(min.x + width, min.y + theme.px(27));
  if (ImGui::IsMouseHoveringRect(min, max) && ImGui::IsWindowHovered(ImGuiHoveredFlags_ChildWindows)) {
    const ImGuiIO& io = ImGui::GetIO();
    const float wheel = io.MouseWheel + io.MouseWheelH;
    if (wheel != 0) first_ -= static_cast<int>(std::lround(wheel * 3));
  }
  first_ = std::clamp(first_, 0, furthest);
  const int selected = document.shown_position();
  int last = -1, at_keys = -1;  // the last chip in sight, and the one where the keyboard stands
  const float offset = before_width(first_);
  if (first_ > 0)
    draw_text(ImGui::GetWindowDrawList(), theme.body, {min.x, min.y + (theme.px(27) - theme.body.size) / 2}, theme.dim,
              format_count(first_) + " +");
  const float more = first_ < furthest ? theme.px(kMore) : 0;
  const float base = count > 0 ? lefts[static_cast<size_t>(first_)] : 0;
  float x = min.x;
  for (int i = first_; i < count; ++i) {
    const float left = min.x + offset + lefts[static_cast<size_t>(i)] - base;
    const float right = left + lefts[static_cast<size_t>(i) + 1] - lefts[static_cast<size_t>(i)] - gap;
    if (right > min.x + room - more + 0.5f && i > first_) break;
    ImGui::SetCursorScreenPos({left, min.y});
    ChipLook look{.fill = theme.chip_colour(i)};
    if (i == context.hovered.position) look.ring = with_alpha(theme.ring, 0.65f);
    if (i == selected && (document.selection.position >= 0 || document.stage != 1)) look.ring = theme.ring;
    look.generated = i >= prompt;
    const ChipAnswer chip = token_chip(theme, ("chip" + std::to_string(i)).c_str(), texts[static_cast<size_t>(i)], look);
    if (walked_to_ == i) focus_item(), walked_to_ = -1;
    if (item_focused()) at_keys = i;
    if (chip.hovered) {
      context.hover.position = i;
      explain_chip(context, i, tokens[static_cast<size_t>(i)]);
    }
    if (chip.clicked) context.run(cmd::SelectPosition{i});
    if (begin_value_menu(context, ("menu" + std::to_string(i)).c_str(), std::to_string(tokens[static_cast<size_t>(i)]))) end_value_menu();
    last = i;
    x = chip.max.x;
  }
  walk_on(at_keys, last, count);
  const auto ends_at = [&](int chip) { return before_width(first_) + lefts[static_cast<size_t>(chip) + 1] - gap - lefts[static_cast<size_t>(first_)]; };
  while (walked_to_ > last && first_ < furthest && ends_at(walked_to_) > room - theme.px(kMore)) ++first_;
  if (last + 1 < count) {
    const std::string rest = "+ " + format_count(count - last - 1);
    draw_text(ImGui::GetWindowDrawList(), theme.body, {x + theme.px(8), min.y + (theme.px(27) - theme.body.size) / 2}, theme.dim, rest);
    x += theme.px(8) + text_size(theme.body, rest).x;
  }
  if (predict) {
    ImGui::SetCursorScreenPos({x + theme.px(10), min.y});
    const ChipLook look{.text = theme.logits, .ring = context.hovered.token == predicted_ ? with_alpha(theme.ring, 0.5f) : 0, .dashed = true};
    const ChipAnswer chip = token_chip(theme, "predicted", next, look);
    if (chip.hovered) {
      context.hover.token = predicted_;
      begin_hover_card(theme);
      card_value(theme, "the model's first choice", format_probability(predicted_probability_), theme.logits);
      card_tokens(theme, token_text(theme, tokenizer, predicted_), "", "");
      card_source(theme, "Probability by the model's own distribution, before the sampler's rules. Click to take this token as the next one.");
      end_hover_card(theme);
    }
    if (chip.clicked) context.run(cmd::Branch{document.run().cursor, predicted_, predicted_probability_}), follow_end_ = true;
  }
}

}  // namespace glassbox
