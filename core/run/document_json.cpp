// The Document as JSON, version 1.
#include <algorithm>
#include <limits>
#include <set>

#include "core/base/files.h"
#include "core/io/json_fields.h"
#include "core/run/document.h"
#include "core/run/document_names.h"
#include "core/text/unicode.h"

namespace glassbox {

namespace {

using nlohmann::json;

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr size_t kMaxDocumentBytes = size_t{1} << 30;  // a run node takes 150 bytes: millions of generated tokens

// --- writing

json node_to_json(const RunNode& node) {
  return {{"parent", node.parent},
          {"token", node.token},
          {"branch", node.branch},
          {"u", node.u},
          {"prob", json_number(node.prob)},
          {"sampler_hash", json_hash(node.sampler_hash)},
          {"edits_hash", json_hash(node.edits_hash)},
          {"by_hand", node.by_hand}};
}

json run_to_json(const Run& run) {
  json nodes = json::array();
  for (const RunNode& node : run.nodes) nodes.push_back(node_to_json(node));
  return {{"id", run.id},     {"text", run.text},         {"chat", run.chat},          {"literal", run.literal},
          {"seed", run.seed}, {"prompt", run.prompt},     {"nodes", std::move(nodes)}, {"cursor", run.cursor},
          {"leaf", run.leaf}, {"branches", run.branches}, {"redraw", run.redraw}};
}

json selection_to_json(const Selection& selection) {
  json cell = nullptr;
  if (selection.cell) cell = {{"query", selection.cell->query}, {"key", selection.cell->key}};
  return {{"position", selection.position},
          {"layer", selection.layer},
          {"head", selection.head},
          {"cell", std::move(cell)},
          {"piece", selection.piece},
          {"merge_step", selection.merge_step},
          {"vector_layer", selection.vector_layer}};
}

json progress_to_json(const LessonProgress& progress) {
  return {{"goals", progress.goals}, {"predictions", progress.predictions}};
}

// --- reading

RunNode read_node(const json& value, const std::string& path, JsonFields& outer) {
  RunNode node;
  JsonFields fields(value, path, ErrorKind::bad_file);
  fields.require("parent");
  fields.require("token");
  fields.read_integer("parent", node.parent, -1, kMaxInt);
  fields.read_integer("token", node.token, -1, kMaxInt);
  fields.read_integer("branch", node.branch, 0, std::numeric_limits<uint32_t>::max());
  fields.read_number("u", node.u, 0, 1);
  fields.read_number("prob", node.prob, 0, 1);
  fields.read_hash("sampler_hash", node.sampler_hash);
  fields.read_hash("edits_hash", node.edits_hash);
  fields.read("by_hand", node.by_hand);
  if (const Result<void> read = fields.finish(); !read) outer.fail(read.error());
  return node;
}

// The nodes are a tree in which parents stand before their children, and cursor and leaf lie in it.
void check_tree(const Run& run, JsonFields& fields) {
  const int count = static_cast<int>(run.nodes.size());
  if (count == 0) return fields.fail("nodes", "the list is empty", "at least node 0, the end of the prompt");
  for (int i = 0; i < count; ++i) {
    const RunNode& node = run.nodes[static_cast<size_t>(i)];
    const std::string path = index_path("nodes", static_cast<size_t>(i));
    const bool root = i == 0;
    if (root ? node.parent != -1 : node.parent < 0 || node.parent >= i) {
      return fields.fail(join_path(path, "parent"), "found " + std::to_string(node.parent),
                         root ? "-1, since node 0 is the root" : "an earlier node, 0 to " + std::to_string(i - 1));
    }
    if (root ? node.token != -1 : node.token < 0) {
      return fields.fail(join_path(path, "token"), "found " + std::to_string(node.token),
                         root ? "-1, since node 0 is the end of the prompt" : "a token id, an integer ≥ 0");
    }
    if (node.branch > run.branches) {
      return fields.fail(join_path(path, "branch"), "found " + std::to_string(node.branch),
                         "at most `branches`, which is " + std::to_string(run.branches));
    }
  }
  if (run.cursor >= count) {
    return fields.fail("cursor", "found " + std::to_string(run.cursor), "a node, 0 to " + std::to_string(count - 1));
  }
  if (run.leaf >= count || !run.on_path(run.cursor, run.leaf)) {
    return fields.fail("leaf", "found " + std::to_string(run.leaf), "the cursor's node or one below it");
  }
}

Run read_run(const json& value, const std::string& path, JsonFields& outer) {
  Run run;
  JsonFields fields(value, path, ErrorKind::bad_file);
  fields.require("prompt");
  fields.require("nodes");
  fields.read_integer("id", run.id, 0, std::numeric_limits<uint32_t>::max());
  fields.read("text", run.text);
  fields.read("chat", run.chat);
  fields.read("literal", run.literal);
  fields.read_integer("seed", run.seed, 0, static_cast<int64_t>(kMaxSeed));
  fields.read_ids("prompt", run.prompt);
  fields.read_integer("cursor", run.cursor, 0, kMaxInt);
  fields.read_integer("leaf", run.leaf, 0, kMaxInt);
  fields.read_integer("branches", run.branches, 0, std::numeric_limits<uint32_t>::max());
  fields.read("redraw", run.redraw);
  if (const json* nodes = fields.find_array("nodes")) {
    run.nodes.clear();
    run.nodes.reserve(nodes->size());
    for (size_t i = 0; i < nodes->size() && fields.ok(); ++i) {
      run.nodes.push_back(read_node((*nodes)[i], index_path(fields.path_of("nodes"), i), fields));
    }
    if (fields.ok()) check_tree(run, fields);
  }
  if (const Result<void> read = fields.finish(); !read) outer.fail(read.error());
  return run;
}

Selection read_selection(const json& value, const std::string& path, JsonFields& outer) {
  Selection selection;
  JsonFields fields(value, path, ErrorKind::bad_file);
  fields.read_integer("position", selection.position, -1, kMaxInt);
  fields.read_integer("layer", selection.layer, 0, kMaxInt);
  fields.read_integer("head", selection.head, 0, kMaxInt);
  fields.read_integer("piece", selection.piece, -1, kMaxInt);
  fields.read_integer("merge_step", selection.merge_step, -1, kMaxInt);
  fields.read_integer("vector_layer", selection.vector_layer, -1, kMaxInt);
  const json* cell_value = fields.find("cell");
  if (cell_value && !cell_value->is_null()) {
    Cell cell;
    JsonFields cell_fields(*cell_value, fields.path_of("cell"), ErrorKind::bad_file);
    cell_fields.read_integer("query", cell.query, 0, kMaxInt);
    cell_fields.read_integer("key", cell.key, 0, cell.query);
    if (const Result<void> read = cell_fields.finish(); !read) fields.fail(read.error());
    selection.cell = cell;
  }
  if (const Result<void> read = fields.finish(); !read) outer.fail(read.error());
  return selection;
}

LessonProgress read_progress(const json& value, const std::string& path, JsonFields& outer) {
  LessonProgress progress;
  JsonFields fields(value, path, ErrorKind::bad_file);
  const json* goals = fields.find_array("goals");
  for (size_t i = 0; goals && i < goals->size(); ++i) {
    const std::string* goal = (*goals)[i].get_ptr<const std::string*>();
    if (!goal || find_invalid_utf8(*goal) != goal->size()) {
      fields.fail(index_path("goals", i), "found " + describe_json((*goals)[i]), "a goal's id");
      break;
    }
    progress.goals.insert(*goal);
  }
  if (const json* predictions = fields.find_object("predictions")) {
    JsonFields answers(*predictions, fields.path_of("predictions"), ErrorKind::bad_file);
    for (const auto& item : predictions->items()) answers.read(item.key(), progress.predictions[item.key()]);
    if (const Result<void> read = answers.finish(); !read) fields.fail(read.error());
  }
  if (const Result<void> read = fields.finish(); !read) outer.fail(read.error());
  return progress;
}

void read_version(JsonFields& fields) {
  fields.require("version");
  int64_t version = 0;
  fields.read_integer("version", version, 0, std::numeric_limits<int64_t>::max());
  if (!fields.ok() || version == kDocumentVersion) return;
  fields.fail(Error{ErrorKind::bad_file,
                    "the document has version " + std::to_string(version) +
                        (version > kDocumentVersion ? ": a newer Glassbox wrote it" : ", which there never was"),
                    "version", "version " + std::to_string(kDocumentVersion),
                    version > kDocumentVersion ? "open it with that newer Glassbox" : ""});
}

// Reader of a part whose own reader reports paths that are relative to the part.
template <class Read>
auto read_part(JsonFields& fields, std::string_view path, const json& value, Read read) -> decltype(read(value)) {
  if (!value.is_object()) {
    Error error{ErrorKind::bad_file, "found " + describe_json(value), std::string(path), "an object", ""};
    fields.fail(error);
    return error;
  }
  auto result = read(value);
  if (!result) {
    Error error = result.error();
    error.where = error.where.empty() ? std::string(path) : join_path(path, error.where);
    fields.fail(std::move(error));
  }
  return result;
}

void read_runs(JsonFields& fields, Document& document) {
  const json* runs = fields.find_array("runs");
  std::set<uint32_t> ids;
  for (size_t i = 0; runs && i < runs->size() && fields.ok(); ++i) {
    document.runs.push_back(read_run((*runs)[i], index_path("runs", i), fields));
    const uint32_t id = document.runs.back().id;
    if (!ids.insert(id).second) {
      fields.fail(join_path(index_path("runs", i), "id"), "another run has the id " + std::to_string(id) + " too",
                  "a different id for each run");
    }
  }
  if (!fields.ok()) return;
  for (const Run& run : document.runs) document.runs_made = std::max(document.runs_made, run.id);
  if (document.runs.empty()) {  // a document written by hand: its text is tokenised when there is a model
    Run run;
    run.id = ++document.runs_made;
    run.text = document.text;
    run.chat = document.chat;
    run.literal = document.literal;
    run.seed = document.seed;
    document.runs.push_back(std::move(run));
  }
  const Run& current = document.run();
  if (current.text != document.text || current.chat != document.chat || current.literal != document.literal ||
      current.seed != document.seed) {
    fields.fail(index_path("runs", document.runs.size() - 1), "the last run is not made of the document's text",
                "the document's text, chat, literal and seed");
  }
}

}  // namespace

json to_json(const Document& document) {
  json edits = json::array(), runs = json::array(), progress = json::object();
  for (const Edit& edit : document.edits) edits.push_back(to_json(edit));
  for (const Run& run : document.runs) runs.push_back(run_to_json(run));
  for (const auto& [lesson, made] : document.progress) progress[lesson] = progress_to_json(made);
  return {
      {"version", kDocumentVersion},
      {"text", document.text},
      {"chat", document.chat},
      {"literal", document.literal},
      {"seed", document.seed},
      {"sampler", to_json(document.sampler)},
      {"edits", std::move(edits)},
      {"selection", selection_to_json(document.selection)},
      {"runs", std::move(runs)},
      {"runs_made", document.runs_made},
      {"stage", document.stage},
      {"panels", document.panels},
      {"docking", document.docking},
      {"theme", kThemeNames[static_cast<size_t>(document.theme)]},
      {"scale", json_number(document.scale)},
      {"motion", document.motion},
      {"map", kMapNames[static_cast<size_t>(document.map)]},
      {"log_map", document.log_map},
      {"show_ids", document.show_ids},
      {"show_bytes", document.show_bytes},
      {"lesson", document.lesson},
      {"progress", std::move(progress)},
      {"model_path", document.model_path},
  };
}

Result<Document> document_from_json(const json& value) {
  Document document;
  JsonFields fields(value, "", ErrorKind::bad_file);
  read_version(fields);
  fields.read("text", document.text);
  fields.read("chat", document.chat);
  fields.read("literal", document.literal);
  fields.read_integer("seed", document.seed, 0, static_cast<int64_t>(kMaxSeed));
  if (const json* sampler = fields.find("sampler")) {
    if (auto read = read_part(fields, "sampler", *sampler, sampler_from_json)) document.sampler = read.take();
  }
  const json* edits = fields.find_array("edits");
  for (size_t i = 0; edits && i < edits->size() && fields.ok(); ++i) {
    auto read = read_part(fields, index_path("edits", i), (*edits)[i], edit_from_json);
    if (!read) break;
    document.edits.push_back(read.take());
  }
  if (const json* selection = fields.find("selection")) {
    document.selection = read_selection(*selection, "selection", fields);
  }
  fields.read_integer("runs_made", document.runs_made, 0, std::numeric_limits<uint32_t>::max());
  read_runs(fields, document);
  fields.read_integer("stage", document.stage, 1, kStages);
  if (const json* panels = fields.find_object("panels")) {
    JsonFields open(*panels, "panels", ErrorKind::bad_file);
    for (const auto& item : panels->items()) open.read(item.key(), document.panels[item.key()]);
    if (const Result<void> read = open.finish(); !read) fields.fail(read.error());
  }
  if (const json* docking = fields.find_object("docking")) {
    JsonFields layouts(*docking, "docking", ErrorKind::bad_file);
    for (const auto& item : docking->items()) layouts.read(item.key(), document.docking[item.key()]);
    if (const Result<void> read = layouts.finish(); !read) fields.fail(read.error());
  }
  fields.read_choice("theme", document.theme, kThemeNames);
  fields.read_number("scale", document.scale, static_cast<double>(kMinScale), static_cast<double>(kMaxScale));
  fields.read("motion", document.motion);
  fields.read_choice("map", document.map, kMapNames);
  fields.read("log_map", document.log_map);
  fields.read("show_ids", document.show_ids);
  fields.read("show_bytes", document.show_bytes);
  fields.read("lesson", document.lesson);
  if (const json* progress = fields.find_object("progress")) {
    JsonFields lessons(*progress, "progress", ErrorKind::bad_file);
    for (const auto& item : progress->items()) {
      if (const json* made = lessons.find(item.key())) {
        document.progress[item.key()] = read_progress(*made, join_path("progress", item.key()), fields);
      }
    }
    if (const Result<void> read = lessons.finish(); !read) fields.fail(read.error());
  }
  fields.read("model_path", document.model_path);
  if (const Result<void> read = fields.finish(); !read) return read.error();
  return document;
}

Result<void> save_document(const Document& document, const std::string& path) {
  // A model's path may hold bytes that are no UTF-8, which JSON cannot: they are replaced, and the default model is
  // taken.
  const std::string text = to_json(document).dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  return save_file(path, text);
}

Result<Document> open_document(const std::string& path) {
  Result<std::string> text = read_file(path, kMaxDocumentBytes);
  if (!text) return text.error();
  json value;
  try {
    value = json::parse(*text);
  } catch (const json::parse_error& error) {
    return Error{ErrorKind::bad_file, "the document is no JSON", path + ", byte " + std::to_string(error.byte),
                 "a document that Glassbox saved", "open another file"};
  } catch (const json::exception& error) {  // a number beyond the range of doubles
    return Error{ErrorKind::bad_file, std::string("the document cannot be read: ") + error.what(), path,
                 "a document that Glassbox saved", "open another file"};
  }
  Result<Document> document = document_from_json(value);
  if (document) return document;
  Error error = document.error();
  error.where = path + (error.where.empty() ? "" : ": " + error.where);
  if (error.remedy.empty()) error.remedy = "mend that place in a text editor, or open another file";
  return error;
}

}  // namespace glassbox
