#include "app/cli/options.h"

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

void add_model_options(OptionList& list, Options& options) {
  list.text({"-m,--model", "FILE", "model file (GGUF); else $GLASSBOX_MODEL, else the default model"}, options.model);
}

void add_engine_options(OptionList& list, Options& options) {
  add_model_options(list, options);
  list.integer({"-t,--threads", "N", "threads; one a physical core unless given"}, options.threads, {1, kMaxThreads});
  list.choice(
      {"--precision", "NAME",
       "exact: fp32 on dequantised weights; fast (the default): quantised dot products, on a GPU TF32 for prompts"},
      options.precision, {"exact", "fast"});
  list.text(
      {"--device", "NAME",
       "where to compute: auto (the best GPU that is large enough, else the CPU), cpu, cuda or cuda:N; of the GPUs "
       "that $CUDA_VISIBLE_DEVICES leaves, see glassbox info"},
      options.device);
}

void add_text_options(OptionList& list, Options& options) {
  list.text({"-p,--prompt", "TEXT", "the text; - reads standard input to its end"}, options.prompt);
  list.text({"--file", "FILE", "read the text from a file, byte by byte"}, options.file);
  list.text({"--ids", "LIST", "token ids instead of text, with commas between them"}, options.ids);
  list.exclude("--prompt", "--file");
  list.exclude("--prompt", "--ids");
  list.exclude("--file", "--ids");
  list.flag("--literal", "take special tokens in the text as plain text", options.literal);
  list.flag("--chat", "wrap the text in the model's chat template", options.chat);
  list.exclude("--chat", "--ids");
}

void add_sampler_options(OptionList& list, Options& options) {
  SamplerSettings& sampler = options.sampler;
  list.integer({"-s,--seed", "N", "the draws are a function of seed and position (42)"}, options.seed, {0, kMaxSeed});
  list.number({"--temp", "X", "temperature, 0 to 100; 0 is greedy (1)"}, sampler.temperature);
  list.integer({"--top-k", "K", "keep the first K candidates; 0 is off (0)"}, sampler.top_k);
  list.number({"--top-p", "P", "keep the shortest head with probability P, (0, 1]; 1 is off (1)"}, sampler.top_p);
  list.number({"--min-p", "P", "keep what has P times the first one's probability, [0, 1); 0 is off (0)"},
              sampler.min_p);
  list.number({"--repeat-penalty", "X", "divides logits of tokens seen, (0, 100]; 1 is off (1)"},
              sampler.repetition_penalty);
  list.number({"--presence-penalty", "X", "subtracted once from tokens seen, -100 to 100 (0)"},
              sampler.presence_penalty);
  list.number({"--frequency-penalty", "X", "subtracted once an occurrence, -100 to 100 (0)"},
              sampler.frequency_penalty);
  list.integer({"--penalty-window", "N", "how many of the last tokens count; -1 is all (64)"}, sampler.penalty_window);
  list.texts({"--order", "LIST", "of the stages (temperature,top_k,top_p,min_p)"}, options.order, ',');
}

void add_edit_option(OptionList& list, Options& options) {
  list.texts({"--edit", "SPEC", "change the forward pass, e.g. zero:attn_z:L14:H3; repeatable; `help` explains"},
             options.edits);
}

void add_json_option(OptionList& list, Options& options) {
  list.flag("--json", "print one JSON document", options.json);
}

}  // namespace glassbox
