// What can be said on the command line, as data; one struct for all verbs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/option_list.h"
#include "core/base/result.h"
#include "core/probe/edits.h"
#include "core/run/document.h"
#include "core/run/sampler.h"
#include "kernels/ops.h"

namespace glassbox {

struct Options {
  // model and engine
  std::optional<std::string> model;  // -m; absent: the default model
  int threads = 0;                   // 0: one a physical core
  std::string precision = "fast";    // exact, fast
  std::string device = "auto";

  // text
  std::optional<std::string> prompt;  // -p; "-" is standard input
  std::optional<std::string> file;
  std::optional<std::string> ids;  // token ids instead of text, "504,3575,282"
  bool literal = false, chat = false;

  // sampling
  SamplerSettings sampler;
  std::vector<std::string> order;  // names of the stages; empty: as in `sampler`
  uint64_t seed = 42;
  int tokens = 64;  // -n; −1: until the end of the text or of the context
  bool ignore_eos = false;

  std::vector<std::string> edits;
  bool json = false;

  bool steps = false;                        // tokenize
  std::optional<std::string> logits;         // next
  std::optional<int> count;                  // -k of next and neighbors, -n of bench and shot
  std::optional<std::string> tap;            // inspect
  std::optional<int> layer, head, position;  // inspect, look, shot
  bool heads = false;                        // inspect
  std::optional<std::string> token;          // neighbors
  std::optional<int> id;                     // neighbors
  int prompt_tokens = 512, repeat = 3;       // bench
  std::string colour = "auto";               // look: auto, always, never
  int stage = 3;                             // shot, window
  std::optional<std::string> out;            // shot
  std::vector<std::string> commands;         // shot
  std::string pointer;                       // shot: "x,y", may be empty
  bool palette = false, about = false;       // shot
  std::string theme = "dark";                // look, shot, window
  float scale = 1.0f;                        // shot, window
  std::string size = "1600x1000";            // shot
  std::optional<std::string> lesson;         // lesson, shot: its id
  bool solve = false;                        // lesson
  std::optional<std::string> document;       // window
  bool fresh = false;                        // window
};

// The option's value where the command line has read text.
inline Precision precision_of(const Options& options) {
  return options.precision == "exact" ? Precision::exact : Precision::fast;
}
// Errors (usage): values out of range, an order that is none.
Result<SamplerSettings> sampler_of(const Options& options);
// Errors (usage): an edit that cannot be read or that the model does not have.
Result<std::vector<Edit>> edits_of(const Options& options, const ModelConfig& config);

// Groups of options that verbs share. Each adds them to `list`; values go into `options`, which must outlive it.
void add_model_options(OptionList& list, Options& options);   // -m
void add_engine_options(OptionList& list, Options& options);  // -m -t --precision --device
void add_text_options(OptionList& list, Options& options);    // -p --file --ids --literal --chat
void add_sampler_options(OptionList& list, Options& options);
void add_edit_option(OptionList& list, Options& options);
void add_json_option(OptionList& list, Options& options);

}  // namespace glassbox
