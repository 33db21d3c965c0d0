// Lessons on the command line.
#include <catch2/catch_test_macros.hpp>
#include <map>

#include "tests/app/program.h"

namespace glassbox::test {
namespace {

using Json = nlohmann::json;

TEST_CASE("lesson lists at least two lessons of each stage that is built") {
  const Json lessons = run_json({"lesson"})["lessons"];
  std::map<int, int> of_stage;
  for (const Json& lesson : lessons) {
    ++of_stage[lesson["stage"].get<int>()];
    CHECK_FALSE(lesson["title"].get<std::string>().empty());
    CHECK_FALSE(lesson["goals"].empty());
  }
  for (const int stage : {1, 2, 3, 6}) CHECK(of_stage[stage] >= 2);
  require_error({"lesson", "0_nothing"}, 2, {"0_nothing", "glassbox lesson"});
  require_error({"lesson", "--solve"}, 2, {"--solve"});
}

TEST_CASE("lesson prints a text with its measures filled in, and runs a solution", "[slow]") {
  const Json lessons = run_json({"lesson"})["lessons"];
  int seen = 0;
  for (const Json& lesson : lessons) {
    if (lesson["order"] != 1 || lesson["stage"].get<int>() > 3) continue;
    const std::string id = lesson["id"];
    INFO(id);
    const Json shown = run_json({"lesson", id});
    CHECK(shown["title"] == lesson["title"]);
    CHECK(shown["text"].get<std::string>().find("\"measure\"") == std::string::npos);
    const Json solved = run_json({"lesson", id, "--solve"});
    CHECK(solved["goals"].size() == lesson["goals"].size());
    for (const Json& goal : solved["goals"]) {
      CHECK(goal["before"] == false);
      CHECK(goal["after"] == true);
    }
    ++seen;
  }
  CHECK(seen >= 2);
  // A small random model cannot do it: that is no success, and the reason is said.
  const Outcome missed = run_program({"lesson", lessons[0]["id"], "--solve", "-m", tiny_model("llama"), "--json"});
  CHECK(missed.code != 0);
  CHECK(missed.out.empty());
  CHECK_FALSE(missed.err.empty());
}

}  // namespace
}  // namespace glassbox::test
