// Every lesson on the real model: its goals are false at the start, after nothing and after a plausible wrong try, and
// true after the solution.
#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/lessons/lesson_bench.h"

using namespace glassbox;
using namespace glassbox::test;

namespace {

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++found;
  return found;
}

// Formulas are closed, and the renderer's small set of commands is not left.
void check_markdown(const std::string& text) {
  CHECK(count(text, "$$") % 2 == 0);
  CHECK((count(text, "$") - 2 * count(text, "$$")) % 2 == 0);
  CHECK(count(text, "`") % 2 == 0);
  CHECK(count(text, "**") % 2 == 0);
  static const std::set<std::string> known = {"frac", "sqrt", "mathrm", "sum", "lVert", "rVert",
                                              "cdot", "pm",   "ge",     "in",  "mid"};
  for (size_t at = text.find('\\'); at != std::string::npos; at = text.find('\\', at + 2)) {
    size_t end = at + 1;
    while (end < text.size() && std::isalpha(static_cast<unsigned char>(text[end])) != 0) ++end;
    const std::string name = text.substr(at + 1, end - at - 1);
    INFO("\\" << name);
    CHECK((name.empty() || known.contains(name)));
  }
}

}  // namespace

TEST_CASE("every lesson is whole, and every stage of this program has some", "[lessons]") {
  const auto& lessons = committed_lessons();
  std::set<std::pair<int, std::string>> questions;
  std::ifstream file(lesson_folder() + "/questions.txt");
  REQUIRE(file.good());
  for (std::string line; std::getline(file, line);) {
    const size_t tab = line.find('\t');
    REQUIRE(tab != std::string::npos);
    questions.emplace(std::stoi(line.substr(0, tab)), line.substr(tab + 1));
  }
  std::set<std::string> ids, titles;
  std::set<std::pair<int, int>> places;
  for (const Lesson& lesson : lessons) {
    INFO(lesson.id);
    CHECK(ids.insert(lesson.id).second);
    CHECK(titles.insert(lesson.title).second);
    CHECK(places.emplace(lesson.stage, lesson.order).second);
    CHECK(lesson.id.starts_with(std::to_string(lesson.stage) + "_"));
    CHECK(questions.contains({lesson.stage, lesson.question}));
    std::istringstream words(lesson.text);
    const auto length = std::distance(std::istream_iterator<std::string>(words), {});
    CHECK(length >= 90);
    CHECK(length <= 220);
    CHECK(lesson.text.find("$$") != std::string::npos);
    check_markdown(lesson.text);
    check_markdown(lesson.limits);
    CHECK(lesson.limits.size() > 40);
    CHECK_FALSE(lesson.sources.empty());
    CHECK_FALSE(lesson.predictions.empty());
    for (const Prediction& prediction : lesson.predictions) {
      INFO(prediction.id);
      check_markdown(prediction.text);
      check_markdown(prediction.reveal);
      CHECK(prediction.answers.size() >= 2);
      CHECK(prediction.answers.size() <= 4);
      std::set<std::string> answers;
      for (const Answer& answer : prediction.answers) CHECK(answers.insert(answer.id).second);
      CHECK(answers.contains(prediction.right));
    }
    CHECK(lesson.tries.size() >= 2);
    CHECK(lesson.tries.size() <= 4);
    CHECK(lesson.goals.size() >= 3);
    CHECK(lesson.goals.size() <= 4);
    bool measured = false;
    for (const Goal& goal : lesson.goals) {
      check_markdown(goal.text);
      CHECK((goal.progress.empty() || goal.progress.find("{}") != std::string::npos));
      measured |= std::any_of(goal.conditions.begin(), goal.conditions.end(),
                              [](const Condition& condition) { return is_measured(condition.quantity.kind); });
    }
    CHECK(measured);
    const auto solution = load_solution(lesson_folder(), lesson.id);
    if (!solution) FAIL(solution.error().message());
    CHECK(solution->goals.size() == lesson.goals.size());
    for (const Goal& goal : lesson.goals) CHECK(solution->goals.contains(goal.id));
  }
  for (const int stage : {1, 2, 3, 6}) {
    CHECK(std::count_if(lessons.begin(), lessons.end(), [&](const Lesson& l) { return l.stage == stage; }) >= 2);
  }
}

TEST_CASE("goals are false until they are reached", "[lessons][model][slow]") {
  LessonBench& bench = lesson_bench();
  for (const Lesson& lesson : committed_lessons()) {
    const Solution solution = load_solution(lesson_folder(), lesson.id).take();
    bench.start(lesson);
    for (const Goal& goal : lesson.goals) {
      INFO("at the start: " << bench.values(goal));
      CHECK_FALSE(bench.reached(goal));
    }
    CHECK(newly_reached(lesson, bench.bench()).empty());

    // To answer the questions is to do nothing yet.
    for (const Prediction& prediction : lesson.predictions)
      bench.apply({cmd::Predict{lesson.id, prediction.id, prediction.right}});
    bench.rest();
    for (const Goal& goal : lesson.goals) {
      INFO("after the predictions: " << bench.values(goal));
      CHECK_FALSE(bench.reached(goal));
    }

    for (const Goal& goal : lesson.goals) {
      const Solution::Part& part = solution.goals.at(goal.id);
      bench.start(lesson);
      const Document untouched = bench.bench().document();
      bench.wrong(part);
      {
        INFO("after the wrong try: " << bench.values(goal));
        CHECK_FALSE(bench.reached(goal));
        CHECK_FALSE(bench.bench().document() == untouched);
      }
      bench.start(lesson);
      bench.right(part);
      INFO("after the solution: " << bench.values(goal));
      CHECK(bench.reached(goal));
      const auto reached = newly_reached(lesson, bench.bench());
      CHECK(std::count(reached.begin(), reached.end(), goal.id) == 1);
      bench.apply({cmd::ReachGoal{lesson.id, goal.id}});
      bench.rest();
      const auto again = newly_reached(lesson, bench.bench());
      CHECK(std::count(again.begin(), again.end(), goal.id) == 0);
    }
  }
}

TEST_CASE("a lesson's text has its numbers at the start, and its buttons work", "[lessons][model][slow]") {
  LessonBench& bench = lesson_bench();
  for (const Lesson& lesson : committed_lessons()) {
    bench.start(lesson);
    INFO(lesson.id);
    const std::string filled = fill_measures(lesson.text, bench.context());
    CHECK(filled.find("{\"measure\"") == std::string::npos);
    CHECK(count(filled, "—") == count(lesson.text, "—"));
    for (const Try& button : lesson.tries) {
      INFO(button.label);
      bench.start(lesson);
      bench.apply(button.commands);
      bench.rest();
      CHECK(bench.bench().view().step != nullptr);
    }
  }
}
