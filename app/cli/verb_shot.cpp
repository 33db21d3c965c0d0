// glassbox shot: a picture of a stage of the window, drawn off screen.
#include <CLI/CLI.hpp>
#include <charconv>

#include "app/cli/drawing.h"
#include "app/cli/verbs.h"

namespace glassbox {
namespace {

void add_options(CLI::App& verb, Options& options) {
  add_engine_options(verb, options);
  add_text_options(verb, options);
  verb.add_option("--stage", options.stage, "1 to 8 (3)")->check(CLI::Range(1, kStages))->type_name("N");
  verb.add_option_function<std::string>(
          "-o,--out", [&options](const std::string& path) { options.out = path; }, "the picture, a PNG file")
      ->type_name("FILE");
  verb.add_option("--theme", options.theme, "dark or light (dark)")
      ->check(CLI::IsMember({"dark", "light"}))
      ->type_name("NAME");
  verb.add_option("--scale", options.scale, "0.8 to 2.5 (1)")->check(CLI::Range(kMinScale, kMaxScale))->type_name("X");
  verb.add_option("--size", options.size, "in pixels (1600x1000)")->type_name("WxH");
  const auto number = [&](const char* name, std::optional<int>& value, const char* help) {
    verb.add_option_function<int>(
            name, [&value](int given) { value = given; }, help)
        ->type_name("N");
  };
  number("--layer", options.layer, "the chosen layer");
  number("--head", options.head, "the chosen head");
  number("--pos", options.position, "the selected token; -1 is the last");
  number("-n,--tokens", options.count, "tokens to generate before the picture is taken (0)");
  verb.add_option_function<std::string>(
          "--lesson", [&options](const std::string& id) { options.lesson = id; },
          "the lesson to begin, whatever its stage; `none` closes the pane")
      ->type_name("ID");
  verb.add_option("--command", options.commands, "a command of the Document as JSON, after all else; repeatable")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("JSON");
  verb.add_option("--pointer", options.pointer, "where the mouse stands, in shares of the picture: 0.4,0.6")
      ->type_name("X,Y");
  verb.add_flag("--palette", options.palette, "with the command palette open");
  verb.add_flag("--about", options.about, "with the About box open");
  add_sampler_options(verb, options);
  add_edit_option(verb, options);
  add_json_option(verb, options);
}

// "1600x1000", "0.4,0.6"
template <class T>
Result<std::pair<T, T>> parse_pair(const std::string& text, char separator, const char* option, const char* expected) {
  std::pair<T, T> pair{};
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, pair.first);
  if (first.ec == std::errc() && first.ptr < end && *first.ptr == separator) {
    const auto second = std::from_chars(first.ptr + 1, end, pair.second);
    if (second.ec == std::errc() && second.ptr == end) return pair;
  }
  return Error{ErrorKind::usage, "\"" + text + "\" cannot be read.", option, expected, ""};
}

// The gestures that the options stand for.
Result<std::vector<Command>> commands_of(const Options& options) {
  std::vector<Command> commands;
  if (options.chat) commands.push_back(cmd::SetChat{true});
  if (options.literal) commands.push_back(cmd::SetLiteral{true});
  const Result<SamplerSettings> sampler = sampler_of(options);
  if (!sampler) return sampler.error();
  if (*sampler != SamplerSettings{}) commands.push_back(cmd::SetSampler{*sampler});
  if (options.seed != Options{}.seed) commands.push_back(cmd::SetSeed{options.seed});
  const Selection initial;
  if (options.layer || options.head)
    commands.push_back(cmd::SelectHead{options.layer.value_or(initial.layer), options.head.value_or(initial.head)});
  if (options.position) commands.push_back(cmd::SelectPosition{*options.position});
  for (const std::string& text : options.edits) {
    Result<Edit> edit = parse_edit(text);
    if (!edit) return edit.error();
    commands.push_back(cmd::AddEdit{edit.take()});
  }
  for (const std::string& text : options.commands) {
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) {
      return Error{ErrorKind::usage, "The command is no valid JSON.", "--command " + text,
                   "an object like {\"command\": \"select_head\", \"layer\": 5, \"head\": 1}", ""};
    }
    Result<Command> command = command_from_json(json);
    if (!command) return command.error();
    commands.push_back(command.take());
  }
  return commands;
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  const Drawing* drawing = find_drawing();
  if (!drawing) return no_drawing_error();
  if (!options.out) return Error{ErrorKind::usage, "Where to?", "-o", "the name of a PNG file", ""};
  if (options.ids)
    return Error{ErrorKind::usage, "The window shows text.", "--ids", "-p, --file or standard input", ""};
  const auto size = parse_pair<int>(options.size, 'x', "--size", "width x height in pixels, e.g. 1600x1000");
  if (!size) return size.error();
  ShotOptions shot;
  if (!options.pointer.empty()) {
    const auto pointer = parse_pair<float>(options.pointer, ',', "--pointer", "two numbers from 0 to 1, e.g. 0.4,0.6");
    if (!pointer) return pointer.error();
    shot.pointer = *pointer;
  }
  Result<std::vector<Command>> commands = commands_of(options);
  if (!commands) return commands.error();
  // Says what is wrong with the device before anything is drawn.
  if (const Result<std::shared_ptr<Ops>> ops = make_ops(options); !ops) return ops.error();
  const Result<std::string> model = find_model_file(options);
  if (!model) return model.error();
  shot.model_path = *model;
  shot.out = *options.out;
  shot.stage = options.stage;
  if (has_text(options)) {
    Result<std::string> text = read_text(options);
    if (!text) return text.error();
    shot.text = text.take();
  }
  shot.theme = options.theme == "light" ? ThemeKind::light : ThemeKind::dark;
  shot.scale = options.scale;
  shot.width = size->first;
  shot.height = size->second;
  if (options.lesson && *options.lesson == "none")
    shot.lesson_pane = false;
  else
    shot.lesson = options.lesson;
  shot.commands = commands.take();
  shot.tokens = options.count.value_or(0);
  shot.palette = options.palette;
  shot.about = options.about;
  shot.threads = options.threads;
  shot.precision = precision_of(options);
  if (const Result<void> drawn = drawing->shot(shot); !drawn) return drawn;
  if (options.json) {
    context.out.json(
        {{"file", *options.out}, {"stage", options.stage}, {"width", shot.width}, {"height", shot.height}});
  } else {
    note("wrote " + *options.out + ", " + options.size + " pixels");
  }
  return {};
}

}  // namespace

const Verb kShotVerb = {"shot", "a picture of the window, drawn off screen", add_options, run};

}  // namespace glassbox
