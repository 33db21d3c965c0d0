#include "app/panels/stage1_trace.h"

#include <algorithm>

#include "core/run/figures.h"
#include "core/run/prompt.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

// Characters are found in the tokens' bytes as the model has them, one after the other.
void find_splits(const Tokenizer& tokenizer, TextTrace& trace) {
  std::string bytes;
  std::vector<int> token_of;  // of each byte
  bool any = false;
  for (size_t t = 0; t < trace.tokens.size(); ++t) {
    const std::string_view part = tokenizer.bytes_of(trace.tokens[t].id);
    any |= find_invalid_utf8(part) != part.size();
    bytes += part;
    token_of.resize(bytes.size(), static_cast<int>(t));
  }
  if (!any) return;  // the usual case: every token is whole characters
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = decode_utf8(bytes, at);
    const int first = token_of[at], last = token_of[at + c.length - 1];
    if (c.valid && first != last) {
      const std::string text = bytes.substr(at, c.length);
      if (!trace.splits.empty() && trace.splits.back().last == first) {
        SplitCharacters& split = trace.splits.back();
        split.last = last;
        split.text += text;
        ++split.count;
      } else {
        trace.splits.push_back({first, last, text, 1});
      }
    }
    at += c.length;
  }
}

}  // namespace

const SplitCharacters* TextTrace::find_split(int token) const {
  const auto it = std::lower_bound(splits.begin(), splits.end(), token,
                                   [](const SplitCharacters& split, int value) { return split.last < value; });
  return it != splits.end() && it->first <= token ? &*it : nullptr;
}

TextTrace make_text_trace(const Model& model, const Run& run) {
  const Tokenizer& tokenizer = model.tokenizer();
  TextTrace trace;
  TracedPrompt traced = trace_prompt({run.text, run.chat && model.chat_template(), run.literal}, model);
  trace.text = std::move(traced.text);
  for (const Token& token : traced.trace.tokens)
    trace.tokens.push_back({token.id, token.start, token.end, -1, token.special, false});
  for (size_t i = 0; i < traced.trace.pieces.size(); ++i) {
    const Piece& piece = traced.trace.pieces[i];
    for (uint32_t t = 0; t < piece.token_count; ++t)
      trace.tokens[piece.first_token + t].piece = static_cast<int32_t>(i);
  }
  trace.pieces = std::move(traced.trace.pieces);
  const bool same = std::equal(run.prompt.begin(), run.prompt.end(), trace.tokens.begin(), trace.tokens.end(),
                               [](int32_t id, const ShownToken& token) { return id == token.id; });
  if (!same) {
    // The run's ids are what the model has. They can differ from the text's when a document was made with another
    // model; then there are no pieces to show.
    trace = {};
    for (const int32_t id : run.prompt) {
      if (id < 0 || id >= tokenizer.vocab_size()) continue;
      const auto start = static_cast<uint32_t>(trace.text.size());
      trace.text += tokenizer.bytes_of(id);
      trace.tokens.push_back({id, start, static_cast<uint32_t>(trace.text.size()), -1, tokenizer.is_special(id), false});
    }
  } else {
    trace.dropped = tokenizer.missing_bytes(trace.text);
  }
  trace.prompt_bytes = trace.text.size();
  for (const int node : run.nodes.empty() ? std::vector<int>{} : run.path(run.cursor)) {
    const int32_t id = run.nodes[static_cast<size_t>(node)].token;
    if (node == 0 || id < 0 || id >= tokenizer.vocab_size()) continue;
    const auto start = static_cast<uint32_t>(trace.text.size());
    trace.text += tokenizer.bytes_of(id);
    trace.tokens.push_back({id, start, static_cast<uint32_t>(trace.text.size()), -1, tokenizer.is_special(id), true});
  }
  for (size_t at = 0; at < trace.text.size(); ++trace.characters) at += decode_utf8(trace.text, at).length;
  find_splits(tokenizer, trace);
  return trace;
}

std::shared_ptr<const TextTrace> shown_trace(const FrameContext& context) {
  const Model* model = context.model();
  if (!model || context.document().runs.empty()) return nullptr;
  const Run& run = context.document().run();
  uint64_t version = mix_version(model->hash(), hash_text(run.text));
  version = mix_version(version, static_cast<uint64_t>(run.chat) * 2 + static_cast<uint64_t>(run.literal));
  version = mix_version(version, hash_ids(context.document().shown_tokens()));
  return context.memo.get<TextTrace>("stage 1 trace", version, [&] {
    TextTrace trace = make_text_trace(*model, run);
    trace.version = version;
    return trace;
  });
}

int selected_piece(const FrameContext& context, const TextTrace& trace) {
  return chosen_piece(trace.pieces, context.document().selection.piece);
}

int shown_piece(const FrameContext& context, const TextTrace& trace) {
  const int hovered = context.hovered.piece;
  if (hovered >= 0 && hovered < static_cast<int>(trace.pieces.size())) return hovered;
  return selected_piece(context, trace);
}

void select_piece(FrameContext& context, int piece) {
  context.run(cmd::SelectPiece{piece});
  if (context.document().selection.merge_step != -1) context.run(cmd::SetMergeStep{-1});
}

PieceMerges make_piece_merges(const Tokenizer& tokenizer, const TextTrace& trace, int index) {
  const Piece& piece = trace.pieces[static_cast<size_t>(index)];
  PieceMerges shown;
  shown.piece = index;
  shown.bytes = trace.bytes(piece.start, piece.end);
  shown.special = piece.special;
  shown.first_token = static_cast<int>(piece.first_token);
  if (piece.special) return shown;
  if (Result<MergeTrace> merges = tokenizer.trace_merges(shown.bytes)) shown.merges = merges.take();
  return shown;
}

std::shared_ptr<const PieceMerges> shown_merges(const FrameContext& context) {
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  if (!trace) return nullptr;
  const int piece = shown_piece(context, *trace);
  if (piece < 0) return nullptr;
  const uint64_t version = mix_version(trace->version, static_cast<uint64_t>(piece));
  return context.memo.get<PieceMerges>("stage 1 merges", version, [&] {
    return make_piece_merges(context.model()->tokenizer(), *trace, piece);
  });
}

int shown_merge_step(const FrameContext& context, const PieceMerges& merges) {
  const int last = merges.steps(), step = context.document().selection.merge_step;
  const std::shared_ptr<const TextTrace> trace = shown_trace(context);
  const bool selected = trace && merges.piece == selected_piece(context, *trace);
  return !selected || step < 0 ? last : std::min(step, last);
}

std::string hex_bytes(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!out.empty()) out += ' ';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15u];
  }
  return out;
}

nlohmann::json tokens_json(const Tokenizer& tokenizer, const TextTrace& trace) {
  std::vector<Token> tokens;
  tokens.reserve(trace.tokens.size());
  for (const ShownToken& token : trace.tokens) tokens.push_back({token.id, token.start, token.end, token.special});
  return figure_tokens(tokenizer, tokens);
}

}  // namespace glassbox
