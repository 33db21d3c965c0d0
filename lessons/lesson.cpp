#include "lessons/lesson.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "core/io/json_fields.h"

namespace glassbox {
namespace {

Error refuse(std::string what, std::string where, std::string expected) {
  return {ErrorKind::bad_file, std::move(what), std::move(where), std::move(expected), "Mend the lesson's file."};
}

Result<std::string> read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse("A file of a lesson cannot be read.", path.string(), "a readable file");
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

Result<nlohmann::json> read_json(const std::filesystem::path& path) {
  const Result<std::string> text = read_text(path);
  if (!text) return text.error();
  nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (json.is_discarded()) return refuse("A file of a lesson is no valid JSON.", path.string(), "JSON");
  return json;
}

// The next {"measure": …} object of a text, from `begin` on: its place, or npos.
struct MeasureSpan {
  size_t begin = std::string::npos, end = 0;
};
MeasureSpan find_measure(const std::string& text, size_t from) {
  const size_t begin = text.find("{\"measure\"", from);
  const size_t end = begin == std::string::npos ? begin : text.find('}', begin);
  if (end == std::string::npos) return {begin, text.size()};  // open to the end: no JSON, and so refused
  return {begin, end + 1};
}

// Refuses a text whose measures are not understood.
Result<void> check_measures(const std::string& text, const std::string& where) {
  const Result<std::vector<Quantity>> measures = find_measures(text);
  if (measures) return {};
  return refuse(measures.error().what, where + ": " + measures.error().where, measures.error().expected);
}

template <class Item>
Result<void> check_ids(const std::vector<Item>& items, const std::string& where) {
  std::set<std::string> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!seen.insert(items[i].id).second)
      return refuse("Two have the id \"" + items[i].id + "\".", index_path(where, i) + ".id", "an id of its own");
  }
  return {};
}

Result<std::vector<Command>> read_commands(const nlohmann::json& list, const std::string& where) {
  if (!list.is_array()) return refuse("Commands are not a list.", where, "[{\"command\": …}, …]");
  std::vector<Command> commands;
  for (size_t i = 0; i < list.size(); ++i) {
    Result<Command> command = command_from_json(list[i]);
    if (!command) {
      const Error& error = command.error();
      return refuse(error.what, index_path(where, i) + ": " + error.where, error.expected);
    }
    commands.push_back(command.take());
  }
  return commands;
}

Result<Condition> read_condition(const nlohmann::json& json, const std::string& where) {
  const Result<Quantity> quantity = quantity_from_json(json);
  if (!quantity) return refuse(quantity.error().what, where + ": " + quantity.error().where, quantity.error().expected);
  static const std::pair<const char*, Condition::Op> kOps[] = {{"equal", Condition::Op::equal},
                                                               {"at_least", Condition::Op::at_least},
                                                               {"at_most", Condition::Op::at_most},
                                                               {"above", Condition::Op::above},
                                                               {"below", Condition::Op::below}};
  for (const auto& [name, op] : kOps) {
    if (json.contains(name) && json[name].is_number()) return Condition{*quantity, op, json[name].get<double>()};
  }
  return refuse("A condition compares with nothing.", where,
                "one of equal, at_least, at_most, above, below and a number");
}

Result<Goal> read_goal(const nlohmann::json& json, const std::string& where) {
  Goal goal;
  JsonFields fields(json, where, ErrorKind::bad_file);
  for (const char* key : {"id", "text", "when"}) fields.require(key);
  fields.read("id", goal.id);
  fields.read("text", goal.text);
  fields.read("progress", goal.progress);
  const nlohmann::json* when = fields.find_array("when");
  if (Result<void> done = fields.finish(); !done) return done.error();
  for (size_t i = 0; i < when->size(); ++i) {
    Result<Condition> condition = read_condition((*when)[i], index_path(fields.path_of("when"), i));
    if (!condition) return condition.error();
    goal.conditions.push_back(condition.take());
  }
  if (goal.conditions.empty()) return refuse("A goal has no condition.", fields.path_of("when"), "at least one");
  return goal;
}

Result<Prediction> read_prediction(const nlohmann::json& json, const std::string& where) {
  Prediction prediction;
  JsonFields fields(json, where, ErrorKind::bad_file);
  for (const char* key : {"id", "text", "answers", "right", "reveal"}) fields.require(key);
  fields.read("id", prediction.id);
  fields.read("text", prediction.text);
  fields.read("right", prediction.right);
  fields.read("reveal", prediction.reveal);
  const nlohmann::json* answers = fields.find_array("answers");
  if (Result<void> done = fields.finish(); !done) return done.error();
  for (size_t i = 0; i < answers->size(); ++i) {
    Answer answer;
    JsonFields entry((*answers)[i], index_path(fields.path_of("answers"), i), ErrorKind::bad_file);
    for (const char* key : {"id", "text"}) entry.require(key);
    entry.read("id", answer.id);
    entry.read("text", answer.text);
    if (Result<void> done = entry.finish(); !done) return done.error();
    prediction.answers.push_back(std::move(answer));
  }
  const bool known = std::any_of(prediction.answers.begin(), prediction.answers.end(),
                                 [&](const Answer& answer) { return answer.id == prediction.right; });
  if (!known) return refuse("The right answer is none of the answers.", fields.path_of("right"), "the id of an answer");
  if (Result<void> good = check_measures(prediction.reveal, fields.path_of("reveal")); !good) return good.error();
  return prediction;
}

template <class Item, class Read>
Result<std::vector<Item>> read_list(const nlohmann::json* list, const std::string& where, Read read) {
  std::vector<Item> items;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    Result<Item> item = read((*list)[i], index_path(where, i));
    if (!item) return item.error();
    items.push_back(item.take());
  }
  return items;
}

Result<Try> read_try(const nlohmann::json& json, const std::string& where) {
  Try button;
  JsonFields fields(json, where, ErrorKind::bad_file);
  for (const char* key : {"label", "commands"}) fields.require(key);
  fields.read("label", button.label);
  const nlohmann::json* commands = fields.find_array("commands");
  if (Result<void> done = fields.finish(); !done) return done.error();
  Result<std::vector<Command>> read = read_commands(*commands, fields.path_of("commands"));
  if (!read) return read.error();
  button.commands = read.take();
  return button;
}

Result<Lesson> read_lesson(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "lesson.json";
  const Result<nlohmann::json> json = read_json(path);
  if (!json) return json.error();
  Result<std::string> text = read_text(folder / "text.md");
  if (!text) return text.error();
  if (Result<void> good = check_measures(*text, (folder / "text.md").string()); !good) return good.error();
  Lesson lesson;
  lesson.told = find_measures(*text).take();
  lesson.id = folder.filename().string();
  lesson.text = text.take();
  JsonFields fields(*json, "", ErrorKind::bad_file);
  for (const char* key :
       {"stage", "order", "title", "question", "start", "predictions", "try", "goals", "limits", "sources"})
    fields.require(key);
  fields.read_integer("stage", lesson.stage, 1, 8);
  fields.read_integer("order", lesson.order, 1, 99);
  fields.read("title", lesson.title);
  fields.read("question", lesson.question);
  fields.read("limits", lesson.limits);
  const nlohmann::json* start = fields.find_array("start");
  const nlohmann::json* predictions = fields.find_array("predictions");
  const nlohmann::json* tries = fields.find_array("try");
  const nlohmann::json* goals = fields.find_array("goals");
  const nlohmann::json* sources = fields.find_array("sources");
  const auto in_file = [&](Error error) {
    error.where = path.string() + ", " + error.where;
    return error;
  };
  if (Result<void> done = fields.finish(); !done) return in_file(done.error());
  Result<std::vector<Command>> commands = read_commands(*start, "start");
  if (!commands) return in_file(commands.error());
  lesson.start = commands.take();
  auto read_predictions = read_list<Prediction>(predictions, "predictions", read_prediction);
  if (!read_predictions) return in_file(read_predictions.error());
  lesson.predictions = read_predictions.take();
  for (const Prediction& prediction : lesson.predictions) {
    const std::vector<Quantity> told = find_measures(prediction.reveal).take();
    lesson.told.insert(lesson.told.end(), told.begin(), told.end());
  }
  auto read_tries = read_list<Try>(tries, "try", read_try);
  if (!read_tries) return in_file(read_tries.error());
  lesson.tries = read_tries.take();
  auto read_goals = read_list<Goal>(goals, "goals", read_goal);
  if (!read_goals) return in_file(read_goals.error());
  lesson.goals = read_goals.take();
  if (Result<void> good = check_ids(lesson.predictions, "predictions"); !good) return in_file(good.error());
  if (Result<void> good = check_ids(lesson.goals, "goals"); !good) return in_file(good.error());
  if (Result<void> good = check_measures(lesson.limits, "limits"); !good) return in_file(good.error());
  for (const nlohmann::json& source : *sources) {
    if (!source.is_string()) return in_file(refuse("A source is not a text.", "sources", "a list of texts"));
    lesson.sources.push_back(source);
  }
  return lesson;
}

Result<void> run_commands(Workbench& bench, const std::vector<Command>& commands, int steps) {
  for (const Command& command : commands) {
    if (Result<void> done = bench.apply(command); !done) return done;
  }
  if (steps > 0) bench.step_tokens(steps);
  constexpr double kPatience = 120;  // seconds; generating 512 tokens on a slow machine
  const bool settled = bench.settle(kPatience);
  if (bench.error()) return *bench.error();
  if (settled) return {};
  return Error{ErrorKind::failed, "The workbench did not come to rest.", "", "a step within two minutes", ""};
}

bool holds(const Condition& condition, double value) {
  switch (condition.op) {
    case Condition::Op::equal:
      return value == condition.value;
    case Condition::Op::at_least:
      return value >= condition.value;
    case Condition::Op::at_most:
      return value <= condition.value;
    case Condition::Op::above:
      return value > condition.value;
    case Condition::Op::below:
      return value < condition.value;
  }
  return false;
}

}  // namespace

Result<std::vector<Lesson>> load_lessons(const std::string& folder) {
  std::vector<Lesson> lessons;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (!std::filesystem::exists(entry.path() / "lesson.json")) continue;
    Result<Lesson> lesson = read_lesson(entry.path());
    if (!lesson) return lesson.error();
    lessons.push_back(lesson.take());
  }
  if (error) return refuse("The lessons cannot be read.", folder, "a folder of lessons: " + error.message());
  std::sort(lessons.begin(), lessons.end(), [](const Lesson& a, const Lesson& b) {
    return std::tie(a.stage, a.order, a.id) < std::tie(b.stage, b.order, b.id);
  });
  return lessons;
}

Result<Lesson> find_lesson(const std::vector<Lesson>& lessons, const std::string& id) {
  const auto at = std::find_if(lessons.begin(), lessons.end(), [&](const Lesson& lesson) { return lesson.id == id; });
  if (at != lessons.end()) return *at;
  return Error{ErrorKind::usage, "There is no lesson \"" + id + "\".", "", "an id of the list", "glassbox lesson"};
}

Result<Solution> load_solution(const std::string& folder, const std::string& lesson_id) {
  const std::filesystem::path path = std::filesystem::path(folder) / lesson_id / "solution.json";
  const Result<nlohmann::json> json = read_json(path);
  if (!json) return json.error();
  Solution solution;
  if (!json->is_object())
    return refuse("A solution is no JSON object.", path.string(), "{goal: {\"right\": […], \"wrong\": […]}}");
  for (const auto& [goal, part] : json->items()) {
    JsonFields fields(part, goal, ErrorKind::bad_file);
    Solution::Part read;
    for (const char* key : {"right", "wrong"}) fields.require(key);
    const nlohmann::json* right = fields.find_array("right");
    const nlohmann::json* wrong = fields.find_array("wrong");
    const nlohmann::json none = nlohmann::json::array();
    const nlohmann::json* then = fields.find_array("then");
    if (then == nullptr) then = &none;
    fields.read_integer("steps", read.steps, 0, 512);
    fields.read_integer("then_steps", read.then_steps, 0, 512);
    if (Result<void> done = fields.finish(); !done)
      return refuse(done.error().what, path.string() + ", " + done.error().where, done.error().expected);
    for (const auto& [list, commands] :
         {std::pair{right, &read.right}, std::pair{wrong, &read.wrong}, std::pair{then, &read.then}}) {
      Result<std::vector<Command>> parsed = read_commands(*list, goal);
      if (!parsed)
        return refuse(parsed.error().what, path.string() + ", " + parsed.error().where, parsed.error().expected);
      *commands = parsed.take();
    }
    solution.goals.emplace(goal, std::move(read));
  }
  return solution;
}

std::string find_lesson_folder() {
  if (const char* named = std::getenv("GLASSBOX_LESSONS"); named != nullptr && *named != '\0') return named;
  return GLASSBOX_LESSON_FOLDER;
}

Result<void> replay_right(Workbench& bench, const Solution::Part& part) {
  if (Result<void> done = run_commands(bench, part.right, part.steps); !done) return done;
  return run_commands(bench, part.then, part.then_steps);
}

Result<void> replay_wrong(Workbench& bench, const Solution::Part& part) {
  return run_commands(bench, part.wrong, part.steps);
}

std::string format_measure(double value) {
  char buffer[32];
  const bool whole = value == std::round(value) && std::abs(value) < 1e15;
  std::snprintf(buffer, sizeof(buffer), whole || std::abs(value) >= 1000 ? "%.0f" : "%.3g", value);
  std::string text = buffer;
  if (const size_t e = text.find("e-0"); e != std::string::npos) text.erase(e + 2, 1);
  if (text.find('e') != std::string::npos || std::abs(value) < 10000) return text;
  const size_t first = text[0] == '-' ? 1 : 0;
  for (size_t at = text.size(); at > first + 3;) text.insert(at -= 3, "\u2009");  // thin space
  return text;
}

Result<std::vector<Quantity>> find_measures(const std::string& text) {
  std::vector<Quantity> found;
  for (MeasureSpan span = find_measure(text, 0); span.begin != std::string::npos; span = find_measure(text, span.end)) {
    Result<Quantity> quantity =
        quantity_from_json(nlohmann::json::parse(text.substr(span.begin, span.end - span.begin), nullptr, false));
    if (!quantity) return quantity.error();
    found.push_back(quantity.take());
  }
  return found;
}

bool is_reached(const Goal& goal, const MeasureContext& context) {
  return std::all_of(goal.conditions.begin(), goal.conditions.end(), [&](const Condition& condition) {
    const std::optional<double> value = measure(condition.quantity, context);
    return value && holds(condition, *value);
  });
}

std::string fill_measures(const std::string& text, const MeasureContext& context) {
  std::string filled;
  size_t at = 0;
  for (MeasureSpan span = find_measure(text, 0); span.begin != std::string::npos; span = find_measure(text, at)) {
    filled += text.substr(at, span.begin - at);
    const nlohmann::json json = nlohmann::json::parse(text.substr(span.begin, span.end - span.begin), nullptr, false);
    const Result<Quantity> quantity = quantity_from_json(json);
    const std::optional<double> value = quantity ? measure(*quantity, context) : std::nullopt;
    filled += value ? format_measure(*value) : "—";
    at = span.end;
  }
  return filled + text.substr(at);
}

Needs lesson_needs(const Lesson& lesson, const Document& document, const ModelConfig& config) {
  Needs needs;
  for (const Goal& goal : lesson.goals) {
    for (const Condition& condition : goal.conditions)
      needs.merge(quantity_needs(condition.quantity, document, config));
  }
  for (const Quantity& quantity : lesson.told) needs.merge(quantity_needs(quantity, document, config));
  return needs;
}

std::vector<std::string> newly_reached(const Lesson& lesson, const Workbench& bench) {
  std::vector<std::string> reached;
  if (bench.view().stale) return reached;
  const Document& document = bench.document();
  const auto progress = document.progress.find(lesson.id);
  std::optional<EncodeTrace> trace;
  const MeasureContext context{document, bench.view(), bench.model().get(), lesson.id, &trace};
  for (const Goal& goal : lesson.goals) {
    const bool done = progress != document.progress.end() && progress->second.goals.contains(goal.id);
    if (!done && is_reached(goal, context)) reached.push_back(goal.id);
  }
  return reached;
}

}  // namespace glassbox
