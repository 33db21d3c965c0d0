// glassbox lesson: the list of lessons, the text of one, and its solution run without a window.
#include <algorithm>

#include "app/cli/process.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "core/run/workbench.h"
#include "lessons/lesson.h"

namespace glassbox {
namespace {

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  list.text({"id", "ID", "a lesson; without it all are listed"}, options.lesson);
  list.flag("--solve", "run the solution: each goal before and after its commands", options.solve);
  add_json_option(list, options);
}

nlohmann::json goals_json(const Lesson& lesson) {
  nlohmann::json goals = nlohmann::json::array();
  for (const Goal& goal : lesson.goals) goals.push_back({{"id", goal.id}, {"text", goal.text}});
  return goals;
}

void list_lessons(CliContext& context, const std::vector<Lesson>& lessons) {
  if (context.options.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Lesson& lesson : lessons) {
      list.push_back({{"id", lesson.id},
                      {"stage", lesson.stage},
                      {"order", lesson.order},
                      {"title", lesson.title},
                      {"question", lesson.question},
                      {"goals", goals_json(lesson)}});
    }
    context.out.json({{"lessons", std::move(list)}});
    return;
  }
  for (const Lesson& lesson : lessons) {
    context.out.line("stage " + std::to_string(lesson.stage) + "  " + fit_columns(lesson.id, 24) + " " + lesson.title);
    context.out.line("         " + lesson.question);
  }
}

// A workbench without a window, in which a lesson is done.
class Classroom {
 public:
  static Result<std::unique_ptr<Classroom>> open(const Options& options, const Lesson& lesson) {
    // Says what is wrong with the device before the engine's thread asks for it.
    const Result<DeviceChoice> device = chosen_device(options);
    if (!device) return device.error();
    const Result<std::string> path = find_model_file(options);
    if (!path) return path.error();
    WorkbenchOptions workbench;
    workbench.threads = options.threads;
    workbench.device = *device;
    workbench.precision = precision_of(options);
    std::unique_ptr<Classroom> room(new Classroom(lesson, workbench));
    room->bench_.load_model(*path);
    if (const Result<void> done = room->settle(); !done) return done.error();
    if (room->bench_.load_error()) return *room->bench_.load_error();
    return room;
  }

  // From a fresh document to the lesson's start.
  Result<void> begin() {
    bench_.replace_document(make_document());
    if (const Result<void> opened = bench_.apply(cmd::OpenLesson{lesson_.id}); !opened) return opened;
    return apply(lesson_.start, 0);
  }
  // `steps` tokens are drawn after the commands. Afterwards everything that the lesson measures is there.
  Result<void> apply(const std::vector<Command>& commands, int steps) {
    for (const Command& command : commands) {
      if (const Result<void> applied = bench_.apply(command); !applied) return applied;
    }
    if (const Result<void> done = settle(); !done || steps == 0) return done;
    bench_.step_tokens(steps);
    return settle();
  }
  bool is_reached(const Goal& goal) const { return glassbox::is_reached(goal, measures()); }
  std::string fill(const std::string& text) const { return fill_measures(text, measures()); }

 private:
  Classroom(const Lesson& lesson, const WorkbenchOptions& options) : lesson_(lesson), bench_(options) {}

  Result<void> settle() {
    constexpr double kSlice = 0.1;     // between two looks at Ctrl+C
    constexpr double kPatience = 600;  // seconds; a lesson takes a few
    for (double waited = 0; waited < kPatience; waited += kSlice) {
      if (bench_.model()) bench_.set_needs(lesson_needs(lesson_, bench_.document(), bench_.model()->config()));
      if (bench_.settle(kSlice)) {
        if (bench_.device_note() != told_ && !bench_.device_note().empty()) note(bench_.device_note());
        told_ = bench_.device_note();
        if (bench_.error()) return *bench_.error();
        return {};
      }
      if (interrupted()) return interrupted_error();
    }
    return Error{ErrorKind::failed, "The lesson's measures did not come in time.", lesson_.id, "", ""};
  }
  MeasureContext measures() const {
    return {bench_.document(), bench_.view(), bench_.model().get(), lesson_.id};
  }

  const Lesson& lesson_;
  Workbench bench_;
  std::string told_;  // the last note about the device
};

Result<void> show_lesson(CliContext& context, const Lesson& lesson) {
  Result<std::unique_ptr<Classroom>> room = Classroom::open(context.options, lesson);
  if (!room) return room.error();
  if (const Result<void> begun = (*room)->begin(); !begun) return begun;
  const std::string text = (*room)->fill(lesson.text);
  if (context.options.json) {
    context.out.json({{"id", lesson.id},
                      {"stage", lesson.stage},
                      {"title", lesson.title},
                      {"question", lesson.question},
                      {"text", text},
                      {"goals", goals_json(lesson)},
                      {"limits", lesson.limits},
                      {"sources", lesson.sources}});
    return {};
  }
  Output& out = context.out;
  out.line(lesson.title);
  out.line(lesson.question);
  out.line("\n" + text);
  out.line("Goals");
  for (const Goal& goal : lesson.goals) out.line("  - " + goal.text);
  if (!lesson.limits.empty()) out.line("\n" + lesson.limits);
  return {};
}

Result<void> solve_lesson(CliContext& context, const Lesson& lesson) {
  const Result<Solution> solution = load_solution(find_lesson_folder(), lesson.id);
  if (!solution) return solution.error();
  Result<std::unique_ptr<Classroom>> room = Classroom::open(context.options, lesson);
  if (!room) return room.error();
  nlohmann::json goals = nlohmann::json::array();
  std::string missed;
  for (const Goal& goal : lesson.goals) {
    const auto part = solution->goals.find(goal.id);
    if (part == solution->goals.end()) {
      return Error{ErrorKind::bad_file, "The solution lacks a goal.", lesson.id + ", goal " + goal.id,
                   "the commands that reach it", "Mend the lesson's solution.json."};
    }
    if (const Result<void> begun = (*room)->begin(); !begun) return begun;
    const bool before = (*room)->is_reached(goal);
    if (const Result<void> done = (*room)->apply(part->second.right, part->second.steps); !done) return done;
    if (const Result<void> done = (*room)->apply(part->second.then, part->second.then_steps); !done) return done;
    const bool after = (*room)->is_reached(goal);
    if (!after) missed += " " + goal.id;
    goals.push_back({{"id", goal.id}, {"text", goal.text}, {"before", before}, {"after", after}});
    if (!context.options.json)
      context.out.line((after ? "reached      " : "not reached  ") + goal.id + ": " + goal.text);
  }
  if (!missed.empty()) {
    return Error{ErrorKind::failed, "The solution does not reach every goal.", lesson.id + ":" + missed, "", ""};
  }
  if (context.options.json) context.out.json({{"lesson", lesson.id}, {"goals", std::move(goals)}});
  return {};
}

Result<void> run(CliContext& context) {
  const Options& options = context.options;
  const Result<std::vector<Lesson>> lessons = load_lessons(find_lesson_folder());
  if (!lessons) return lessons.error();
  if (!options.lesson) {
    if (options.solve) return Error{ErrorKind::usage, "Which lesson?", "--solve", "its id", "glassbox lesson"};
    list_lessons(context, *lessons);
    return {};
  }
  const Result<Lesson> lesson = find_lesson(*lessons, *options.lesson);
  if (!lesson) return lesson.error();
  return options.solve ? solve_lesson(context, *lesson) : show_lesson(context, *lesson);
}

}  // namespace

const Verb kLessonVerb = {"lesson", "list the lessons, read one, run its solution", add_options, run};

}  // namespace glassbox
