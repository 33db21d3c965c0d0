#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <random>

#include "core/base/files.h"
#include "core/run/document.h"
#include "tests/support/temporary_folder.h"

using namespace glassbox;
using nlohmann::json;

namespace {

// A document with something in every field.
Document make_rich_document(uint32_t seed = 1) {
  std::mt19937 random(seed);
  const auto number = [&random](int below) { return static_cast<int>(random() % static_cast<uint32_t>(below)); };
  Document document = make_document();
  document.text = "Zażółć 🙂 \"quoted\"\n\tand \\ more";
  document.chat = number(2) == 1;
  document.literal = number(2) == 1;
  document.seed = kMaxSeed - random();
  document.sampler.temperature = 0.05f * static_cast<float>(1 + number(40));
  document.sampler.order = {SamplerStage::min_p, SamplerStage::top_p, SamplerStage::temperature, SamplerStage::top_k};
  Edit zero;
  zero.layer = 14;
  zero.head = 3;
  Edit steer;
  steer.kind = EditKind::add;
  steer.tap = Tap::resid_post;
  steer.vector = {0.1f, -2.5e-7f, 3};
  steer.position_begin = 2;
  steer.position_end = 5;
  steer.enabled = false;
  Edit patch;
  patch.kind = EditKind::patch;
  patch.tap = Tap::mlp_out;
  patch.patch_tokens = {1, 2, 3};
  document.edits = {zero, steer, patch};
  document.selection = {number(20), number(30), number(9), Cell{5, number(6)}, number(5), number(9), number(30) - 1};
  document.runs.clear();
  for (int r = 0; r < 3; ++r) {
    Run run;
    run.id = static_cast<uint32_t>(r * 2 + 1);
    run.text = r == 2 ? document.text : "older " + std::to_string(r);
    run.chat = document.chat;
    run.literal = document.literal;
    run.seed = r == 2 ? document.seed : random();
    for (int i = number(40); i > 0; --i) run.prompt.push_back(number(49152));
    run.branches = 3;
    for (int i = 1 + number(30); i > 0; --i) {
      RunNode node;
      node.parent = number(static_cast<int>(run.nodes.size()));
      node.token = number(49152);
      node.branch = static_cast<uint32_t>(number(4));
      node.u = std::uniform_real_distribution<double>(0, 1)(random);
      node.prob = std::uniform_real_distribution<float>(0, 1)(random);
      node.sampler_hash = (uint64_t{random()} << 32) | random();
      node.edits_hash = (uint64_t{random()} << 32) | random();
      node.by_hand = number(2) == 1;
      run.nodes.push_back(node);
    }
    run.cursor = number(static_cast<int>(run.nodes.size()));
    run.leaf = run.line_end(run.cursor);
    run.redraw = r == 1;
    document.runs.push_back(std::move(run));
  }
  document.runs_made = 9;
  document.stage = 1 + number(8);
  document.panels = {{"pattern", true}, {"cell", false}};
  document.docking = {{"3", "[Window][a]\nPos=1,2\n"}, {"6", ""}};
  document.theme = ThemeKind::light;
  document.scale = 1.75f;
  document.motion = false;
  document.map = ProbabilityMap::cividis;
  document.log_map = true;
  document.show_ids = false;
  document.show_bytes = false;
  document.lesson = "looking-is-not-saying";
  document.progress["looking-is-not-saying"] = {{"goal-1", "goal-3"}, {{"question", "rises"}}};
  document.model_path = "/models/ä.gguf";
  return document;
}

// What a reader promises of every document.
bool is_valid(const Document& document) {
  if (document.runs.empty() || document.stage < 1 || document.stage > 8) return false;
  if (document.run().text != document.text || document.seed > kMaxSeed || !check_sampler(document.sampler))
    return false;
  if (!(document.scale >= 0.8f && document.scale <= 2.5f)) return false;
  for (const Run& run : document.runs) {
    const int count = static_cast<int>(run.nodes.size());
    if (count == 0 || run.nodes[0].parent != -1 || run.cursor < 0 || run.cursor >= count || run.leaf < 0) return false;
    if (run.leaf >= count) return false;
    for (int i = 1; i < count; ++i) {
      const RunNode& node = run.nodes[static_cast<size_t>(i)];
      if (node.parent < 0 || node.parent >= i || node.token < 0) return false;
    }
    if (!run.on_path(run.cursor, run.leaf)) return false;
    if (std::any_of(run.prompt.begin(), run.prompt.end(), [](int32_t id) { return id < 0; })) return false;
  }
  return true;
}

std::string error_of(const json& value) {
  const Result<Document> read = document_from_json(value);
  if (read) return "accepted";
  CHECK(read.error().kind == ErrorKind::bad_file);
  CHECK_FALSE(read.error().what.empty());
  return read.error().where;
}

}  // namespace

TEST_CASE("the first document is the one of the first minute", "[document]") {
  const Document document = make_document();
  CHECK(document.text == "When Mary and John went to the shop, John gave the bag to");
  CHECK(document.stage == 3);
  CHECK(document.selection.layer == 24);
  CHECK(document.selection.head == 4);
  CHECK(document.selection.cell == Cell{13, 1});
  CHECK(check_sampler(document.sampler));
  CHECK(is_valid(document));
  CHECK(document.shown_tokens().empty());  // nobody has tokenised it
  CHECK(document.shown_position() == -1);
  CHECK_FALSE(document.shown_cell());
}

TEST_CASE("a document survives JSON", "[document]") {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const Document document = seed == 0 ? make_document() : make_rich_document(seed);
    REQUIRE(is_valid(document));
    const Result<Document> again = document_from_json(json::parse(to_json(document).dump()));
    if (!again) FAIL(again.error().message());
    CHECK(*again == document);
  }
}

TEST_CASE("a document written by hand needs little", "[document]") {
  const Result<Document> document = document_from_json(json::parse(R"({"version": 1, "text": "Hi", "stage": 6})"));
  if (!document) FAIL(document.error().message());
  CHECK(document->stage == 6);
  CHECK(document->runs.size() == 1);
  CHECK(is_valid(*document));
}

TEST_CASE("what is wrong in a document is named by its JSON path", "[document]") {
  const json good = to_json(make_rich_document());
  const auto with = [&good](const char* pointer, json value) {
    json changed = good;
    changed[json::json_pointer(pointer)] = std::move(value);
    return error_of(changed);
  };
  CHECK(with("/runs/0/nodes/1/parent", 1) == "runs[0].nodes[1].parent");
  CHECK(with("/runs/0/nodes/1/parent", -1) == "runs[0].nodes[1].parent");
  CHECK(with("/runs/0/nodes/0/parent", 0) == "runs[0].nodes[0].parent");
  CHECK(with("/runs/0/nodes/0/token", 5) == "runs[0].nodes[0].token");
  CHECK(with("/runs/1/nodes/1/token", -1) == "runs[1].nodes[1].token");
  CHECK(with("/runs/1/nodes/1/u", 1.5) == "runs[1].nodes[1].u");
  CHECK(with("/runs/1/nodes/1/prob", "x") == "runs[1].nodes[1].prob");
  CHECK(with("/runs/1/nodes/1/branch", 77) == "runs[1].nodes[1].branch");
  CHECK(with("/runs/1/nodes/1/sampler_hash", 77) == "runs[1].nodes[1].sampler_hash");
  CHECK(with("/runs/1/nodes/1/sampler_hash", "0x00112233445566zz") == "runs[1].nodes[1].sampler_hash");
  CHECK(with("/runs/1/nodes", json::array()) == "runs[1].nodes");
  CHECK(with("/runs/1/cursor", 9999) == "runs[1].cursor");
  CHECK(with("/runs/1/leaf", 9999) == "runs[1].leaf");
  CHECK(with("/runs/1/prompt", json::parse("[1, -2]")) == "runs[1].prompt[1]");
  CHECK(with("/runs/1/prompt", json::parse("[1, 4294967296]")) == "runs[1].prompt[1]");
  CHECK(with("/runs/1/id", 1) == "runs[1].id");
  CHECK(with("/runs/2/text", "another") == "runs[2]");
  CHECK(with("/seed", kMaxSeed + 1) == "seed");
  CHECK(with("/seed", 1.5) == "seed");
  CHECK(with("/seed", uint64_t{1} << 63) == "seed");
  CHECK(with("/scale", 3) == "scale");
  CHECK(with("/stage", 0) == "stage");
  CHECK(with("/theme", "blue") == "theme");
  CHECK(with("/map", 1) == "map");
  CHECK(with("/sampler/top_p", 0) == "sampler.top_p");
  CHECK(with("/sampler/order/1", "top_q") == "sampler.order[1]");
  CHECK(with("/sampler/typical_p", 1) == "sampler.typical_p");
  CHECK(with("/edits/1/kind", "explode").starts_with("edits[1]"));
  CHECK(with("/edits/1/vector", json::parse("[1e300]")).starts_with("edits[1]"));
  CHECK(with("/selection/cell/key", 6) == "selection.cell.key");  // beyond the query
  CHECK(with("/selection/cell/where", 6) == "selection.cell.where");
  CHECK(with("/selection/layer", -1) == "selection.layer");
  CHECK(with("/panels/pattern", "yes") == "panels.pattern");
  CHECK(with("/docking/3", 7) == "docking.3");
  CHECK(with("/progress/looking-is-not-saying/goals/1", 7) == "progress.looking-is-not-saying.goals[1]");
  CHECK(with("/progress/looking-is-not-saying/predictions/question", 7) ==
        "progress.looking-is-not-saying.predictions.question");
  CHECK(with("/colour", 7) == "colour");
  CHECK(with("/runs/0/colour", 7) == "runs[0].colour");
  CHECK(with("/runs/0/nodes/1/colour", 7) == "runs[0].nodes[1].colour");
  CHECK(with("/text", json(std::string("a\xff"))) == "text");
  CHECK(error_of(json::array()) == "");
  json missing = good;
  missing["runs"][1]["nodes"][1].erase("parent");
  CHECK(error_of(missing) == "runs[1].nodes[1].parent");
  missing = good;
  missing.erase("version");
  CHECK(error_of(missing) == "version");
}

TEST_CASE("another version is refused with its number", "[document]") {
  json value = to_json(make_document());
  value["version"] = 7;
  value["something_new"] = true;  // the version is told before what it brings
  const Result<Document> read = document_from_json(value);
  REQUIRE_FALSE(read);
  CHECK(read.error().what.find("version 7") != std::string::npos);
  CHECK(read.error().what.find("newer") != std::string::npos);
  CHECK(read.error().where == "version");
  value["version"] = 0;
  CHECK(error_of(value) == "version");
}

TEST_CASE("mutated documents are errors or valid documents", "[document][fuzz]") {
  std::mt19937 random(99);
  const json good = to_json(make_rich_document());
  const std::vector<json> intruders = {nullptr,
                                       true,
                                       -1,
                                       0,
                                       1,
                                       3,
                                       1e300,
                                       -0.5,
                                       "",
                                       "top_k",
                                       "0x0011223344556677",
                                       json::array(),
                                       json::object(),
                                       json::array({1, 2}),
                                       uint64_t{1} << 63,
                                       std::numeric_limits<int64_t>::min(),
                                       std::string(300, 'a'),
                                       std::numeric_limits<double>::quiet_NaN(),
                                       std::string("\xff\xfe")};
  int accepted = 0, refused = 0;
  for (int round = 0; round < 6000; ++round) {
    json mutant = good;
    for (uint32_t changes = 1 + random() % 3; changes > 0; --changes) {
      // A random walk down to some value.
      json* at = &mutant;
      while (at->is_structured() && !at->empty() && random() % 8 != 0) {
        auto item = at->begin();
        std::advance(item, random() % at->size());
        at = &*item;
      }
      switch (random() % 4) {
        case 0:
          *at = intruders[random() % intruders.size()];
          break;
        case 1:
          if (at->is_object() && !at->empty()) {
            auto item = at->begin();
            std::advance(item, random() % at->size());
            at->erase(item);
          } else if (at->is_array() && !at->empty()) {
            at->erase(random() % at->size());
          }
          break;
        case 2:
          if (at->is_object()) {
            (*at)["key" + std::to_string(random() % 3)] = intruders[random() % intruders.size()];
          } else if (at->is_array()) {
            at->push_back(at->empty() ? intruders[random() % intruders.size()] : (*at)[random() % at->size()]);
          }
          break;
        default:
          if (at->is_number_integer()) *at = static_cast<int64_t>(at->get<uint64_t>() + random() % 9 - 4);  // wraps at the ends
      }
    }
    const Result<Document> read = document_from_json(mutant);
    if (!read) {
      ++refused;
      REQUIRE_FALSE(read.error().what.empty());
      continue;
    }
    ++accepted;
    REQUIRE(is_valid(*read));
    const Result<Document> again = document_from_json(json::parse(to_json(*read).dump()));
    REQUIRE(again);
    REQUIRE(*again == *read);
  }
  CHECK(accepted > 200);
  CHECK(refused > 2000);
}

TEST_CASE("mutated bytes never crash the reader", "[document][fuzz]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("document.json");
  const std::string good = to_json(make_rich_document()).dump(1);
  std::mt19937 random(5);
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = good;
    for (uint32_t changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % bytes.size();
      switch (random() % 3) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 50);
          break;
        default:
          bytes.resize(at + 1);
      }
    }
    std::ofstream(path, std::ios::binary) << bytes;
    const Result<Document> read = open_document(path);
    if (read) {
      REQUIRE(is_valid(*read));
    } else {
      REQUIRE(read.error().kind == ErrorKind::bad_file);
      REQUIRE(read.error().where.starts_with(path));
    }
  }
}

TEST_CASE("a document is saved and opened", "[document]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("document.json");
  const Document document = make_rich_document();
  REQUIRE(save_document(document, path));
  const Result<Document> again = open_document(path);
  REQUIRE(again);
  CHECK(*again == document);

  // A path that is no UTF-8 does not stop a save.
  Document strange = document;
  strange.model_path = "/models/\xff.gguf";
  CHECK(save_document(strange, path));
  CHECK(open_document(path));

  CHECK_FALSE(save_document(document, folder.file("missing/document.json")));
}

TEST_CASE("opening says what is wrong and where", "[document]") {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("document.json");
  REQUIRE_FALSE(open_document(path));
  CHECK(open_document(path).error().kind == ErrorKind::bad_file);
  const auto where = [&path](const std::string& bytes) {
    REQUIRE(save_file(path, bytes));
    const Result<Document> read = open_document(path);
    REQUIRE_FALSE(read);
    return read.error().where;
  };
  CHECK(where("{\"version\": 1,, }") == path + ", byte 15");
  CHECK(where("") == path + ", byte 1");
  CHECK(where("{\"version\": 1, \"scale\": 9}") == path + ": scale");
  CHECK(where("{\"version\": 1, \"scale\": 1e999}").starts_with(path));
  CHECK(where(std::string(100000, '[')).starts_with(path));
  CHECK(where("{\"version\": 1, \"text\": \"\xff\"}").starts_with(path + ", byte"));
}

TEST_CASE("a run's tree is walked", "[document]") {
  // 0 ─ 1 ─ 2 ─ 4
  //   └ 3 ─ 5, and 6 after 2
  Run run;
  run.prompt = {10, 11};
  for (const int parent : {0, 1, 0, 2, 3, 2}) {
    RunNode node;
    node.parent = parent;
    node.token = 100 + static_cast<int>(run.nodes.size());
    run.nodes.push_back(node);
  }
  CHECK(run.path(4) == std::vector<int>{0, 1, 2, 4});
  CHECK(run.path(0) == std::vector<int>{0});
  CHECK(run.tokens(4) == std::vector<int32_t>{10, 11, 101, 102, 104});
  CHECK(run.tokens(0) == run.prompt);
  CHECK(run.children(0) == std::vector<int>{1, 3});
  CHECK(run.children(2) == std::vector<int>{4, 6});
  CHECK(run.children(6).empty());
  CHECK(run.depth(0) == 0);
  CHECK(run.depth(5) == 2);
  CHECK(run.on_path(1, 6));
  CHECK(run.on_path(6, 6));
  CHECK_FALSE(run.on_path(3, 6));
  CHECK_FALSE(run.on_path(6, 1));
  CHECK(run.line_end(0) == 5);
  CHECK(run.line_end(1) == 6);
  CHECK(run.line_end(4) == 4);
  run.cursor = 2;
  run.nodes[2].branch = 7;
  run.branches = 9;
  CHECK(run.draw_branch() == 7);
  run.redraw = true;
  CHECK(run.draw_branch() == 10);
}

TEST_CASE("the selection is clamped where it is read", "[document]") {
  Document document = make_document();
  Run& run = document.run();
  run.prompt = {1, 2, 3};
  document.selection.position = -1;
  CHECK(document.shown_position() == 2);
  document.selection.position = 7;
  CHECK(document.shown_position() == 2);
  document.selection.position = 1;
  CHECK(document.shown_position() == 1);
  document.selection.cell = Cell{13, 1};
  CHECK(document.shown_cell() == Cell{2, 1});
  document.selection.cell = Cell{13, 9};
  CHECK(document.shown_cell() == Cell{2, 2});
  RunNode node;
  node.parent = 0;
  node.token = 4;
  run.nodes.push_back(node);
  run.cursor = run.leaf = 1;
  CHECK(document.shown_cell() == Cell{3, 3});
  CHECK(document.shown_tokens() == std::vector<int32_t>{1, 2, 3, 4});
  document.selection.cell.reset();
  CHECK_FALSE(document.shown_cell());
}
