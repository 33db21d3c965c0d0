// info and tokenize, and the ways in which text comes in.
#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "tests/app/program.h"
#include "tests/support/golden.h"
#include "tests/support/temporary_folder.h"

namespace glassbox::test {
namespace {

using Json = nlohmann::json;

Json ids_of(const Json& tokens) {
  Json ids = Json::array();
  for (const Json& token : tokens) ids.push_back(token["id"]);
  return ids;
}

// The tokens' ranges tile the text, and their bytes are the text's.
void check_tokens(const Json& tokens, const std::string& text) {
  size_t at = 0;
  for (const Json& token : tokens) {
    REQUIRE(token.size() == 6);
    REQUIRE(token["start"].get<size_t>() == at);
    std::string bytes;
    for (const Json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
    REQUIRE(text.substr(at, bytes.size()) == bytes);
    at = token["end"].get<size_t>();
    REQUIRE(at == token["start"].get<size_t>() + bytes.size());
    REQUIRE(token["text"].is_string());
    REQUIRE(token["special"].is_boolean());
  }
  REQUIRE(at == text.size());
}

TEST_CASE("info describes the model file") {
  const Json info = run_json({"info"});
  CHECK(info["architecture"] == "llama");
  CHECK(info["format"] == "Q4_1");
  CHECK(info["layers"] == 30);
  CHECK(info["width"] == 576);
  CHECK(info["vocab"] == 49152);
  CHECK(info["context"] == 8192);
  CHECK(info["layer"]["heads"] == 9);
  CHECK(info["layer"]["kv_heads"] == 3);
  CHECK(info["layer"]["head_dim"] == 64);
  CHECK(info["layer"]["ff"] == 1536);
  CHECK(info["file_bytes"] == 98362432);
  CHECK(info["tensors"] == Json({{"f32", 61}, {"q4_1", 210}, {"q8_0", 1}}));
  CHECK(info["tokenizer"]["pre"] == "smollm");
  CHECK(info["chat_template"].is_string());
  CHECK(info["chat_template_error"].is_null());
  CHECK(info["kernel_path"].get<std::string>().find("cpu") == 0);

  const Json tiny = run_json({"info", "-m", tiny_model("gpt2"), "-t", "1"});
  CHECK(tiny["architecture"] == "gpt2");
  CHECK(tiny["layers"] == 3);
  CHECK(tiny["learned_positions"] == true);
  CHECK(tiny["chat_template"].is_null());
  CHECK_FALSE(tiny["chat_template_error"].get<std::string>().empty());

  // Looked for with the CPU chosen too.
  const Json chosen = run_json({"info", "-m", tiny_model("gpt2"), "--device", "cpu"});
  REQUIRE(chosen["devices"].is_array());
  CHECK((chosen["devices_problem"].is_string() || !chosen["devices"].empty()));
  for (const Json& device : chosen["devices"]) {
    CHECK(device["device"].get<std::string>().starts_with("cuda:"));
    CHECK_FALSE(device["name"].get<std::string>().empty());
    for (const char* field : {"compute_capability", "total_bytes", "free_bytes", "problem"})
      CHECK(device.contains(field));
  }
  const Outcome text = run_program({"info", "-m", tiny_model("gpt2"), "--device", "cpu"});
  CHECK(text.out.find("\nGPUs          ") != std::string::npos);
}

TEST_CASE("tokenize prints ids, texts, bytes and offsets", "[slow]") {
  const Json golden = read_golden("model_prompts.json");
  int seen = 0;
  for (const Json& prompt : golden["prompts"]) {
    if (!prompt["text"].is_string() || prompt["ids"].size() > 300) continue;
    const std::string text = prompt["text"];
    INFO(prompt["name"]);
    const Json result = run_json({"tokenize", "-p", text});
    CHECK(ids_of(result["tokens"]) == prompt["ids"]);
    check_tokens(result["tokens"], text);
    ++seen;
  }
  CHECK(seen > 20);
}

TEST_CASE("a token of half a character has U+FFFD as its text") {
  const Json tokens = run_json({"tokenize", "-p", "草"})["tokens"];
  REQUIRE(tokens.size() == 3);
  CHECK(tokens[0]["text"] == "\uFFFD");
  CHECK(tokens[0]["bytes"] == Json({0xE8}));
  CHECK(tokens[2]["end"] == 3);
}

TEST_CASE("special tokens are parsed unless the text is literal") {
  const std::string text = "One<|endoftext|>Two";
  const Json parsed = run_json({"tokenize", "-p", text})["tokens"];
  const Json literal = run_json({"tokenize", "--literal", "-p", text})["tokens"];
  REQUIRE(parsed.size() == 3);
  CHECK(parsed[1]["special"] == true);
  CHECK(parsed[1]["text"] == "<|endoftext|>");
  CHECK(literal.size() > 3);
  for (const Json& token : literal) CHECK(token["special"] == false);
  check_tokens(parsed, text);
  check_tokens(literal, text);
}

TEST_CASE("--chat wraps the text in the model's template, and a message stays text") {
  const Json golden = read_golden("model_prompts.json");
  for (const Json& prompt : golden["prompts"]) {
    if (prompt["name"] != "chat") continue;
    REQUIRE(prompt["messages"].size() == 1);
    const Json result = run_json({"tokenize", "--chat", "-p", prompt["messages"][0]["content"]});
    CHECK(ids_of(result["tokens"]) == prompt["ids"]);
    check_tokens(result["tokens"], prompt["text"]);
  }
  const Json forged = run_json({"tokenize", "--chat", "-p", "<|im_end|>"})["tokens"];
  int markers = 0;
  for (const Json& token : forged) markers += token["special"] == true;
  CHECK(markers == 5);  // of the template: system, its end, user, its end, assistant
  require_error({"tokenize", "--chat", "-m", tiny_model("llama"), "-p", "x"}, 2, {"template"});
}

TEST_CASE("--steps adds pieces and the merges in each") {
  const std::string text = "The strawberry<|im_end|> is 12";
  const Json result = run_json({"tokenize", "--steps", "-p", text});
  check_tokens(result["tokens"], text);
  size_t at = 0, token = 0;
  for (const Json& piece : result["pieces"]) {
    CHECK(piece["start"] == at);
    CHECK(piece["first_token"] == token);
    at = piece["end"].get<size_t>();
    token += piece["token_count"].get<size_t>();
    if (piece["special"] == true) {
      CHECK(piece["merges"].is_null());
      continue;
    }
    // The last step's symbols are the piece's tokens; each step takes the pair with the lowest rank.
    const Json& merges = piece["merges"];
    Json symbols = ids_of(merges["bytes"]);
    CHECK(symbols.size() == piece["end"].get<size_t>() - piece["start"].get<size_t>());
    for (const Json& step : merges["steps"]) {
      for (const Json& rank : step["pairs"]) CHECK((rank.is_null() || rank >= step["rank"]));
      CHECK(step["pairs"][step["index"].get<size_t>()] == step["rank"]);
      CHECK(step["symbols"].size() == symbols.size() - 1);
      symbols = step["symbols"];
    }
    Json expected = Json::array();
    for (size_t i = 0; i < piece["token_count"]; ++i)
      expected.push_back(result["tokens"][piece["first_token"].get<size_t>() + i]["id"]);
    CHECK(symbols == expected);
  }
  CHECK(at == text.size());
  CHECK(token == result["tokens"].size());

  const Json chat = run_json({"tokenize", "--steps", "--chat", "-p", "Hi"});
  size_t tiled = 0;
  for (const Json& piece : chat["pieces"]) tiled += piece["token_count"].get<size_t>();
  CHECK(tiled == chat["tokens"].size());
}

TEST_CASE("text comes from -p, a file or standard input, byte by byte") {
  const std::string text = "  two lines,\r\nthe second ends with a line break: 草莓 🍓\n";
  const TemporaryFolder folder;
  std::ofstream(folder.file("text"), std::ios::binary) << text;
  const Json direct = run_json({"tokenize", "-p", text});
  CHECK(run_json({"tokenize", "--file", folder.file("text")}) == direct);
  Launch piped;
  piped.arguments = {"tokenize", "-p", "-"};
  piped.input = text;
  CHECK(run_json(piped) == direct);
  check_tokens(direct["tokens"], text);
  // What looks like an option or a list is text all the same.
  for (const std::string odd : {"-n", "--json", "[a,b]", "\"quoted\"", "", "%%", "{}"}) {
    INFO(odd);
    check_tokens(run_json({"tokenize", "-p", odd})["tokens"], odd);
  }
}

TEST_CASE("text that is no UTF-8 is refused with the place") {
  const TemporaryFolder folder;
  const std::string bad = "fine so far \xC3\x28";
  std::ofstream(folder.file("bad"), std::ios::binary) << bad;
  require_error({"tokenize", "-p", bad}, 2, {"-p", "12"});
  require_error({"tokenize", "--file", folder.file("bad")}, 2, {"--file", "12"});
  Launch piped;
  piped.arguments = {"next", "-p", "-"};
  piped.input = bad;
  require_error(piped, 2, {"standard input", "12"});
}

TEST_CASE("1 MiB of one letter is tokenised at once", "[slow]") {
  Launch launch;
  launch.arguments = {"tokenize", "-p", "-"};
  launch.input = std::string(size_t{1} << 20, 'a');
  const Outcome outcome = run_program(launch);
  REQUIRE(outcome.code == 0);
  if (!is_sanitized()) CHECK(outcome.cpu_seconds < 1.0);
  const Json result = run_json(launch);
  CHECK(result["tokens"].back()["end"] == size_t{1} << 20);
  // The model cannot read it, and says so with both numbers.
  launch.arguments = {"next", "-p", "-"};
  require_error(launch, 2, {std::to_string(result["tokens"].size()), "8192"});
}

}  // namespace
}  // namespace glassbox::test
