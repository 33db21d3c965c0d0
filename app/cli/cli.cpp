#include "app/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <new>

#include "app/cli/drawing.h"
#include "app/cli/process.h"
#include "app/cli/verbs.h"

namespace glassbox {
namespace {

// What can be said without a verb: for the window.
struct WindowChoices {
  std::optional<int> stage;
  std::optional<std::string> theme;
  std::optional<float> scale;
};

int report(const Error& error) {
  if (!error.what.empty()) note("glassbox: " + error.message());
  return exit_code(error.kind);
}

void add_window_options(OptionList& list, Options& options, WindowChoices& choices) {
  add_engine_options(list, options);
  list.text({"-p,--prompt", "TEXT", "the text to begin with; - reads standard input to its end"}, options.prompt);
  list.integer({"--stage", "N", "the stage to begin with, 1 to 8"}, choices.stage, {1, kStages});
  list.choice({"--theme", "NAME", "dark or light"}, choices.theme, {"dark", "light"});
  list.number({"--scale", "X", "size of everything, 0.8 to 2.5"}, choices.scale, {kMinScale, kMaxScale});
  list.text({"--open", "FILE", "a saved document to open"}, options.document);
  list.flag("--fresh", "do not begin where the last session ended", options.fresh);
}

Result<int> open_window(const Options& options, const WindowChoices& choices) {
  if (!has_display()) {
    return Error{
        ErrorKind::failed, "There is no display, so the window cannot open.",
        "neither DISPLAY nor WAYLAND_DISPLAY is set", "",
        "Run glassbox in a desktop session, over ssh -X, or in a virtual display (Xvfb, VNC). In the terminal: "
        "glassbox look; a picture of the window: glassbox shot"};
  }
  const Drawing* drawing = find_drawing();
  if (!drawing) return no_drawing_error();
  const Result<DeviceChoice> device = chosen_device(options);
  if (!device) return device.error();
  WindowOptions window;
  if (const Result<std::string> model = find_model_file(options); model)
    window.model_path = *model;
  else
    window.model_error = model.error();
  if (options.prompt) {
    Result<std::string> text = read_text(options);
    if (!text) return text.error();
    window.text = text.take();
  }
  window.open = options.document;
  window.stage = choices.stage;
  if (choices.theme) window.theme = *choices.theme == "light" ? ThemeKind::light : ThemeKind::dark;
  window.scale = choices.scale;
  window.threads = options.threads;
  window.device = *device;
  window.precision = precision_of(options);
  window.restore = !options.fresh;
  return drawing->window(window);
}

// A word where a verb should stand is told apart from a wrong option.
std::optional<Error> find_wrong_verb(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return std::nullopt;
  const std::string_view word = argv[1];
  std::string names;
  for (const Verb& verb : all_verbs()) {
    if (word == verb.name) return std::nullopt;
    names += (names.empty() ? "" : " ") + std::string(verb.name);
  }
  return Error{ErrorKind::usage, "There is no verb \"" + std::string(word) + "\".", "", "one of: " + names,
               "glassbox --help"};
}

Result<void> print_edit_help(CliContext& context) {
  if (context.options.json)
    context.out.json({{"help", edit_help()}});
  else
    context.out.write(edit_help());
  return {};
}

int run_verb(const Verb& verb, const Options& options, Output& out) {
  catch_signals();
  CliContext context{options, out};
  Result<void> result;
  try {
    const bool asks_for_help = std::find(options.edits.begin(), options.edits.end(), "help") != options.edits.end();
    result = asks_for_help ? print_edit_help(context) : verb.run(context);
  } catch (const std::bad_alloc&) {
    result = Error{ErrorKind::failed, "There is not enough memory for this.", "", "", "Use a shorter text."};
  } catch (const std::exception& error) {
    result = Error{ErrorKind::failed, std::string("Something went wrong: ") + error.what(), "", "",
                   "This is a fault of Glassbox; please report it."};
  }
  const Result<void> written = out.flush();
  if (!result && result.error().kind == ErrorKind::cancelled) return report(interrupted_error());
  if (!result) return report(result.error());
  return written ? 0 : report(written.error());
}

}  // namespace

int run_cli(int argc, char** argv) {
  Options options;
  WindowChoices choices;
  Output out;
  CLI::App app("See a language model think. Without a verb the window opens; each verb has its own --help.",
               "glassbox");
  app.set_version_flag("--version", std::string("glassbox ") + GLASSBOX_VERSION);
  app.require_subcommand(0, 1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 bad file, 130 cancelled.\n"
      "Environment: GLASSBOX_MODEL (the model without -m), GLASSBOX_CPU (portable, avx2, avx512), NO_COLOR.");
  OptionList window_options(app);
  add_window_options(window_options, options, choices);
  for (const Verb& verb : all_verbs()) {
    OptionList verb_options(*app.add_subcommand(verb.name, verb.help));
    verb.add_options(verb_options, options);
  }

  if (const std::optional<Error> wrong = find_wrong_verb(argc, argv)) return report(*wrong);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    out.write(app.help());
    const Result<void> written = out.flush();
    return written ? 0 : report(written.error());
  } catch (const CLI::CallForVersion& version) {
    out.line(version.what());
    const Result<void> written = out.flush();
    return written ? 0 : report(written.error());
  } catch (const CLI::ParseError& error) {
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    return report({ErrorKind::usage, error.what(), "", "",
                   "glassbox " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help"});
  }
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (chosen.empty()) {
    const Result<int> code = open_window(options, choices);
    return code ? *code : report(code.error());
  }
  const auto verbs = all_verbs();
  const auto verb = std::find_if(verbs.begin(), verbs.end(),
                                 [&](const Verb& candidate) { return chosen.front()->get_name() == candidate.name; });
  return run_verb(*verb, options, out);
}

}  // namespace glassbox
