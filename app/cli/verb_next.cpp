// glassbox next: the sampler chain on the next token, every candidate at every stage.
#include <bit>
#include <cmath>
#include <cstring>

#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/base/files.h"
#include "core/io/json_fields.h"
#include "core/run/figures.h"
#include "core/run/random.h"

namespace glassbox {
namespace {

constexpr int kShownCandidates = 20;  // as text; JSON has all of them
constexpr size_t kMaxLogitsBytes = size_t{4}
                                   << 20;  // a million tokens; each candidate is a kilobyte of JSON while it is made

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  list.text({"--logits", "FILE", "run the chain on this recorded vector (little-endian f32) instead of a model"},
            options.logits);
  list.integer({"-k,--count", "N", "how many candidates to print, 0: all (20 as text, all with --json)"}, options.count,
               {0, 1 << 30});
  add_sampler_options(list, options);
  add_edit_option(list, options);
  add_json_option(list, options);
  list.footer(
      "JSON: candidates[] {id, text, logit, penalised, prob_model, prob_heated, prob, cut_by}, stages[] {kind, "
      "params,\n"
      "active, kept, mass, entropy_bits}, entropy_bits, vocab, u, drawn, prompt_ids, logits_hash; with --edit also\n"
      "prob_before, entropy_before_bits, kl_nats.");
}

// What the chain runs on.
struct Source {
  std::vector<float> logits;
  std::vector<int32_t> tokens;         // before it, for the penalties
  std::shared_ptr<const Model> model;  // null: recorded logits that no model at hand fits
  std::optional<DistributionChange> change;
};

Result<std::vector<float>> read_logits(const std::string& path) {
  Result<std::string> bytes = read_file(path, kMaxLogitsBytes);
  if (!bytes) return bytes.error();
  if (bytes->empty() || bytes->size() % sizeof(float) != 0) {
    return Error{ErrorKind::bad_file, "The file is no list of f32: it has " + std::to_string(bytes->size()) + " bytes.",
                 path, "a multiple of 4 bytes, at least 4", "Write the logits as little-endian f32, nothing else."};
  }
  std::vector<float> logits(bytes->size() / sizeof(float));
  for (size_t i = 0; i < logits.size(); ++i) {
    uint32_t bits = 0;
    for (size_t b = 0; b < sizeof(float); ++b)
      bits |= static_cast<uint32_t>(static_cast<unsigned char>((*bytes)[i * sizeof(float) + b])) << (8 * b);
    logits[i] = std::bit_cast<float>(bits);
    if (std::isnan(logits[i])) {
      return Error{ErrorKind::bad_file, "A logit is not a number.",
                   path + ", byte " + std::to_string(i * sizeof(float)) + ", token " + std::to_string(i),
                   "f32 values other than NaN", ""};
    }
  }
  return logits;
}

Result<Source> recorded_source(const Options& options) {
  Source source;
  Result<std::vector<float>> logits = read_logits(*options.logits);
  if (!logits) return logits.error();
  source.logits = logits.take();
  if (!options.edits.empty()) {
    return Error{ErrorKind::usage, "Recorded logits cannot be edited: no model runs.", "--edit with --logits",
                 "one of the two", ""};
  }
  if (options.ids) {
    Result<std::vector<int32_t>> ids = read_ids(*options.ids);
    if (!ids) return ids.error();
    const auto vocab = static_cast<int64_t>(source.logits.size());
    for (const int32_t id : *ids) {
      if (id >= 0 && id < vocab) continue;
      return Error{ErrorKind::usage, "The vector has no token " + std::to_string(id) + ".", "--ids",
                   "0 to " + std::to_string(vocab - 1), ""};
    }
    source.tokens = ids.take();
  }
  // A model is wanted for the words only, unless a text has to be tokenised for the penalties.
  const bool needed = options.prompt || options.file;
  Result<std::shared_ptr<const Model>> model = load_model(options);
  if (!model) {
    if (needed || options.model || model.error().kind == ErrorKind::cancelled) return model.error();
    note("note: no model is at hand, so the candidates have no text (name one with -m)");
    return source;
  }
  if (static_cast<size_t>((*model)->config().vocab) != source.logits.size()) {
    if (needed) {
      return Error{ErrorKind::usage,
                   "The text cannot be tokenised for the penalties: the model's vocabulary is another.",
                   (*model)->path(), "a model that fits the vector (-m)", "Give the tokens before it as --ids."};
    }
    note("note: " + (*model)->path() + " has " + plural((*model)->config().vocab, "token") + " and the vector " +
         format_count(static_cast<int64_t>(source.logits.size())) + ", so the candidates have no text");
    return source;
  }
  source.model = model.take();
  if (needed) {
    Result<std::vector<int32_t>> tokens = read_tokens(options, *source.model);
    if (!tokens) return tokens.error();
    source.tokens = tokens.take();
  }
  return source;
}

Result<Source> computed_source(const Options& options) {
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  Source source;
  source.model = engine->model;
  const Result<std::vector<Edit>> edits = edits_of(options, source.model->config());
  if (!edits) return edits.error();
  Result<std::vector<int32_t>> tokens = read_tokens(options, *source.model);
  if (!tokens) return tokens.error();
  source.tokens = tokens.take();
  Progress progress("computing");
  const auto report = [&progress](double done) { return progress(done); };
  const StepRequest request{source.tokens, *edits, precision_of(options), {}};
  if (edits->empty()) {
    const Result<std::shared_ptr<const Step>> step = engine->sessions->run(request, report);
    if (!step) return step.error();
    source.logits = (*step)->logits;
    return source;
  }
  const Result<Comparison> both = engine->sessions->compare(request, report);
  if (!both) return both.error();
  source.change = compare_distributions(both->baseline->logits, both->step->logits);
  source.logits = both->step->logits;
  return source;
}

std::string describe(const ChainStage& stage) {
  std::string params;
  for (const auto& [key, value] : stage.params.items())
    params += (params.empty() ? "" : ", ") + key + " " + value.dump();
  return params;
}

void print(Output& out, const ChainResult& chain, const Source& source, int count) {
  out.line("stage         kept     mass     entropy    ");
  for (const ChainStage& stage : chain.stages) {
    out.line(fit_columns(stage.kind, 12) + right_align(format_count(stage.kept), 8) +
             right_align(format_value(stage.mass), 9) + right_align(format_value(stage.entropy_bits), 7) + " bits  " +
             (stage.active ? describe(stage) : "off"));
  }
  out.line("model's own entropy " + format_value(chain.entropy_model_bits) + " bits over " +
           plural(static_cast<int64_t>(chain.candidates.size()), "token"));
  if (source.change) {
    out.line("before the edits " + format_value(source.change->entropy_before_bits) + " bits; KL(before ‖ after) " +
             format_value(source.change->kl_nats) + " nats");
  }
  out.line();
  out.line(std::string("     id  token               logit   p model  ") + (source.change ? "p before  " : "") +
           "p chain   cut by");
  const size_t shown = count <= 0 ? chain.candidates.size() : static_cast<size_t>(count);
  for (size_t i = 0; i < std::min(shown, chain.candidates.size()); ++i) {
    const Candidate& candidate = chain.candidates[i];
    const std::string text =
        source.model ? visible_bytes(source.model->tokenizer().bytes_of(candidate.id)) : std::string("—");
    std::string row = right_align(std::to_string(candidate.id), 7) + "  " + fit_columns(text, 16) +
                      right_align(format_fixed(candidate.logit, 3), 9) +
                      right_align(format_probability(candidate.prob_model), 10);
    if (source.change)
      row += right_align(format_probability(source.change->before[static_cast<size_t>(candidate.id)]), 10);
    row += right_align(format_probability(candidate.prob), 9);
    if (candidate.cut_by >= 0) row += "   " + chain.stages[static_cast<size_t>(candidate.cut_by)].kind;
    if (candidate.id == chain.drawn) row += "   ← drawn, u = " + format_value(chain.u);
    out.line(row);
  }
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  const Result<SamplerSettings> sampler = sampler_of(options);
  if (!sampler) return sampler.error();
  const Result<Source> source = options.logits ? recorded_source(options) : computed_source(options);
  if (!source) return source.error();
  const double u = draw_uniform(options.seed, 0, source->tokens.size());
  const ChainResult chain = run_chain(source->logits, *sampler, source->tokens, u);
  if (!options.json) {
    print(context.out, chain, *source, options.count.value_or(kShownCandidates));
    return {};
  }
  const int count = options.count.value_or(0) == 0 ? -1 : *options.count;
  nlohmann::json json = figure_next(chain, source->model ? &source->model->tokenizer() : nullptr, count,
                                    source->change ? &*source->change : nullptr);
  json["prompt_ids"] = source->tokens;
  json["logits_hash"] = json_hash(hash_logits(source->logits));
  context.out.json(json);
  return {};
}

}  // namespace

const Verb kNextVerb = {"next", "the sampler chain on the next token, candidate by candidate", add_options, run};

}  // namespace glassbox
