#include "core/run/prompt.h"

#include <algorithm>
#include <limits>

#include "core/model/model.h"
#include "core/run/command.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

void append(const EncodeTrace& part, uint32_t offset, EncodeTrace& whole) {
  const auto first = static_cast<uint32_t>(whole.tokens.size());
  for (Token token : part.tokens) {
    token.start += offset;
    token.end += offset;
    whole.tokens.push_back(token);
  }
  for (Piece piece : part.pieces) {
    piece.start += offset;
    piece.end += offset;
    piece.first_token += first;
    whole.pieces.push_back(piece);
  }
}

// Between the template's markers everything is plain text, tokenised stretch by stretch.
TracedPrompt trace_chat(std::string message, const ChatTemplate& chat, const Tokenizer& tokenizer) {
  const ChatMessage user{"user", std::move(message)};
  ChatRendering rendering = chat.apply({&user, 1}, true, tokenizer);
  TracedPrompt traced{std::move(rendering.text), {}};
  const std::string_view text = traced.text;
  uint32_t at = 0;
  const auto plain = [&](uint32_t end) {
    if (end > at) append(tokenizer.trace(text.substr(at, end - at), false), at, traced.trace);
  };
  for (const ChatSpan& span : rendering.spans) {
    if (span.part != ChatPart::marker) continue;
    plain(span.start);
    const uint32_t length = span.end - span.start;
    const int32_t id = tokenizer.find_special(text.substr(span.start, length));
    append({{{id, 0, length, true}}, {{0, length, 0, 1, true}}}, span.start, traced.trace);
    at = span.end;
  }
  plain(static_cast<uint32_t>(text.size()));
  return traced;
}

}  // namespace

Result<std::vector<int32_t>> tokenise_prompt(const PromptText& prompt, const Model* model) {
  if (prompt.text.size() > kMaxTextBytes) {
    return Error{ErrorKind::usage, "The text has " + std::to_string(prompt.text.size()) + " bytes.", "text",
                 "at most " + std::to_string(kMaxTextBytes) + " bytes", "Shorten the text."};
  }
  if (Result<void> valid = check_utf8(prompt.text, "text"); !valid) return valid.error();
  std::vector<int32_t> ids;
  if (!model) return ids;

  const Tokenizer& tokenizer = model->tokenizer();
  if (prompt.chat) {
    const ChatTemplate* chat = model->chat_template();
    if (!chat) {
      return Error{ErrorKind::usage, model->chat_template_error(), "chat", "a model whose chat template is known",
                   "Switch the chat off, or open another model."};
    }
    const ChatMessage message{"user", prompt.text};
    ids = chat->apply({&message, 1}, true, tokenizer).ids();
  } else {
    if (tokenizer.adds_bos() && tokenizer.bos_id() >= 0) ids.push_back(tokenizer.bos_id());
    for (const Token& token : tokenizer.encode(prompt.text, !prompt.literal)) ids.push_back(token.id);
  }
  const int context = model->config().context;
  if (ids.size() > static_cast<size_t>(context)) {
    return Error{ErrorKind::usage,
                 "The prompt has " + std::to_string(ids.size()) + " tokens, and the model's context holds " +
                     std::to_string(context) + ".",
                 "text", "at most " + std::to_string(context) + " tokens", "Shorten the text."};
  }
  return ids;
}

TracedPrompt trace_prompt(PromptText prompt, const Model& model) {
  const Tokenizer& tokenizer = model.tokenizer();
  if (prompt.chat) return trace_chat(std::move(prompt.text), *model.chat_template(), tokenizer);
  TracedPrompt traced{std::move(prompt.text), {}};
  traced.trace = tokenizer.trace(traced.text, !prompt.literal);
  if (tokenizer.adds_bos() && tokenizer.bos_id() >= 0) {
    traced.trace.tokens.insert(traced.trace.tokens.begin(), {tokenizer.bos_id(), 0, 0, true});
    for (Piece& piece : traced.trace.pieces) ++piece.first_token;
  }
  return traced;
}

void show_prompt(Document& document, const PromptText& prompt, std::vector<int32_t> ids) {
  document.text = prompt.text;
  document.chat = prompt.chat;
  document.literal = prompt.literal;
  const Run& current = document.run();
  if (current.text == prompt.text && current.chat == prompt.chat && current.literal == prompt.literal &&
      current.prompt == ids) {
    return;
  }
  Run run;
  run.id = ++document.runs_made;
  run.text = prompt.text;
  run.chat = prompt.chat;
  run.literal = prompt.literal;
  run.seed = document.seed;
  run.prompt = std::move(ids);
  if (!current.generated()) document.runs.pop_back();
  document.runs.push_back(std::move(run));
}

Result<void> retokenise(Document& document, const CommandContext& context) {
  const PromptText prompt{document.text, document.chat, document.literal};
  Result<std::vector<int32_t>> ids = tokenise_prompt(prompt, context.model);
  if (!ids) return ids.error();
  show_prompt(document, prompt, ids.take());
  // The same prompt, and what was generated has ids that this vocabulary lacks: it belongs to another model.
  Run& run = document.run();
  const int32_t vocab = context.model ? context.model->config().vocab : std::numeric_limits<int32_t>::max();
  for (const RunNode& node : run.nodes) {
    if (node.token < vocab) continue;
    Run fresh = run;
    fresh.id = ++document.runs_made;
    fresh.nodes = {RunNode{}};
    fresh.cursor = fresh.leaf = 0;
    fresh.branches = 0;
    fresh.redraw = false;
    document.runs.push_back(std::move(fresh));
    break;
  }
  return {};
}

int chosen_piece(std::span<const Piece> pieces, int selected) {
  const int last = static_cast<int>(pieces.size()) - 1;
  if (selected >= 0) return std::min(selected, last);
  for (int i = last; i >= 0; --i) {
    const Piece& piece = pieces[static_cast<size_t>(i)];
    if (!piece.special && piece.end - piece.start > 1) return i;
  }
  return last;
}

}  // namespace glassbox
