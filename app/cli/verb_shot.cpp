// glassbox shot: a picture of a stage of the window, drawn off screen.
#include <charconv>

#include "app/cli/drawing.h"
#include "app/cli/verbs.h"

namespace glassbox {
namespace {

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  list.integer({"--stage", "N", "1 to 8 (3)"}, options.stage, {1, kStages});
  list.text({"-o,--out", "FILE", "the picture, a PNG file"}, options.out);
  list.choice({"--theme", "NAME", "dark or light (dark)"}, options.theme, {"dark", "light"});
  list.number({"--scale", "X", "0.8 to 2.5 (1)"}, options.scale, {kMinScale, kMaxScale});
  list.text({"--size", "WxH", "in pixels (1600x1000)"}, options.size);
  list.integer({"--layer", "N", "the chosen layer"}, options.layer);
  list.integer({"--head", "N", "the chosen head"}, options.head);
  list.integer({"--pos", "N", "the selected token; -1 is the last"}, options.position);
  list.integer({"-n,--tokens", "N", "tokens to generate before the picture is taken (0)"}, options.count);
  list.text({"--lesson", "ID", "the lesson to begin, whatever its stage; `none` closes the pane"}, options.lesson);
  list.texts({"--command", "JSON", "a command of the Document as JSON, after all else; repeatable"}, options.commands);
  list.text({"--pointer", "X,Y", "where the mouse stands, in shares of the picture: 0.4,0.6"}, options.pointer);
  list.flag("--palette", "with the command palette open", options.palette);
  list.flag("--about", "with the About box open", options.about);
  add_sampler_options(list, options);
  add_edit_option(list, options);
  add_json_option(list, options);
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
  const Result<DeviceChoice> device = chosen_device(options);
  if (!device) return device.error();
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
  shot.device = *device;
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
