// glassbox logprobs: how probable the model finds each token of the text, and the perplexity.
#include <algorithm>
#include <cmath>

#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"

namespace glassbox {
namespace {

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  add_json_option(list, options);
  list.footer("JSON: tokens[] {id, text, logprob} (natural logarithm; the first token has none), perplexity, scored.");
}

// ln softmax(logits)[token], in fp64.
double log_probability(std::span<const float> logits, int32_t token) {
  const double greatest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - greatest);
  return logits[static_cast<size_t>(token)] - greatest - std::log(sum);
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const Tokenizer& tokenizer = engine->model->tokenizer();
  const Result<std::vector<int32_t>> tokens = read_tokens(options, *engine->model);
  if (!tokens) return tokens.error();

  std::vector<double> logprobs(tokens->size());  // [0] has none
  const auto sink = [&](int position, std::span<const float> logits) {
    const size_t next = static_cast<size_t>(position) + 1;
    if (next < tokens->size()) logprobs[next] = log_probability(logits, (*tokens)[next]);
  };
  {
    Progress progress("computing");
    const Result<void> done = engine->sessions->run_logits(*tokens, precision_of(options), sink,
                                                           [&progress](double share) { return progress(share); });
    if (!done) return done;
  }
  double sum = 0;
  for (size_t i = 1; i < logprobs.size(); ++i) sum += logprobs[i];
  const size_t scored = tokens->size() - 1;
  const double perplexity = scored == 0 ? std::nan("") : std::exp(-sum / static_cast<double>(scored));

  Output& out = context.out;
  if (options.json) {
    nlohmann::json list = nlohmann::json::array();
    for (size_t i = 0; i < tokens->size(); ++i) {
      const int32_t id = (*tokens)[i];
      list.push_back({{"id", id},
                      {"text", tokenizer.text_of(id)},
                      {"logprob", i == 0 ? nlohmann::json(nullptr) : nlohmann::json(logprobs[i])}});
    }
    out.json({{"tokens", std::move(list)}, {"perplexity", perplexity}, {"scored", scored}});
    return {};
  }
  for (size_t i = 0; i < tokens->size(); ++i) {
    const std::string text = visible_bytes(tokenizer.bytes_of((*tokens)[i]));
    out.line(right_align(std::to_string((*tokens)[i]), 7) + "  " + fit_columns(text, 20) +
             right_align(i == 0 ? kNoValue : format_fixed(logprobs[i], 3), 9) +
             right_align(i == 0 ? kNoValue : format_probability(std::exp(logprobs[i])), 10));
  }
  out.line("perplexity " + format_value(perplexity, 5) + " over " + plural(static_cast<int64_t>(scored), "token"));
  return {};
}

}  // namespace

const Verb kLogprobsVerb = {"logprobs", "log-probability of each token, and the perplexity", add_options, run};

}  // namespace glassbox
