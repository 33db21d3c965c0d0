// The files of lessons: what is wrong in one is refused, with the file and the field; and what is measured without a
// model.
#include <catch2/matchers/catch_matchers_string.hpp>
#include <filesystem>
#include <fstream>

#include "tests/lessons/lesson_bench.h"

using namespace glassbox;
using namespace glassbox::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const char* const kGood = R"({
  "stage": 1, "order": 1, "title": "A title", "question": "A question?",
  "start": [{"command": "set_stage", "stage": 1}],
  "predictions": [{"id": "p", "text": "Which?", "answers": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}],
                   "right": "a", "reveal": "It has {\"measure\": \"tokens\"} tokens."}],
  "try": [{"label": "Do", "commands": [{"command": "set_text", "text": "Go"}]}],
  "goals": [{"id": "g", "text": "Reach it", "when": [{"measure": "tokens", "at_least": 3}]}],
  "limits": "Not much.", "sources": ["A book, section 1"]
})";
const char* const kGoodSolution = R"({"g": {"right": [{"command": "set_text", "text": "One two three"}], "wrong": [],
                                            "steps": 2, "then": [], "then_steps": 1}})";

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "glassbox_lesson_files";
  Folder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path / "1_one");
    write("lesson.json", kGood);
    write("text.md", "There are {\"measure\": \"tokens\"} tokens.");
    write("solution.json", kGoodSolution);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / "1_one" / name) << text; }
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a good lesson is read as it is written", "[lessons]") {
  const Folder folder;
  const auto lessons = load_lessons(folder.path.string());
  if (!lessons) FAIL(lessons.error().message());
  REQUIRE(lessons->size() == 1);
  const Lesson& lesson = lessons->front();
  CHECK(lesson.id == "1_one");
  CHECK(lesson.predictions.front().right == "a");
  CHECK(lesson.goals.front().conditions.front().op == Condition::Op::at_least);
  CHECK(std::holds_alternative<cmd::SetText>(lesson.tries.front().commands.front()));
  const auto solution = load_solution(folder.path.string(), "1_one");
  if (!solution) FAIL(solution.error().message());
  CHECK(solution->goals.at("g").right.size() == 1);
  CHECK(solution->goals.at("g").steps == 2);
  CHECK(solution->goals.at("g").then_steps == 1);
}

TEST_CASE("a lesson that is not right is refused with the file and the field", "[lessons]") {
  struct Case {
    const char *from, *to, *field;
  };
  for (const Case& bad : {
           Case{"\"stage\": 1,", "\"stage\": 9,", "stage"},
           Case{"\"order\": 1,", "", "order"},
           Case{"\"order\": 1,", "\"order\": \"first\",", "order"},
           Case{"\"title\":", "\"titel\":", "tit"},
           Case{"\"command\": \"set_stage\"", "\"command\": \"set_stagee\"", "start[0]"},
           Case{"\"right\": \"a\"", "\"right\": \"c\"", "predictions[0].right"},
           Case{"{\\\"measure\\\": \\\"tokens\\\"}", "{\\\"measure\\\": \\\"tokenz\\\"}", "predictions[0].reveal"},
           Case{"{\\\"measure\\\": \\\"tokens\\\"}", "{\\\"measure\\\": \\\"tokens\\\"", "predictions[0].reveal"},
           Case{"\"measure\": \"tokens\", \"at_least\"", "\"measure\": \"token\", \"at_least\"", "goals[0].when[0]"},
           Case{"\"measure\": \"tokens\", \"at_least\"", "\"measure\": \"prob\", \"at_least\"", "goals[0].when[0]"},
           Case{"\"at_least\": 3", "\"at_least\": \"3\"", "goals[0].when[0]"},
           Case{"\"at_least\": 3", "\"atleast\": 3", "goals[0].when[0]"},
           Case{"[{\"measure\": \"tokens\", \"at_least\": 3}]", "[]", "when"},
           Case{"{\"id\": \"b\", \"text\": \"B\"}", "{\"id\": \"b\"}", "predictions[0].answers[1].text"},
           Case{"[{\"command\": \"set_text\", \"text\": \"Go\"}]", "[{\"command\": \"set_text\"}]", "try[0].commands"},
           Case{"[\"A book, section 1\"]", "[3]", "sources"},
       }) {
    const Folder folder;
    folder.write("lesson.json", replaced(kGood, bad.from, bad.to));
    INFO(bad.from << " → " << bad.to);
    const auto lessons = load_lessons(folder.path.string());
    REQUIRE_FALSE(lessons.ok());
    CHECK(lessons.error().kind == ErrorKind::bad_file);
    CHECK_THAT(lessons.error().where, ContainsSubstring("lesson.json"));
    CHECK_THAT(lessons.error().message(), ContainsSubstring(bad.field));
  }
}

TEST_CASE("files of lessons that are no files, no JSON or no text are refused by name", "[lessons]") {
  {
    const Folder folder;
    folder.write("lesson.json", "{\"stage\": 1,");
    const auto lessons = load_lessons(folder.path.string());
    REQUIRE_FALSE(lessons.ok());
    CHECK_THAT(lessons.error().where, ContainsSubstring("lesson.json"));
  }
  {
    const Folder folder;
    folder.write("lesson.json", "[]");
    CHECK_FALSE(load_lessons(folder.path.string()).ok());
  }
  {
    const Folder folder;
    std::filesystem::remove(folder.path / "1_one" / "text.md");
    const auto lessons = load_lessons(folder.path.string());
    REQUIRE_FALSE(lessons.ok());
    CHECK_THAT(lessons.error().where, ContainsSubstring("text.md"));
  }
  {
    const Folder folder;
    folder.write("text.md", "Now {\"measure\": \"nothing\"}.");
    const auto lessons = load_lessons(folder.path.string());
    REQUIRE_FALSE(lessons.ok());
    CHECK_THAT(lessons.error().where, ContainsSubstring("text.md"));
    CHECK_THAT(lessons.error().where, ContainsSubstring("nothing"));
  }
  {
    const Folder folder;
    const std::string two = R"([{"id": "g", "text": "A", "when": [{"measure": "tokens", "equal": 1}]}, {"id": "g",)";
    folder.write("lesson.json", replaced(kGood, "[{\"id\": \"g\",", two));
    const auto lessons = load_lessons(folder.path.string());
    REQUIRE_FALSE(lessons.ok());
    CHECK_THAT(lessons.error().where, ContainsSubstring("goals[1].id"));
  }
  CHECK_FALSE(load_lessons("/no/such/folder").ok());
}

TEST_CASE("a solution that is not right is refused with the file and the goal", "[lessons]") {
  struct Case {
    const char *from, *to, *field;
  };
  for (const Case& bad : {Case{"\"wrong\": [],", "", "g.wrong"}, Case{"\"steps\": 2", "\"steps\": -1", "g.steps"},
                          Case{"\"steps\": 2", "\"step\": 2", "g"}, Case{"set_text", "settext", "g"},
                          Case{"\"then\": []", "\"then\": [{}]", "g"}}) {
    const Folder folder;
    folder.write("solution.json", replaced(kGoodSolution, bad.from, bad.to));
    INFO(bad.from << " → " << bad.to);
    const auto solution = load_solution(folder.path.string(), "1_one");
    REQUIRE_FALSE(solution.ok());
    CHECK_THAT(solution.error().where, ContainsSubstring("solution.json"));
    CHECK_THAT(solution.error().where, ContainsSubstring(bad.field));
  }
  const Folder folder;
  folder.write("solution.json", "[1]");
  CHECK_FALSE(load_solution(folder.path.string(), "1_one").ok());
  CHECK_FALSE(load_solution(folder.path.string(), "1_two").ok());
}

TEST_CASE("each quantity is found by its own name", "[lessons]") {
  for (int i = 0; i <= static_cast<int>(QuantityKind::predicted); ++i) {
    const auto kind = static_cast<QuantityKind>(i);
    const std::string name(quantity_name(kind));
    INFO(name);
    nlohmann::json json = {{"measure", name}};
    int accepted = 0;
    for (const char* const key : {"", "text", "text2"}) {
      if (*key != '\0') json[key] = "x";
      const auto quantity = quantity_from_json(json);
      if (!quantity) continue;
      ++accepted;
      CHECK(quantity->kind == kind);
    }
    CHECK(accepted == 1);  // with as many texts as it takes, and no other number
  }
}

TEST_CASE("loops and equal lines are counted on the run's tokens", "[lessons]") {
  Document document = make_document();
  const View view;
  const auto value = [&](QuantityKind kind) {
    return measure({kind, "", ""}, MeasureContext{document, view, nullptr, ""}).value();
  };
  const auto say = [&](std::vector<int32_t> tokens) {
    for (const int32_t token : tokens) REQUIRE(apply(document, cmd::Append{token}, {}).ok());
  };
  CHECK(value(QuantityKind::loop_tokens) == 0);
  say({1, 2, 3, 4, 5});
  CHECK(value(QuantityKind::loop_tokens) == 0);
  say({4, 5});  // 4 5 4 5: two tokens repeat the two before them
  CHECK(value(QuantityKind::loop_tokens) == 2);
  say({4, 5, 4});
  CHECK(value(QuantityKind::loop_tokens) == 5);
  say({9});
  CHECK(value(QuantityKind::loop_tokens) == 0);
  say({9, 9});  // 9 9 9: a period of one
  CHECK(value(QuantityKind::loop_tokens) == 2);

  CHECK(value(QuantityKind::same_lines) == 0);
  REQUIRE(apply(document, cmd::MoveCursor{0}, {}).ok());
  REQUIRE(apply(document, cmd::RedrawFromHere{}, {}).ok());
  say({1, 2, 3});
  CHECK(value(QuantityKind::branches) == 2);
  CHECK(value(QuantityKind::same_lines) == 3);
  say({7});  // the lines part
  CHECK(value(QuantityKind::same_lines) == 3);
  REQUIRE(apply(document, cmd::MoveCursor{0}, {}).ok());
  REQUIRE(apply(document, cmd::RedrawFromHere{}, {}).ok());
  say({2, 2});  // a third line that is like none from its first token on
  CHECK(value(QuantityKind::same_lines) == 3);
}

TEST_CASE("measures in a text become numbers, and a dash where there is none", "[lessons]") {
  Document document = make_document();
  document.text = "One two";
  const View view;
  const MeasureContext context{document, view, nullptr, ""};
  CHECK(fill_measures("a {\"measure\": \"words\"} b", context) == "a 2 b");
  CHECK(fill_measures("{\"measure\": \"temperature\"}", context) == "1");
  document.sampler.temperature = 3.1e-7f;
  CHECK(fill_measures("{\"measure\": \"temperature\"}", context) == "3.1e-7");
  document.sampler.temperature = 0.04213f;
  CHECK(fill_measures("{\"measure\": \"temperature\"}", context) == "0.0421");
  document.text = std::string(49152, 'a');
  CHECK(fill_measures("{\"measure\": \"bytes\"}", context) == "49\u2009152");
  document.text = std::string(1234567, 'a');
  CHECK(fill_measures("{\"measure\": \"bytes\"}", context) == "1\u2009234\u2009567");
  document.text = std::string(1649, 'a');
  CHECK(fill_measures("{\"measure\": \"bytes\"}", context) == "1649");
  CHECK(fill_measures("{\"measure\": \"tokens\"}", context) == "—");  // no model
  CHECK(fill_measures("no measure, only {braces}", context) == "no measure, only {braces}");
}
