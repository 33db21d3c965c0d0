// glassbox bench: how fast this machine reads and writes tokens with this model.
#include <algorithm>

#include "app/cli/process.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/run/random.h"

namespace glassbox {
namespace {

constexpr int kDefaultDecode = 64;

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  list.integer({"--prompt-tokens", "N", "length of the prompt (512)"}, options.prompt_tokens, {1, 1 << 30});
  list.integer({"-n,--tokens", "N", "tokens to write after it (64)"}, options.count, {1, 1 << 30});
  list.integer({"--repeat", "N", "how often; medians are printed (3)"}, options.repeat, {1, 1000});
  add_json_option(list, options);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Ordinary tokens by chance: what they say costs nothing, and no cache knows them.
std::vector<int32_t> random_prompt(const Model& model, int length, uint32_t round) {
  std::vector<int32_t> tokens;
  const Tokenizer& tokenizer = model.tokenizer();
  const int32_t vocab = std::min(tokenizer.vocab_size(), model.config().vocab);
  for (uint64_t i = 0; static_cast<int>(tokens.size()) < length; ++i) {
    const auto id = static_cast<int32_t>(draw_uniform(0, round, i) * vocab);
    // A vocabulary of special tokens alone would never end the search.
    if (!tokenizer.is_special(id) || i > static_cast<uint64_t>(length) * 8) tokens.push_back(id);
  }
  return tokens;
}

struct Round {
  double prefill_seconds = 0, decode_seconds = 0;
};

Result<Round> measure(SessionStore& sessions, StepRequest request, int decode) {
  Round round;
  for (int i = 0; i <= decode; ++i) {
    const Result<std::shared_ptr<const Step>> step = sessions.run(request, [](double) { return !interrupted(); });
    if (!step) return step.error();
    (i == 0 ? round.prefill_seconds : round.decode_seconds) += (*step)->timing.seconds;
    const std::vector<float>& logits = (*step)->logits;
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    if (i < decode) request.tokens.push_back(static_cast<int32_t>(best));
  }
  return round;
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const Model& model = *engine->model;
  const int decode = options.count.value_or(std::min(kDefaultDecode, model.config().context - 1));
  const bool asked = options.count || options.prompt_tokens != Options{}.prompt_tokens;
  const int prompt = asked ? options.prompt_tokens : std::min(options.prompt_tokens, model.config().context - decode);
  if (static_cast<int64_t>(prompt) + decode > model.config().context) {
    return Error{ErrorKind::usage, "The model's context is too short for this.",
                 "--prompt-tokens " + std::to_string(prompt) + " -n " + std::to_string(decode),
                 "together at most " + std::to_string(model.config().context), ""};
  }
  // The first token of a fresh process, as a person waits for it: on a short text.
  const std::vector<int32_t> first = random_prompt(model, std::min(16, model.config().context), 0);
  if (const auto step =
          engine->sessions->run({first, {}, precision_of(options), {}}, [](double) { return !interrupted(); });
      !step) {
    return step.error();
  }
  const double first_token = seconds_since_start();

  std::string kernels = engine->sessions->ops().description();
  std::vector<double> prefill, decoded;
  for (int i = 0; i < options.repeat; ++i) {
    const Result<Round> round =
        measure(*engine->sessions,
                {random_prompt(model, prompt, static_cast<uint32_t>(i + 1)), {}, precision_of(options), {}}, decode);
    if (!round) return round.error();
    // The device was left in this round: medians of two would be of neither.
    if (engine->sessions->ops().description() != kernels) {
      kernels = engine->sessions->ops().description();
      prefill.clear(), decoded.clear();
      i = -1;
      continue;
    }
    prefill.push_back(round->prefill_seconds);
    decoded.push_back(round->decode_seconds);
    if (options.repeat > 1)
      note("round " + std::to_string(i + 1) + ": prefill " + format_rate(prompt / prefill.back()) + ", decode " +
           format_rate(decode / decoded.back()));
  }
  const double prefill_rate = prompt / median(prefill), decode_rate = decode / median(decoded);
  if (options.json) {
    context.out.json({{"model", model.path()},
                      {"kernel_path", kernels},
                      {"precision", options.precision},
                      {"repeat", options.repeat},
                      {"load_s", engine->load_seconds},
                      {"first_token_s", first_token},
                      {"prefill", {{"tokens", prompt}, {"seconds", prefill}, {"tokens_per_s", prefill_rate}}},
                      {"decode", {{"tokens", decode}, {"seconds", decoded}, {"tokens_per_s", decode_rate}}}});
    return {};
  }
  Output& out = context.out;
  out.line(model.name() + " " + model.format() + ", " + kernels + ", " + options.precision + " precision");
  out.line("prefill      " + format_rate(prefill_rate) + "  (" + plural(prompt, "token") + ")");
  out.line("decode       " + format_rate(decode_rate) + "  (" + plural(decode, "token") + ", after the prompt)");
  out.line("load         " + format_seconds(engine->load_seconds));
  out.line("first token  " + format_seconds(first_token) + " after the program's start, on " +
           plural(static_cast<int64_t>(first.size()), "token"));
  return {};
}

}  // namespace

const Verb kBenchVerb = {"bench", "tokens a second, and the time to the first one", add_options, run};

}  // namespace glassbox
