#include "app/shell/shot.h"

#include "app/shell/offscreen.h"
#include "app/shell/png.h"
#include "lessons/lesson.h"

namespace glassbox {

namespace {

Result<void> check(const ShotOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& where, const std::string& expected) {
    return Error{ErrorKind::usage, what, where, expected, ""};
  };
  if (options.width < 320 || options.height < 240 || options.width > 8192 || options.height > 8192)
    return refuse("The picture's size is out of range.", "--size", "320x240 to 8192x8192");
  if (!(options.scale >= 0.8f && options.scale <= 2.5f)) return refuse("The scale is out of range.", "--scale", "0.8 to 2.5");
  if (options.stage < 1 || options.stage > 8) return refuse("There is no such stage.", "--stage", "1 to 8");
  return {};
}

}  // namespace

Result<void> draw_shot(const ShotOptions& options) {
  if (Result<void> good = check(options); !good) return good;
  AppOptions app_options;
  app_options.bench.threads = options.threads;
  app_options.bench.device = options.device;
  app_options.bench.precision = options.precision;
  app_options.tells_device = false;  // the picture is the same
  app_options.model_path = options.model_path;
  Document& document = app_options.document;
  document.stage = options.stage;
  document.theme = options.theme;
  document.scale = options.scale;
  document.motion = false;
  document.panels["lesson"] = options.lesson_pane;
  Result<std::unique_ptr<Offscreen>> made = Offscreen::make(std::move(app_options), options.width, options.height);
  if (!made) return made.error();
  Offscreen& view = **made;
  Workbench& bench = view.app().bench();
  const auto settle = [&]() -> Result<void> {
    const bool settled = view.settle(options.seconds);
    if (bench.load_error()) return *bench.load_error();
    if (bench.error()) return *bench.error();
    if (!settled)
      return Error{ErrorKind::failed, "The picture was not ready in time.", "", "", "The machine may be busy; try again, or with a shorter text."};
    return {};
  };
  if (Result<void> done = settle(); !done) return done;
  std::vector<Command> commands;
  if (options.lesson) {
    const Result<std::vector<Lesson>> lessons = load_lessons(find_lesson_folder());
    if (!lessons) return lessons.error();
    Result<Lesson> lesson = find_lesson(*lessons, *options.lesson);
    if (!lesson) return lesson.error();
    commands = std::move(lesson->start);
    commands.insert(commands.begin(), cmd::OpenLesson{lesson->id});
  }
  if (options.text) commands.push_back(cmd::SetText{*options.text});
  commands.insert(commands.end(), options.commands.begin(), options.commands.end());
  for (const Command& command : commands)
    if (Result<void> done = bench.apply(command); !done) return done;
  if (options.tokens > 0) bench.step_tokens(options.tokens);
  if (options.palette) view.app().show_palette();
  if (options.about) view.app().show_about();
  if (Result<void> done = settle(); !done) return done;
  if (options.pointer) {
    ImGui::GetIO().AddMousePosEvent(options.pointer->first * static_cast<float>(options.width),
                                    options.pointer->second * static_cast<float>(options.height));
    // Cards come at once, tooltips after a moment of rest.
    for (int i = 0; i < 40; ++i) view.frame();
    if (Result<void> done = settle(); !done) return done;
  }
  const std::vector<uint8_t> pixels = view.read_pixels(0, 0, options.width, options.height);
  return save_png_file(options.out, pixels, options.width, options.height);
}

}  // namespace glassbox
