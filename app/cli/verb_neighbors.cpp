// glassbox neighbors: which tokens lie near a token in the embedding table; with a text, how near its tokens are to
// each other.
#include <algorithm>

#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/run/analysis.h"
#include "core/run/figures.h"
#include "core/text/unicode.h"

namespace glassbox {
namespace {

constexpr int kDefaultCount = 10;

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  list.text({"--token", "TEXT", "the token by its text, with its space: \" king\""}, options.token);
  list.integer({"--id", "N", "the token by its id"}, options.id);
  list.exclude("--token", "--id");
  list.integer({"-k,--count", "N", "how many neighbours by each measure (10)"}, options.count, {1, 1 << 30});
  add_text_options(list, options);
  list.integer({"--layer", "N",
                "with a text: the cosines between its positions after this layer; -1, and without it: of "
                "the embeddings"},
               options.layer);
  add_edit_option(list, options);
  add_json_option(list, options);
  list.footer(
      "JSON of a token: token, norm, cosine[], dot[], euclid[], each {id, text, cosine, dot, distance}.\n"
      "JSON of a text: layer, axes, shape, cosine, dot, norms, prompt_ids.");
}

Result<int32_t> find_token(const Options& options, const Tokenizer& tokenizer) {
  if (options.id) {
    if (*options.id < 0 || *options.id >= tokenizer.vocab_size()) {
      return Error{ErrorKind::usage, "There is no token " + std::to_string(*options.id) + ".", "--id",
                   "0 to " + std::to_string(tokenizer.vocab_size() - 1), ""};
    }
    return *options.id;
  }
  if (const Result<void> valid = check_utf8(*options.token, "--token"); !valid) return valid.error();
  const std::vector<Token> tokens = tokenizer.encode(*options.token);
  if (tokens.size() == 1) return tokens.front().id;
  std::string found;
  for (const Token& token : tokens) found += " [" + visible_bytes(tokenizer.bytes_of(token.id)) + "]";
  return Error{ErrorKind::usage, "This text is " + plural(static_cast<int64_t>(tokens.size()), "token") + ", not one.",
               "--token:" + found, "exactly one token", "Mind the space before a word, or give --id."};
}

void print_neighbours(Output& out, const Neighbours& found, const Tokenizer& tokenizer) {
  out.line("neighbours of " + visible_bytes(tokenizer.bytes_of(found.id)) + " (id " + std::to_string(found.id) +
           ", norm " + format_value(found.query_norm) + ")");
  out.line(fit_columns("by cosine", 30) + fit_columns("by dot product", 30) + "by distance");
  const auto cell = [&](const std::vector<Neighbour>& list, size_t i, float Neighbour::*value) {
    if (i >= list.size()) return std::string(30, ' ');
    return fit_columns(visible_bytes(tokenizer.bytes_of(list[i].id)), 18) +
           fit_columns(right_align(format_value(list[i].*value), 8), 12);
  };
  for (size_t i = 0; i < found.best[0].size(); ++i) {
    out.line(cell(found.best[0], i, &Neighbour::cosine) + cell(found.best[1], i, &Neighbour::dot) +
             cell(found.best[2], i, &Neighbour::distance));
  }
}

void print_cosines(Output& out, const CosineMatrix& matrix, std::span<const int32_t> tokens,
                   const Tokenizer& tokenizer) {
  out.line(matrix.layer < 0 ? "cosines between the embeddings"
                            : "cosines between the positions after layer " + std::to_string(matrix.layer));
  for (int i = 0; i < matrix.length; ++i) {
    std::string line = fit_columns(visible_bytes(tokenizer.bytes_of(tokens[static_cast<size_t>(i)])), 14);
    for (int j = 0; j <= i; ++j) {
      line += right_align(
          format_fixed(
              matrix.cosine[static_cast<size_t>(i) * static_cast<size_t>(matrix.length) + static_cast<size_t>(j)], 2),
          6);
    }
    out.line(line);
  }
}

Result<void> near_token(CliContext& context) {
  const Options& options = context.options;
  const Result<std::shared_ptr<const Model>> loaded = load_model(options);
  if (!loaded) return loaded.error();
  const Model& model = **loaded;
  const Result<int32_t> id = find_token(options, model.tokenizer());
  if (!id) return id.error();
  if (*id >= model.config().vocab) {
    return Error{ErrorKind::usage, "The model has no row for token " + std::to_string(*id) + ".", "--id",
                 "0 to " + std::to_string(model.config().vocab - 1), ""};
  }
  const std::shared_ptr<const EmbeddingTable> table = make_embedding_table(model);
  const std::span<const float> row =
      std::span(table->rows)
          .subspan(static_cast<size_t>(*id) * static_cast<size_t>(table->width), static_cast<size_t>(table->width));
  const int count = std::min(options.count.value_or(kDefaultCount), table->vocab - 1);
  Neighbours found = find_neighbours(*table, row, *id, count);
  found.id = *id;
  if (options.json)
    context.out.json(figure_neighbours(found, model.tokenizer(), count));
  else
    print_neighbours(context.out, found, model.tokenizer());
  return {};
}

Result<void> near_each_other(CliContext& context) {
  const Options& options = context.options;
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const Model& model = *engine->model;
  const int layer = options.layer.value_or(-1), layers = model.config().layer_count();
  if (layer < -1 || layer >= layers) {
    return Error{ErrorKind::usage, "There is no layer " + std::to_string(layer) + ".", "--layer",
                 "-1 (the embedding) to " + std::to_string(layers - 1), ""};
  }
  Result<std::vector<Edit>> edits = edits_of(options, model.config());
  if (!edits) return edits.error();
  Result<std::vector<int32_t>> tokens = read_tokens(options, model);
  if (!tokens) return tokens.error();
  StepRequest request{tokens.take(), edits.take(), precision_of(options), {}};
  if (layer < 0)
    request.needs.add(Tap::embed);
  else
    request.needs.add(Tap::resid_post, layer, layer + 1);
  Progress progress("computing");
  const Result<std::shared_ptr<const Step>> step =
      engine->sessions->run(request, [&progress](double done) { return progress(done); });
  progress.finish();
  if (!step) return step.error();
  const std::shared_ptr<const CosineMatrix> matrix = make_cosine_matrix(model, **step, layer);
  if (!matrix) return Error{ErrorKind::failed, "The cosines could not be computed.", "", "", ""};
  if (options.json) {
    nlohmann::json figure = figure_cosines(*matrix);
    figure["prompt_ids"] = request.tokens;
    context.out.json(figure);
  } else {
    print_cosines(context.out, *matrix, request.tokens, model.tokenizer());
  }
  return {};
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  const bool token = options.token || options.id;
  if (token == has_text(options)) {
    return Error{ErrorKind::usage, token ? "A token and a text were given." : "Near what?", "",
                 "--token TEXT or --id N for the neighbours of a token, or a text (-p) for its cosines", ""};
  }
  return token ? near_token(context) : near_each_other(context);
}

}  // namespace

const Verb kNeighborsVerb = {"neighbors", "what lies near a token in the embedding table; cosines within a text",
                             add_options, run};

}  // namespace glassbox
