// glassbox generate: continues the text, token by token.
#include <optional>

#include "app/cli/process.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/io/json_fields.h"
#include "core/run/figures.h"
#include "core/run/generate.h"
#include "core/text/detokenizer.h"

namespace glassbox {
namespace {

constexpr int kMaxTokens = 10'000'000;  // beyond any context

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  list.integer({"-n,--tokens", "N", "how many tokens; -1: until the text or the context ends (64)"}, options.tokens,
               {-1, kMaxTokens});
  add_sampler_options(list, options);
  list.flag("--ignore-eos", "go on after a token that ends the text", options.ignore_eos);
  add_edit_option(list, options);
  add_json_option(list, options);
  list.footer(
      "JSON: prompt_ids, ids, text, finish (end, length, context), timing, logits_hash. The hash goes over the logits "
      "of all\n"
      "steps: equal hashes stand for equal bits.");
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  const Result<SamplerSettings> sampler = sampler_of(options);
  if (!sampler) return sampler.error();
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const Model& model = *engine->model;
  const Result<std::vector<Edit>> edits = edits_of(options, model.config());
  if (!edits) return edits.error();
  Result<std::vector<int32_t>> prompt = read_tokens(options, model);
  if (!prompt) return prompt.error();

  Output& out = context.out;
  const Tokenizer& tokenizer = model.tokenizer();
  Detokenizer detokenizer(tokenizer);
  std::string text;  // without the token that ended it
  bool streamed = false;
  const auto emit = [&](const std::string& part) {
    text += part;
    if (part.empty() || options.json) return true;
    out.write(part);
    streamed = true;
    return out.flush().ok();
  };
  std::optional<Progress> reading(std::in_place, "reading the prompt");
  const auto sink = [&](int32_t token) {
    reading.reset();
    return emit(detokenizer.push(token));
  };
  const auto progress = [&](double done) { return reading ? (*reading)(done) : !interrupted(); };
  const GenerateRequest request{prompt.take(), *edits, precision_of(options), *sampler,
                                options.seed,  0,      options.tokens,        options.ignore_eos};
  const Result<Generation> result = generate(*engine->sessions, request, sink, progress);
  reading.reset();
  if (!result) {
    if (streamed) out.line();
    return result.error();
  }
  emit(detokenizer.flush());
  const auto prefilled = static_cast<int64_t>(request.tokens.size());
  if (options.json) {
    out.json({{"prompt_ids", request.tokens},
              {"ids", result->ids},
              {"text", text},
              {"finish", finish_name(result->finish)},
              {"timing",
               {{"load_s", engine->load_seconds},
                {"prefill_tokens", prefilled},
                {"prefill_s", result->prefill_seconds},
                {"decode_tokens", result->decode_tokens},
                {"decode_s", result->decode_seconds}}},
              {"logits_hash", json_hash(result->logits_hash)}});
    return {};
  }
  out.line();
  const auto rate = [](double count, double seconds) { return format_rate(seconds > 0 ? count / seconds : 0); };
  note("[" + plural(static_cast<int64_t>(result->ids.size()), "token") +
       ", finish: " + std::string(finish_name(result->finish)) + " · prefill " + plural(prefilled, "token") + ", " +
       rate(static_cast<double>(prefilled), result->prefill_seconds) + " · decode " +
       rate(result->decode_tokens, result->decode_seconds) + " · logits " +
       json_hash(result->logits_hash).get<std::string>() + "]");
  return {};
}

}  // namespace

const Verb kGenerateVerb = {"generate", "continue the text; it streams as it comes", add_options, run};

}  // namespace glassbox
