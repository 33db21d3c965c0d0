// When things go wrong: exit codes, and messages that say what, where, what was expected and what to do.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "tests/app/program.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {
namespace {

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST_CASE("a model file that is missing, wrong or cut short is a bad file") {
  const TemporaryFolder folder;
  require_error({"info", "-m", folder.file("none.gguf")}, 3, {"none.gguf"});
  require_error({"next", "-p", "x", "-m", folder.path()}, 3, {folder.path()});
  write_bytes(folder.file("text.gguf"), "This is no model, only words in a file that calls itself one.");
  require_error({"generate", "-p", "x", "-m", folder.file("text.gguf")}, 3, {"text.gguf", "GGUF"});
  write_bytes(folder.file("empty.gguf"), "");
  require_error({"info", "-m", folder.file("empty.gguf")}, 3, {"empty.gguf"});

  // Cut at many places: in the magic, the counts, the metadata, the tensor list, the data.
  const std::string whole = read_bytes(tiny_model("llama"));
  REQUIRE(whole.size() > 300000);
  for (const double share : {0.00001, 0.00003, 0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.3, 0.5, 0.9, 0.999999}) {
    const std::string path = folder.file("cut.gguf");
    write_bytes(path, whole.substr(0, static_cast<size_t>(share * static_cast<double>(whole.size()))));
    require_error({"next", "-p", "x", "-m", path}, 3, {"cut.gguf", "expected"});
  }
  // The real one, one byte short: the last tensor does not fit.
  const std::string shorter = folder.file("short.gguf");
  std::filesystem::copy_file(model_path(), shorter);
  std::filesystem::resize_file(shorter, std::filesystem::file_size(shorter) - 1);
  require_error({"tokenize", "-p", "x", "-m", shorter}, 3, {"short.gguf"});
}

TEST_CASE("an unknown architecture is a bad file") {
  const TemporaryFolder folder;
  std::string bytes = read_bytes(tiny_model("llama"));
  const size_t at = bytes.find("general.architecture") + 20 + 4 + 8;  // key, type, length of the string
  REQUIRE(bytes.substr(at, 5) == "llama");
  bytes.replace(at, 5, "lambs");
  write_bytes(folder.file("lambs.gguf"), bytes);
  require_error({"info", "-m", folder.file("lambs.gguf")}, 3, {"lambs", "llama"});
}

TEST_CASE("without any model the program says how to get one") {
  const TemporaryFolder folder;
  Launch launch;
  launch.arguments = {"generate", "-p", "x"};
  launch.without = {"GLASSBOX_MODEL"};
  launch.environment = {{"XDG_DATA_HOME", folder.path()}};
  require_error(launch, 3, {"app/run", folder.path() + "/glassbox/models/SmolLM2-135M-Instruct.Q4_1.gguf"});
}

TEST_CASE("requests that the model cannot fulfil are errors of usage") {
  const std::string m = tiny_model("llama");
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "nothing", "--layer", "0"}, 2, {"nothing", "--tap list"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "q"}, 2, {"--layer", "0 to 1"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "q", "--layer", "2"}, 2, {"layer 2", "0 to 1"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "q", "--layer", "-1"}, 2, {"0 to 1"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "q", "--layer", "0", "--head", "4"}, 2, {"head 4", "0 to 3"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "k", "--layer", "0", "--head", "2"}, 2, {"head 2", "0 to 1"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "mlp_out", "--layer", "0", "--head", "0"}, 2, {"head"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "q", "--layer", "0", "--pos", "1"}, 2,
                {"position 1", "1 token"});
  require_error({"inspect", "-m", m, "-p", "x", "--tap", "blocks.1.attn.hook_q", "--layer", "0"}, 2, {"layer"});
  require_error({"inspect", "-m", tiny_model("gpt2"), "-p", "x", "--tap", "q_rot", "--layer", "0"}, 2, {"q_rot"});
  require_error({"inspect", "-m", m, "-p", "x"}, 2, {"--tap"});
  std::string long_ids = "260";
  for (int i = 1; i < 1500; ++i) long_ids += ",260";
  require_error({"inspect", "--ids", long_ids, "--tap", "logits"}, 2, {"73 728 000", "--pos"});
  require_error({"next", "-m", m, "-p", "x", "--edit", "zero:attn_z:L7"}, 2, {"layer 7"});
  require_error({"next", "-m", m, "-p", "x", "--edit", "zero:attn_z:L0:H9"}, 2, {"head 9"});
  require_error({"next", "-m", m, "-p", "x", "--edit", "melt:attn_z:L0"}, 2, {"melt", "--edit help"});
  require_error({"next", "-m", m, "-p", "x", "--edit", "{\"kind\":"}, 2, {"JSON"});
  require_error({"next", "-m", m}, 2, {"-p"});
  require_error({"next", "-m", m, "-p", ""}, 2, {"token"});
  require_error({"next", "-m", m, "--ids", "1,2,x"}, 2, {"--ids"});
  require_error({"next", "-m", m, "--ids", "300"}, 2, {"300", "0 to 299"});
  require_error({"next", "-m", m, "--ids", "-1"}, 2, {"-1"});
  require_error({"next", "-m", m, "-p", "x", "--file", "y"}, 2, {"--file"});
  require_error({"neighbors", "-m", m}, 2, {"--token"});
  require_error({"neighbors", "-m", m, "--id", "300"}, 2, {"0 to 299"});
  require_error({"neighbors", "-m", m, "--token", "two words of text"}, 2, {"one token"});
  require_error({"neighbors", "-m", m, "-p", "x", "--layer", "2"}, 2, {"layer 2"});
  require_error({"next", "-m", m, "-p", "x", "--device", "cuda:99"}, 2, {"no such device", "cpu"});
  require_error({"next", "-m", m, "-p", "x", "--device", "abacus"}, 2, {"abacus"});
}

TEST_CASE("an instruction set that the machine lacks is said") {
  Launch launch;
  launch.arguments = {"next", "-m", tiny_model("llama"), "-p", "x"};
  launch.environment = {{"GLASSBOX_CPU", "abacus"}};
  require_error(launch, 2, {"GLASSBOX_CPU", "portable"});
}

TEST_CASE("a prompt longer than the context is refused with both numbers") {
  std::string ids = "2";
  for (int i = 1; i < 70; ++i) ids += ",2";
  for (const char* verb : {"next", "generate", "logprobs", "look"})
    require_error({verb, "-m", tiny_model("llama"), "--ids", ids}, 2, {"70", "64"});
  require_error({"next", "-m", tiny_model("llama"), "-p", std::string(400, 'a')}, 2, {"context", "64"});
}

TEST_CASE("sampler values out of range are refused with the range") {
  const std::vector<std::pair<std::vector<std::string>, std::vector<std::string>>> wrong = {
      {{"--temp", "-0.1"}, {"temperature", "[0, 100]"}},
      {{"--temp", "nan"}, {"temperature", "[0, 100]"}},
      {{"--temp", "inf"}, {"temperature", "[0, 100]"}},
      {{"--temp", "warm"}, {"--temp"}},
      {{"--top-k", "-1"}, {"top_k"}},
      {{"--top-k", "2.5"}, {"--top-k"}},
      {{"--top-p", "0"}, {"top_p", "(0, 1]"}},
      {{"--top-p", "1.01"}, {"top_p", "(0, 1]"}},
      {{"--min-p", "1"}, {"min_p", "[0, 1)"}},
      {{"--min-p", "-0.5"}, {"min_p", "[0, 1)"}},
      {{"--repeat-penalty", "0"}, {"repetition_penalty", "(0, 100]"}},
      {{"--presence-penalty", "101"}, {"presence_penalty"}},
      {{"--frequency-penalty", "-101"}, {"frequency_penalty"}},
      {{"--penalty-window", "-2"}, {"penalty_window"}},
      {{"--order", "top_k,top_p"}, {"order"}},
      {{"--order", "top_k,top_p,min_p,luck"}, {"luck", "--order"}},
      {{"-s", "-1"}, {"--seed"}},
      {{"-s", "9007199254740992"}, {"--seed", "9007199254740991"}},
  };
  for (const auto& [options, words] : wrong) {
    std::vector<std::string> arguments = {"next", "-m", tiny_model("llama"), "-p", "x"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    require_error(arguments, 2, words);
  }
}

TEST_CASE("wrong words on the command line are errors of usage") {
  require_error({"explain"}, 2, {"explain", "tokenize", "--help"});
  require_error({"info", "--colour"}, 2, {"--colour", "--help"});
  require_error({"info", "extra"}, 2, {"extra"});
  require_error({"next", "-p"}, 2, {"--prompt"});
  require_error({"next", "-p", "x", "-t", "0"}, 2, {"--threads"});
  require_error({"next", "-p", "x", "--precision", "half"}, 2, {"exact", "fast"});
  require_error({"generate", "-p", "x", "-n", "-2"}, 2, {"--tokens"});
  for (const std::vector<std::string>& good : {std::vector<std::string>{"--help"},
                                               {"generate", "--help"},
                                               {"--version"},
                                               {"inspect", "--edit", "help"},
                                               {"next", "--edit", "help"},
                                               {"inspect", "--tap", "list"}}) {
    const Outcome outcome = run_program(good);
    CHECK(outcome.code == 0);
    CHECK_FALSE(outcome.out.empty());
    CHECK(outcome.err.empty());
  }
  const nlohmann::json taps = run_json({"inspect", "--tap", "list"})["taps"];
  CHECK(taps.size() == static_cast<size_t>(kTapCount));
  for (const nlohmann::json& tap : taps) CHECK_FALSE(tap["definition"].get<std::string>().empty());
  CHECK(run_json({"inspect", "--edit", "help"})["help"].get<std::string>().find("cut_score") != std::string::npos);
}

TEST_CASE("recorded logits that are none are refused with the place") {
  const TemporaryFolder folder;
  write_bytes(folder.file("odd"), "12345");
  require_error({"next", "--logits", folder.file("odd")}, 3, {"odd", "5 bytes"});
  write_bytes(folder.file("nan"), std::string("\0\0\x80\x3F\0\0\xC0\x7F", 8));
  require_error({"next", "--logits", folder.file("nan")}, 3, {"byte 4", "token 1"});
  require_error({"next", "--logits", folder.file("none")}, 3, {"none"});
  write_bytes(folder.file("one"), std::string("\0\0\x80\x3F", 4));
  require_error({"next", "--logits", folder.file("one"), "--edit", "zero:attn_z:L0"}, 2, {"--edit"});
}

TEST_CASE("what cannot be read or written is said") {
  const TemporaryFolder folder;
  require_error({"next", "-m", tiny_model("llama"), "--file", folder.file("no text")}, 3, {"no text"});
  require_error({"next", "-m", tiny_model("llama"), "--file", folder.path()}, 3, {folder.path()});
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"info", "--json"},
                                                    {"tokenize", "-p", "x"},
                                                    {"generate", "-p", "x", "-n", "4"},
                                                    {"--help"}}) {
    Launch launch;
    launch.arguments = arguments;
    launch.output_path = "/dev/full";
    const Outcome outcome = run_program(launch);
    INFO(arguments[0] << ": " << outcome.err);
    CHECK(outcome.code == 1);
    CHECK(outcome.err.find("standard output") != std::string::npos);
  }
}

TEST_CASE("a reader that goes away ends the program quietly") {
  Launch launch;
  launch.arguments = {"next", "-m", tiny_model("llama"), "-p", "x", "--json"};
  launch.close_output = true;
  const Outcome outcome = run_program(launch);
  CHECK(outcome.signal == 0);
  CHECK(outcome.code == 1);
  CHECK(outcome.err.empty());
  launch.arguments = {"generate", "-p", "x", "-n", "200", "--ignore-eos"};
  const Outcome streaming = run_program(launch);
  CHECK(streaming.signal == 0);
  CHECK(streaming.code == 1);
}

TEST_CASE("Ctrl+C ends long work between two layers with exit code 130") {
  Launch launch;
  launch.arguments = {"generate", "-p", "Once upon a time", "-n", "8000", "--ignore-eos"};
  launch.interrupt_after = 0.1;
  const Outcome generating = run_program(launch);
  CHECK(generating.signal == 0);
  CHECK(generating.code == 130);
  CHECK_FALSE(generating.out.empty());
  // With --json half a document is none.
  launch.arguments.push_back("--json");
  launch.interrupt_after = std::nullopt;
  launch.interrupt_after_start = 1.0;
  const Outcome silent = run_program(launch);
  CHECK(silent.code == 130);
  CHECK(silent.out.empty());
  CHECK(silent.err.find("Ctrl+C") != std::string::npos);
  // While it waits for a text.
  launch.arguments = {"tokenize", "-p", "-"};
  launch.keep_input_open = true;
  CHECK(run_program(launch).code == 130);
}

}  // namespace
}  // namespace glassbox::test
