// glassbox tokenize: text → tokens; with --steps the pieces and merges on the way.
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/run/figures.h"
#include "core/run/prompt.h"

namespace glassbox {
namespace {

// Every step of every piece is kept: at worst n²/2 numbers for each piece of n ≤ 512 bytes.
constexpr size_t kMaxSteppedBytes = 16384;

void add_options(OptionList& list, Options& options) {
  add_model_options(list, options);
  add_text_options(list, options);
  list.flag("--steps", "add the pre-tokeniser's pieces and the merges in each", options.steps);
  add_json_option(list, options);
  list.footer(
      "JSON: tokens[] {id, text, bytes, start, end, special}, missing_bytes[]; with --steps pieces[] {text, start, "
      "end,\n"
      "first_token, token_count, special, merges}. Offsets are bytes of the text (of the rendered template with "
      "--chat).");
}

// Null where there is nothing to merge (a special token), or too much to show.
std::optional<MergeTrace> merges_of(const Tokenizer& tokenizer, std::string_view text, const Piece& piece) {
  if (piece.special) return std::nullopt;
  Result<MergeTrace> merges = tokenizer.trace_merges(text.substr(piece.start, piece.end - piece.start));
  if (!merges) return std::nullopt;
  return merges.take();
}

nlohmann::json tokenize_json(const Tokenizer& tokenizer, const TracedPrompt& result, bool steps) {
  nlohmann::json json = {{"tokens", figure_tokens(tokenizer, result.trace.tokens)}};
  json["missing_bytes"] = tokenizer.missing_bytes(result.text);
  if (!steps) return json;
  nlohmann::json pieces = nlohmann::json::array();
  for (const Piece& piece : result.trace.pieces) {
    nlohmann::json entry = figure_piece(result.text, piece);
    const std::optional<MergeTrace> merges = merges_of(tokenizer, result.text, piece);
    entry["merges"] = merges ? figure_merges(tokenizer, *merges) : nlohmann::json(nullptr);
    pieces.push_back(std::move(entry));
  }
  json["pieces"] = std::move(pieces);
  return json;
}

void print_steps(Output& out, const Tokenizer& tokenizer, const TracedPrompt& result) {
  for (const Piece& piece : result.trace.pieces) {
    const std::string_view bytes = std::string_view(result.text).substr(piece.start, piece.end - piece.start);
    out.line("\npiece " + visible_bytes(bytes) + (piece.special ? "  special token" : ""));
    if (piece.special) continue;
    const std::optional<MergeTrace> merges = merges_of(tokenizer, result.text, piece);
    if (!merges) {
      out.line("  longer than " + plural(Tokenizer::kMaxTracedPiece, "byte") + ": its merges are not shown");
      continue;
    }
    if (merges->whole_piece) out.line("  the vocabulary has it as it is");
    const std::vector<Symbol>* before = &merges->bytes;
    for (const MergeStep& step : merges->steps) {
      const auto text = [&](int32_t id) { return visible_bytes(tokenizer.bytes_of(id)); };
      out.write("  " + text((*before)[step.left].id) + " + " + text((*before)[step.left + 1].id) + "  rank " +
                format_count(step.merge.rank) + "  →");
      for (const Symbol& symbol : step.symbols) out.write(" " + text(symbol.id));
      out.line();
      before = &step.symbols;
    }
  }
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  if (options.ids) {
    return Error{ErrorKind::usage, "Ids are tokens already.", "--ids", "-p, --file or standard input", ""};
  }
  Result<std::string> text = read_text(options);
  if (!text) return text.error();
  if (options.steps && text->size() > kMaxSteppedBytes) {
    return Error{ErrorKind::usage, "The text has " + plural(static_cast<int64_t>(text->size()), "byte") + ".",
                 "--steps", "at most " + plural(kMaxSteppedBytes, "byte") + " with --steps",
                 "Shorten the text, or leave --steps out."};
  }
  Result<std::shared_ptr<const Model>> model = load_model(options);
  if (!model) return model.error();
  if (options.chat && !(*model)->chat_template()) {
    return Error{ErrorKind::usage, (*model)->chat_template_error(), "--chat", "a model whose chat template is known",
                 "Leave --chat out, or name another model with -m."};
  }
  const Tokenizer& tokenizer = (*model)->tokenizer();
  const TracedPrompt result = trace_prompt({text.take(), options.chat, options.literal}, **model);
  if (options.json) {
    context.out.json(tokenize_json(tokenizer, result, options.steps));
    return {};
  }
  Output& out = context.out;
  for (const Token& token : result.trace.tokens) {
    std::string id = std::to_string(token.id);
    id.insert(0, id.size() < 7 ? 7 - id.size() : 0, ' ');
    out.line(id + "  " + visible_bytes(tokenizer.bytes_of(token.id)) + (token.special ? "  (special)" : ""));
  }
  if (options.steps) print_steps(out, tokenizer, result);
  const size_t missing = tokenizer.missing_bytes(result.text).size();
  if (missing > 0)
    note("note: the vocabulary has no token for " + plural(static_cast<int64_t>(missing), "byte") +
         " of the text; they are dropped");
  note(plural(static_cast<int64_t>(result.trace.tokens.size()), "token") + ", " +
       plural(static_cast<int64_t>(result.text.size()), "byte"));
  return {};
}

}  // namespace

const Verb kTokenizeVerb = {"tokenize", "text as the model gets it: ids, bytes, offsets", add_options, run};

}  // namespace glassbox
