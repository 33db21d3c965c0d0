// The view for the terminal, and what happens where nothing can be drawn.
#include <catch2/catch_test_macros.hpp>

#include "core/text/unicode.h"
#include "tests/app/program.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  return lines;
}

size_t characters(const std::string& line) {
  size_t count = 0;
  for (size_t at = 0; at < line.size(); at += decode_utf8(line, at).length) ++count;
  return count;
}

const std::string kMary = "When Mary and John went to the shop, John gave the bag to";

TEST_CASE("look shows tokens, the next token and a map, in 24-bit colours") {
  Launch launch;
  launch.arguments = {"look", "-p", kMary, "--color", "always", "--precision", "exact"};
  launch.environment = {{"COLUMNS", "100"}};
  const Outcome outcome = run_program(launch);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out.find("\033[48;2;40;74;108m") != std::string::npos);  // the first chip's ground, #284A6C
  CHECK(outcome.out.find("·Mary") != std::string::npos);
  CHECK(outcome.out.find("0.91") != std::string::npos);  // P(·Mary)
  CHECK(outcome.out.find("▀") != std::string::npos);
  CHECK(outcome.out.find("layer 24 head 4") != std::string::npos);
  launch.arguments.insert(launch.arguments.end(), {"--theme", "light", "--layer", "3", "--head", "1"});
  const Outcome light = run_program(launch);
  CHECK(light.out.find("\033[48;2;195;226;255m") != std::string::npos);  // #C3E2FF
  CHECK(light.out.find("layer 3 head 1") != std::string::npos);
}

TEST_CASE("look without colour stays within the width", "[slow]") {
  const nlohmann::json prompts = read_golden("model_prompts.json")["prompts"];
  for (const nlohmann::json& prompt : prompts) {
    const std::string name = prompt["name"];
    if (name != "mary" && name != "chinese" && name != "emoji" && name != "story_257" && name != "one_token") continue;
    for (const char* width : {"60", "100"}) {
      Launch launch;
      launch.arguments = {"look", "-p", prompt["text"]};
      launch.environment = {{"COLUMNS", width}, {"NO_COLOR", "1"}, {"DISPLAY", ":9"}};
      const Outcome outcome = run_program(launch);
      INFO(name << " in " << width << "\n" << outcome.out);
      REQUIRE(outcome.code == 0);
      CHECK(outcome.out.find('\033') == std::string::npos);
      // Wide characters count once here, so this is a lower bound for them and exact for the rest.
      for (const std::string& line : lines_of(outcome.out)) CHECK(characters(line) <= std::stoul(width));
    }
  }
}

TEST_CASE("look says how to get the window where there is no display") {
  Launch launch;
  launch.arguments = {"look"};  // on the first-minute prompt
  launch.without = {"DISPLAY", "WAYLAND_DISPLAY"};
  const Outcome blind = run_program(launch);
  REQUIRE(blind.code == 0);
  CHECK(blind.out.find("For the window") != std::string::npos);
  CHECK(blind.out.find("\033[") == std::string::npos);  // standard output is no terminal here
  CHECK(blind.out.find("·Mary") != std::string::npos);
  launch.arguments = {};
  require_error(launch, 1, {"DISPLAY", "glassbox look"});
}

TEST_CASE("shot refuses what it cannot do before anything is drawn") {
  const TemporaryFolder folder;
  const std::string out = folder.file("shot.png");
  require_error({"shot", "-o", out, "--stage", "9"}, 2, {"--stage"});
  require_error({"shot", "-o", out, "--scale", "9"}, 2, {"--scale"});
  require_error({"shot", "-o", out, "--theme", "neon"}, 2, {"dark", "light"});
#ifdef GLASSBOX_HAS_WINDOW
  require_error({"shot", "-p", "x"}, 2, {"-o"});
  require_error({"shot", "-o", out, "--size", "big"}, 2, {"--size"});
  require_error({"shot", "-o", out, "--command", "{}"}, 2, {"command"});
  require_error({"shot", "-o", out, "-m", folder.file("none.gguf")}, 3, {"none.gguf"});
  const Outcome drawn = run_program({"shot", "-p", kMary, "--stage", "3", "-o", out, "--size", "800x600"});
  INFO(drawn.err);
  CHECK(drawn.code == 0);
  std::ifstream file(out, std::ios::binary);
  char header[24] = {};
  file.read(header, sizeof(header));
  CHECK(std::string(header + 1, 3) == "PNG");
  CHECK(static_cast<unsigned char>(header[18]) * 256 + static_cast<unsigned char>(header[19]) == 800);
  CHECK(static_cast<unsigned char>(header[22]) * 256 + static_cast<unsigned char>(header[23]) == 600);
#else
  require_error({"shot", "-p", "x", "-o", out}, 1, {"without the window"});
#endif
}

}  // namespace
}  // namespace glassbox::test
