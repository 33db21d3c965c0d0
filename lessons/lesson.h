// Lessons: data in a folder each (lesson.json, text.md, solution.json), and the small code that loads them and checks
// their goals. A goal is a state of the Document and its measured quantities, so a gesture and a command reach it
// alike.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/run/command.h"
#include "core/run/workbench.h"
#include "lessons/quantity.h"

namespace glassbox {

struct Condition {
  enum class Op : uint8_t { equal, at_least, at_most, above, below };
  Quantity quantity;
  Op op = Op::at_least;
  double value = 0;
};

struct Goal {
  std::string id;
  std::string text;                   // one line of Markdown
  std::vector<Condition> conditions;  // all of them
  // What "yours:" shows beside an open goal: the first condition's quantity. Empty: nothing.
  std::string progress;  // e.g. "best so far {}" or "yours: {} tokens"
};

struct Answer {
  std::string id, text;
};

// A question asked before the answer is shown. `reveal` may hold {measure} of the same quantities as goals, as
// {"…"} objects: "P rises to {{"measure": "prob", "text": " Mary"}}".
struct Prediction {
  std::string id, text;
  std::vector<Answer> answers;
  std::string right;   // id of the answer that the experiment shows
  std::string reveal;  // Markdown, shown once it was answered
};

struct Try {
  std::string label;
  std::vector<Command> commands;
};

struct Lesson {
  std::string id;
  int stage = 1;
  int order = 1;  // within its stage
  std::string title;
  std::string question;        // of LESSONS.md
  std::string text;            // text.md
  std::vector<Command> start;  // sets the workbench up
  std::vector<Prediction> predictions;
  std::vector<Try> tries;
  std::vector<Goal> goals;
  std::string limits;  // what the experiment does not show
  std::vector<std::string> sources;
  std::vector<Quantity> told;  // the {measure} objects of the text and the reveals
};

// For tests: how each goal is reached from the start, and a plausible wrong try that must not reach it.
struct Solution {
  struct Part {
    std::vector<Command> right, wrong;
    int steps = 0;  // tokens generated after `right` (drawn by the chain), and after `wrong`
    // Some goals need more after that: these, and again tokens. Part of the right way only.
    std::vector<Command> then;
    int then_steps = 0;
  };
  std::map<std::string, Part> goals;  // by goal id
};

// All lessons under `folder` (lessons/<stage>-<name>/), by stage and order. Errors name the file and the field.
Result<std::vector<Lesson>> load_lessons(const std::string& folder);
// Error (usage): there is none with this id.
Result<Lesson> find_lesson(const std::vector<Lesson>& lessons, const std::string& id);
Result<Solution> load_solution(const std::string& folder, const std::string& lesson_id);
// Beside the program, or in the source tree that it was built from.
std::string find_lesson_folder();

// Replays a solution on a workbench that stands at the lesson's start: commands, tokens, then commands and tokens. The
// error of the first that is refused; it settles before it returns.
Result<void> replay_right(Workbench& bench, const Solution::Part& part);
Result<void> replay_wrong(Workbench& bench, const Solution::Part& part);

bool is_reached(const Goal& goal, const MeasureContext& context);
// The {measure} objects of a text. An error names the one that is not understood.
Result<std::vector<Quantity>> find_measures(const std::string& text);
// Three significant digits, as the panels write numbers: 3, 0.0421, 3.1e-7, 49 152.
std::string format_measure(double value);
// The text with its {measure} objects replaced by numbers of three significant digits, "—" where nothing is measured.
std::string fill_measures(const std::string& text, const MeasureContext& context);

// Needs of the lesson's goals and reveals, for the shown document.
Needs lesson_needs(const Lesson& lesson, const Document& document, const ModelConfig& config);

// Goals of the open lesson that are reached now and were not before: apply cmd::ReachGoal for each. Empty while the
// view is stale.
std::vector<std::string> newly_reached(const Lesson& lesson, const Workbench& bench);

}  // namespace glassbox
