// glassbox inspect: what flows through the model at one tap, with or without edits.
#include <algorithm>
#include <cmath>

#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/io/json_fields.h"
#include "core/run/analysis.h"
#include "core/run/figures.h"

namespace glassbox {
namespace {

constexpr size_t kShownValues = 8;  // of a row, as text; JSON has all
constexpr size_t kShownRows = 40;
// 16 bytes each while the document is made. More is refused, since memory that is promised and not there ends a
// program.
constexpr int64_t kMaxValues = int64_t{1} << 26;

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  list.text({"--tap", "NAME", "what to see, by our name or TransformerLens's; `list` prints all"}, options.tap);
  list.integer({"--layer", "N", "the layer, from 0"}, options.layer);
  list.integer({"--head", "N", "one head; all without it"}, options.head);
  list.integer({"--pos", "N", "one position, from 0, or -1 for the last; all without it"}, options.position);
  list.flag("--heads", "instead of a tap: the measured scores and badges of all heads", options.heads);
  add_edit_option(list, options);
  add_json_option(list, options);
  list.footer(
      "JSON: tap, layer, head, position, axes, shape, data, logits_hash. Values are f32, written so that they read "
      "back as\n"
      "themselves. JSON has no infinity: the scores of masked keys are -inf and printed as null.");
}

Error out_of_range(const std::string& what, int64_t value, const std::string& option, int64_t count) {
  return {ErrorKind::usage, "There is no " + what + " " + std::to_string(value) + ".", option,
          count == 0 ? "no " + what + ": this tap has none" : "0 to " + std::to_string(count - 1), ""};
}

void print_taps(CliContext& context) {
  const auto scope = [](const TapInfo& tap) { return tap.scope == TapScope::model ? "model" : "layer"; };
  if (context.options.json) {
    nlohmann::json taps = nlohmann::json::array();
    for (const TapInfo& tap : all_taps()) {
      taps.push_back({{"name", tap.name},
                      {"axes", tap.axes},
                      {"scope", scope(tap)},
                      {"cost", tap.cost == TapCost::store ? "store" : "compute"},
                      {"editable", tap.editable},
                      {"alias", tap.alias},
                      {"definition", tap.definition}});
    }
    context.out.json({{"taps", std::move(taps)}});
    return;
  }
  context.out.line("tap           axes  once a  edits  TransformerLens");
  for (const TapInfo& tap : all_taps()) {
    context.out.line(fit_columns(tap.name, 14) + fit_columns(tap.axes, 6) + fit_columns(scope(tap), 8) +
                     fit_columns(tap.editable ? "yes" : "no", 7) +
                     (tap.alias.empty() ? std::string(kNoValue) : std::string(tap.alias)));
    context.out.line("              " + std::string(tap.definition));
  }
  context.out.line(
      "\nAxes of one position's row: C model width, H query heads, G key/value heads, D head dimension, S key");
  context.out.line("positions, F feed-forward width, V vocabulary. Over all positions T stands first.");
}

// The tap, layer, head and position asked for, checked against the model and the text.
Result<TapSlice> find_slice(const Options& options, const ModelConfig& config, int length) {
  if (!options.tap) {
    return Error{ErrorKind::usage, "Which tap?", "--tap", "a name, e.g. attn_pattern", "`glassbox inspect --tap list`"};
  }
  const std::optional<TapName> name = find_tap(*options.tap);
  if (!name) {
    return Error{ErrorKind::usage, "There is no tap \"" + *options.tap + "\".", "--tap", "a name of the table",
                 "`glassbox inspect --tap list`"};
  }
  TapSlice slice{name->tap, 0, options.head, options.position};
  if (tap_info(slice.tap).scope == TapScope::layer) {
    const std::optional<int> layer = options.layer ? options.layer : name->layer;
    if (!layer) {
      return Error{ErrorKind::usage, "Which layer?", "--layer", "0 to " + std::to_string(config.layer_count() - 1), ""};
    }
    if (name->layer && *layer != *name->layer) {
      return Error{ErrorKind::usage, "The tap's name and --layer name two layers.", "--layer",
                   std::to_string(*name->layer) + ", or no --layer", ""};
    }
    if (*layer < 0 || *layer >= config.layer_count()) {
      return out_of_range("layer", *layer, "--layer", config.layer_count());
    }
    slice.layer = *layer;
  }
  if (!tap_exists(slice.tap, config, slice.layer)) {
    return Error{ErrorKind::usage, "This model does not have the tap " + *options.tap + ".", "--tap",
                 std::string(tap_info(slice.tap).definition), "`glassbox inspect --tap list`"};
  }
  const int heads = tap_heads(slice.tap, config, slice.layer);
  if (slice.head && (*slice.head < 0 || *slice.head >= heads))
    return out_of_range("head", *slice.head, "--head", heads);
  if (slice.position) {
    if (*slice.position < -1 || *slice.position >= length) {
      return out_of_range("position", *slice.position, "--pos (the text has " + plural(length, "token") + ")", length);
    }
    if (*slice.position == -1) slice.position = length - 1;
  }
  return slice;
}

int64_t value_count(const TapSlice& slice, const ModelConfig& config, int length) {
  const int64_t heads = slice.head ? 1 : std::max(tap_heads(slice.tap, config, slice.layer), 1);
  return (slice.position ? 1 : length) * heads * tap_width(slice.tap, config, slice.layer, length);
}

// Nested arrays as rows of their last axis, each with the indices before it.
void print_rows(Output& out, const nlohmann::json& data, const std::string& indices, size_t& rows) {
  if (data.is_array() && !data.empty() && data.front().is_array()) {
    for (size_t i = 0; i < data.size(); ++i)
      print_rows(out, data[i], indices + (indices.empty() ? "" : ", ") + std::to_string(i), rows);
    return;
  }
  if (++rows > kShownRows) return;
  std::string line = fit_columns(indices.empty() ? "" : "[" + indices + "]", 10);
  for (size_t i = 0; i < std::min(data.size(), kShownValues); ++i) {
    const double value = data[i].get<double>();
    line += right_align(format_value(value), 11);
  }
  out.line(line + (data.size() > kShownValues ? "  …" : ""));
}

void print_figure(Output& out, const nlohmann::json& figure) {
  std::string shape;
  for (size_t i = 0; i < figure["axes"].size(); ++i) {
    shape += (i == 0 ? "" : " × ") + figure["axes"][i].get<std::string>() + " " +
             std::to_string(figure["shape"][i].get<int64_t>());
  }
  std::string name = figure["tap"].get<std::string>();
  for (const char* place : {"layer", "head", "position"}) {
    if (!figure[place].is_null()) name += ", " + std::string(place) + " " + std::to_string(figure[place].get<int>());
  }
  out.line(name + "  [" + shape + "]");
  size_t rows = 0;
  print_rows(out, figure["data"], "", rows);
  if (rows > kShownRows) out.line("… " + plural(static_cast<int64_t>(rows - kShownRows), "more row"));
  note("note: --json prints all values, exactly");
}

void print_heads(Output& out, const nlohmann::json& heads) {
  out.line("head      previous  induction  best weight   on  direct logit  badges");
  for (const nlohmann::json& head : heads) {
    const auto value = [&](const char* key) { return format_value(head[key].get<double>()); };
    out.line(fit_columns(
                 "L" + std::to_string(head["layer"].get<int>()) + "·H" + std::to_string(head["head"].get<int>()), 8) +
             right_align(value("previous"), 10) + right_align(value("induction"), 11) +
             right_align(value("best_weight"), 13) + right_align(std::to_string(head["best_key"].get<int>()), 5) +
             right_align(value("direct_logit"), 14) + "  " + head["badges"].get<std::string>());
  }
}

// The figure of --heads: the step's own measures, and the induction score from its random sequence.
Result<nlohmann::json> measure_heads(SessionStore& sessions, const StepRequest& asked) {
  const Model& model = sessions.model();
  const ModelConfig& config = model.config();
  Progress progress("computing");
  const auto report = [&progress](double done) { return progress(done); };
  StepRequest request = asked;
  request.needs.add(Tap::attn_focus, 0, config.layer_count());
  request.needs.add_last(Tap::attn_z, 0, config.layer_count());
  request.needs.add_last(Tap::resid_post, config.layer_count() - 1, config.layer_count());
  const Result<std::shared_ptr<const Step>> step = sessions.run(request, report);
  if (!step) return step.error();
  StepRequest twice{make_induction_tokens(model), {}, asked.precision, {}};
  twice.needs.add(Tap::attn_pattern, 0, config.layer_count());
  const Result<std::shared_ptr<const Step>> repeated = sessions.run(twice, report);
  if (!repeated) return repeated.error();
  const std::vector<float> induction = measure_induction(config, **repeated);
  const std::shared_ptr<const HeadTable> table = make_head_table(model, **step, induction);
  if (!table) return Error{ErrorKind::failed, "The heads could not be measured.", "", "", ""};
  return figure_heads(*table);
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  Output& out = context.out;
  if (options.tap && *options.tap == "list") {
    print_taps(context);
    return {};
  }
  if (options.heads && (options.tap || options.layer || options.head || options.position)) {
    return Error{ErrorKind::usage, "--heads measures all heads.", "--heads with --tap, --layer, --head or --pos",
                 "one of them", ""};
  }
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const ModelConfig& config = engine->model->config();
  Result<std::vector<Edit>> edits = edits_of(options, config);
  if (!edits) return edits.error();
  Result<std::vector<int32_t>> tokens = read_tokens(options, *engine->model);
  if (!tokens) return tokens.error();
  StepRequest request{tokens.take(), edits.take(), precision_of(options), {}};
  if (options.heads) {
    const Result<nlohmann::json> heads = measure_heads(*engine->sessions, request);
    if (!heads) return heads.error();
    if (options.json)
      out.json({{"heads", *heads}});
    else
      print_heads(out, *heads);
    return {};
  }
  const Result<TapSlice> slice = find_slice(options, config, static_cast<int>(request.tokens.size()));
  if (!slice) return slice.error();
  const int64_t values = value_count(*slice, config, static_cast<int>(request.tokens.size()));
  if (values > kMaxValues) {
    return Error{ErrorKind::usage, "These are " + format_count(values) + " values.", "--tap " + *options.tap,
                 "at most " + format_count(kMaxValues),
                 "Choose a head (--head), a position (--pos) or a shorter text."};
  }
  request.needs.add(slice->tap, slice->layer, slice->layer + 1);
  Progress progress("computing");
  const Result<std::shared_ptr<const Step>> step =
      engine->sessions->run(request, [&progress](double done) { return progress(done); });
  progress.finish();
  if (!step) return step.error();
  nlohmann::json figure = figure_tap(**step, config, *slice);
  if (!options.json) {
    print_figure(out, figure);
    return {};
  }
  figure["prompt_ids"] = request.tokens;
  figure["logits_hash"] = json_hash((*step)->logits_hash);
  out.json(figure);
  return {};
}

}  // namespace

const Verb kInspectVerb = {"inspect", "the values at one tap, with or without edits", add_options, run};

}  // namespace glassbox
