#include "app/cli/options.h"

#include <CLI/CLI.hpp>

namespace glassbox {
namespace {

constexpr int kMaxThreads = 1024;  // more is a slip of the finger

}  // namespace

Result<SamplerSettings> sampler_of(const Options& options) {
  SamplerSettings settings = options.sampler;
  if (!options.order.empty()) {
    settings.order.clear();
    for (const std::string& name : options.order) {
      bool found = false;
      for (const SamplerStage stage :
           {SamplerStage::temperature, SamplerStage::top_k, SamplerStage::top_p, SamplerStage::min_p}) {
        if (name == stage_name(stage)) settings.order.push_back(stage), found = true;
      }
      if (!found) {
        return Error{ErrorKind::usage, "There is no sampler stage \"" + name + "\".", "--order",
                     "temperature,top_k,top_p,min_p in any order, each once", ""};
      }
    }
  }
  if (const Result<void> good = check_sampler(settings); !good) return good.error();
  return settings;
}

Result<std::vector<Edit>> edits_of(const Options& options, const ModelConfig& config) {
  std::vector<Edit> edits;
  for (const std::string& text : options.edits) {
    Result<Edit> edit = parse_edit(text);
    if (!edit) return edit.error();
    if (const Result<void> good = check_edit(*edit, config); !good) return good.error();
    edits.push_back(edit.take());
  }
  return edits;
}

void add_model_options(CLI::App& verb, Options& options) {
  verb.add_option_function<std::string>(
          "-m,--model", [&options](const std::string& path) { options.model = path; },
          "model file (GGUF); else $GLASSBOX_MODEL, else the default model")
      ->type_name("FILE");
}

void add_engine_options(CLI::App& verb, Options& options) {
  add_model_options(verb, options);
  verb.add_option("-t,--threads", options.threads, "threads; one a physical core unless given")
      ->check(CLI::Range(1, kMaxThreads))
      ->type_name("N");
  verb.add_option("--precision", options.precision,
                  "exact: fp32 on dequantised weights; fast (the default): quantised dot products")
      ->check(CLI::IsMember({"exact", "fast"}))
      ->type_name("NAME");
  verb.add_option("--device", options.device, "where to compute: cpu")->type_name("NAME");
}

void add_text_options(CLI::App& verb, Options& options) {
  CLI::Option* prompt = verb.add_option_function<std::string>(
      "-p,--prompt", [&options](const std::string& text) { options.prompt = text; },
      "the text; - reads standard input to its end");
  CLI::Option* file = verb.add_option_function<std::string>(
      "--file", [&options](const std::string& path) { options.file = path; },
      "read the text from a file, byte by byte");
  CLI::Option* ids = verb.add_option_function<std::string>(
      "--ids", [&options](const std::string& list) { options.ids = list; },
      "token ids instead of text, with commas between them");
  prompt->type_name("TEXT")->excludes(file)->excludes(ids);
  file->type_name("FILE")->excludes(ids);
  ids->type_name("LIST");
  verb.add_flag("--literal", options.literal, "take special tokens in the text as plain text");
  verb.add_flag("--chat", options.chat, "wrap the text in the model's chat template")->excludes(ids);
}

void add_sampler_options(CLI::App& verb, Options& options) {
  SamplerSettings& sampler = options.sampler;
  verb.add_option("-s,--seed", options.seed, "the draws are a function of seed and position (42)")
      ->check(CLI::Range(uint64_t{0}, kMaxSeed))
      ->type_name("N");
  verb.add_option("--temp", sampler.temperature, "temperature, 0 to 100; 0 is greedy (1)")->type_name("X");
  verb.add_option("--top-k", sampler.top_k, "keep the first K candidates; 0 is off (0)")->type_name("K");
  verb.add_option("--top-p", sampler.top_p, "keep the shortest head with probability P, (0, 1]; 1 is off (1)")
      ->type_name("P");
  verb.add_option("--min-p", sampler.min_p, "keep what has P times the first one's probability, [0, 1); 0 is off (0)")
      ->type_name("P");
  verb.add_option("--repeat-penalty", sampler.repetition_penalty,
                  "divides logits of tokens seen, (0, 100]; 1 is off (1)")
      ->type_name("X");
  verb.add_option("--presence-penalty", sampler.presence_penalty, "subtracted once from tokens seen, -100 to 100 (0)")
      ->type_name("X");
  verb.add_option("--frequency-penalty", sampler.frequency_penalty, "subtracted once an occurrence, -100 to 100 (0)")
      ->type_name("X");
  verb.add_option("--penalty-window", sampler.penalty_window, "how many of the last tokens count; -1 is all (64)")
      ->type_name("N");
  verb.add_option("--order", options.order, "of the stages (temperature,top_k,top_p,min_p)")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("LIST");
}

void add_edit_option(CLI::App& verb, Options& options) {
  verb.add_option("--edit", options.edits,
                  "change the forward pass, e.g. zero:attn_z:L14:H3; repeatable; `help` explains")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("SPEC");
}

void add_json_option(CLI::App& verb, Options& options) {
  verb.add_flag("--json", options.json, "print one JSON document");
}

}  // namespace glassbox
