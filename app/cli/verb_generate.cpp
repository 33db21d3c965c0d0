// glassbox generate: continues the text, token by token.
#include <chrono>

#include "app/cli/process.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/io/json_fields.h"
#include "core/run/figures.h"
#include "core/run/random.h"
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

struct Generation {
  std::vector<int32_t> prompt, ids;
  std::string text;            // of `ids`, without the token that ended it
  std::string finish;          // "end": a token that ends the text; "length": -n tokens; "context": the model's is full
  double prefill_seconds = 0;  // of the prompt's forward
  double decode_seconds = 0;   // from its end to the last token: forward, draw and text
  int decode_tokens = 0;
  uint64_t logits_hash = 0;
};

// `sink` takes the text as it comes, whole characters only; false stops.
Result<Generation> generate(SessionStore& sessions, std::vector<int32_t> prompt, const std::vector<Edit>& edits,
                            const SamplerSettings& sampler, const Options& options,
                            const std::function<bool(const std::string&)>& sink) {
  const Model& model = sessions.model();
  const Tokenizer& tokenizer = model.tokenizer();
  Generation result;
  result.prompt = std::move(prompt);
  Detokenizer detokenizer(tokenizer);
  using Clock = std::chrono::steady_clock;
  Clock::time_point prefilled;
  StepRequest request{result.prompt, edits, precision_of(options), {}};
  const auto emit = [&](const std::string& part) {
    result.text += part;
    return part.empty() || sink(part);
  };
  while (true) {
    const bool first = result.ids.empty();
    Result<std::shared_ptr<const Step>> step = Error{};
    if (first) {
      Progress progress("reading the prompt");
      step = sessions.run(request, [&progress](double done) { return progress(done); });
    } else {
      step = sessions.run(request, [](double) { return !interrupted(); });
    }
    if (!step) return step.error();
    if (first) {
      result.prefill_seconds = (*step)->timing.seconds;
      prefilled = Clock::now();
    } else {
      ++result.decode_tokens;
      result.decode_seconds = std::chrono::duration<double>(Clock::now() - prefilled).count();
    }
    const uint64_t hash = (*step)->logits_hash;
    result.logits_hash = first ? hash : join_hashes(result.logits_hash, hash);

    const int made = static_cast<int>(result.ids.size());
    if (options.tokens >= 0 && made >= options.tokens) {
      result.finish = "length";
      break;
    }
    const double u = draw_uniform(options.seed, 0, request.tokens.size());
    const int32_t token = draw_token((*step)->logits, sampler, request.tokens, u);
    result.ids.push_back(token);
    if (tokenizer.is_end(token) && !options.ignore_eos) {
      result.finish = "end";
      break;
    }
    if (!emit(detokenizer.push(token))) break;
    if (options.tokens >= 0 && made + 1 >= options.tokens) {
      result.finish = "length";
      break;
    }
    if (static_cast<int>(request.tokens.size()) >= model.config().context) {
      result.finish = "context";
      break;
    }
    request.tokens.push_back(token);
  }
  emit(detokenizer.flush());
  return result;
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
  bool streamed = false;
  const auto stream = [&](const std::string& part) {
    if (options.json) return true;
    out.write(part);
    streamed = true;
    return out.flush().ok();
  };
  const Result<Generation> result = generate(*engine->sessions, prompt.take(), *edits, *sampler, options, stream);
  if (!result) {
    if (streamed) out.line();
    return result.error();
  }
  const auto prefilled = static_cast<int64_t>(result->prompt.size());
  if (options.json) {
    out.json({{"prompt_ids", result->prompt},
              {"ids", result->ids},
              {"text", result->text},
              {"finish", result->finish},
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
  note("[" + plural(static_cast<int64_t>(result->ids.size()), "token") + ", finish: " + result->finish + " · prefill " +
       plural(prefilled, "token") + ", " + rate(static_cast<double>(prefilled), result->prefill_seconds) +
       " · decode " + rate(result->decode_tokens, result->decode_seconds) + " · logits " +
       json_hash(result->logits_hash).get<std::string>() + "]");
  return {};
}

}  // namespace

const Verb kGenerateVerb = {"generate", "continue the text; it streams as it comes", add_options, run};

}  // namespace glassbox
