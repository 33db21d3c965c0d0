// Commands as JSON. Each command's fields are listed once, for reading and for writing.
#include <array>
#include <limits>
#include <utility>

#include "core/io/json_fields.h"
#include "core/run/command.h"
#include "core/run/document_names.h"

namespace glassbox {

namespace {

using nlohmann::json;

// In the order of the variant.
constexpr std::array<std::string_view, std::variant_size_v<Command>> kCommandNames = {
    "set_text",    "set_chat",     "set_literal",    "set_seed",         "set_sampler",    "append",
    "branch",      "move_cursor",  "reset_run",      "redraw_from_here", "show_run",       "select_position",
    "select_head", "open_cell",    "close_cell",     "select_piece",     "set_merge_step", "set_vector_layer",
    "add_edit",    "remove_edit",  "enable_edit",    "clear_edits",      "toggle_head",    "set_stage",
    "show_panel",  "set_docking",  "set_theme",      "set_scale",        "set_motion",     "set_map",
    "set_log_map", "set_show_ids", "set_show_bytes", "open_lesson",      "predict",        "reach_goal",
    "reset_lesson"};

// list(f, command) calls f(key, field) for each field, f.optional(key, field) for those that may be left out.
template <class F>
void list(F& f, cmd::SetText& c) {
  f("text", c.text);
}
template <class F>
void list(F& f, cmd::SetChat& c) {
  f("chat", c.chat);
}
template <class F>
void list(F& f, cmd::SetLiteral& c) {
  f("literal", c.literal);
}
template <class F>
void list(F& f, cmd::SetSeed& c) {
  f("seed", c.seed);
}
template <class F>
void list(F& f, cmd::SetSampler& c) {
  f("settings", c.settings);
}
template <class F>
void list(F& f, cmd::Append& c) {
  f("token", c.token);
  f.optional("u", c.u);
  f.optional("prob", c.prob);
  f.optional("by_hand", c.by_hand);
}
template <class F>
void list(F& f, cmd::Branch& c) {
  f("node", c.node);
  f("token", c.token);
  f.optional("prob", c.prob);
}
template <class F>
void list(F& f, cmd::MoveCursor& c) {
  f("node", c.node);
}
template <class F>
void list(F&, cmd::ResetRun&) {}
template <class F>
void list(F&, cmd::RedrawFromHere&) {}
template <class F>
void list(F& f, cmd::ShowRun& c) {
  f("run", c.run);
}
template <class F>
void list(F& f, cmd::SelectPosition& c) {
  f("position", c.position);
}
template <class F>
void list(F& f, cmd::SelectHead& c) {
  f("layer", c.layer), f("head", c.head);
}
template <class F>
void list(F& f, cmd::OpenCell& c) {
  f("query", c.query), f("key", c.key);
}
template <class F>
void list(F&, cmd::CloseCell&) {}
template <class F>
void list(F& f, cmd::SelectPiece& c) {
  f("piece", c.piece);
}
template <class F>
void list(F& f, cmd::SetMergeStep& c) {
  f("step", c.step);
}
template <class F>
void list(F& f, cmd::SetVectorLayer& c) {
  f("layer", c.layer);
}
template <class F>
void list(F& f, cmd::AddEdit& c) {
  f("edit", c.edit);
}
template <class F>
void list(F& f, cmd::RemoveEdit& c) {
  f("index", c.index);
}
template <class F>
void list(F& f, cmd::EnableEdit& c) {
  f("index", c.index), f("enabled", c.enabled);
}
template <class F>
void list(F&, cmd::ClearEdits&) {}
template <class F>
void list(F& f, cmd::ToggleHead& c) {
  f("layer", c.layer), f("head", c.head);
}
template <class F>
void list(F& f, cmd::SetStage& c) {
  f("stage", c.stage);
}
template <class F>
void list(F& f, cmd::ShowPanel& c) {
  f("panel", c.panel), f("open", c.open);
}
template <class F>
void list(F& f, cmd::SetDocking& c) {
  f("stage", c.stage), f("layout", c.layout);
}
template <class F>
void list(F& f, cmd::SetTheme& c) {
  f("theme", c.theme);
}
template <class F>
void list(F& f, cmd::SetScale& c) {
  f("scale", c.scale);
}
template <class F>
void list(F& f, cmd::SetMotion& c) {
  f("motion", c.motion);
}
template <class F>
void list(F& f, cmd::SetMap& c) {
  f("map", c.map);
}
template <class F>
void list(F& f, cmd::SetLogMap& c) {
  f("log", c.log);
}
template <class F>
void list(F& f, cmd::SetShowIds& c) {
  f("show", c.show);
}
template <class F>
void list(F& f, cmd::SetShowBytes& c) {
  f("show", c.show);
}
template <class F>
void list(F& f, cmd::OpenLesson& c) {
  f("lesson", c.lesson);
}
template <class F>
void list(F& f, cmd::Predict& c) {
  f("lesson", c.lesson), f("question", c.question), f("answer", c.answer);
}
template <class F>
void list(F& f, cmd::ReachGoal& c) {
  f("lesson", c.lesson), f("goal", c.goal);
}
template <class F>
void list(F& f, cmd::ResetLesson& c) {
  f("lesson", c.lesson);
}

class Writer {
 public:
  explicit Writer(json& out) : out_(out) {}
  template <class T>
  void operator()(const char* key, const T& value) {
    out_[key] = convert(value);
  }
  template <class T>
  void optional(const char* key, const T& value) {
    out_[key] = convert(value);
  }

 private:
  static json convert(const SamplerSettings& settings) { return to_json(settings); }
  static json convert(const Edit& edit) { return to_json(edit); }
  static json convert(ThemeKind theme) { return kThemeNames[static_cast<size_t>(theme)]; }
  static json convert(ProbabilityMap map) { return kMapNames[static_cast<size_t>(map)]; }
  static json convert(float value) { return json_number(value); }
  template <class T>
  static json convert(const T& value) {
    return value;
  }
  json& out_;
};

class Reader {
 public:
  explicit Reader(JsonFields& fields) : fields_(fields) {}
  template <class T>
  void operator()(const char* key, T& value) {
    fields_.require(key);
    read(key, value);
  }
  template <class T>
  void optional(const char* key, T& value) {
    read(key, value);
  }

 private:
  void read(const char* key, std::string& value) { fields_.read(key, value); }
  void read(const char* key, bool& value) { fields_.read(key, value); }
  void read(const char* key, uint64_t& value) { fields_.read_integer(key, value, 0, static_cast<int64_t>(kMaxSeed)); }
  void read(const char* key, int32_t& value) {
    fields_.read_integer(key, value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  }
  void read(const char* key, double& value) {
    fields_.read_number(key, value, std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
  }
  void read(const char* key, float& value) {
    fields_.read_number(key, value, static_cast<double>(std::numeric_limits<float>::lowest()),
                        static_cast<double>(std::numeric_limits<float>::max()));
  }
  void read(const char* key, ThemeKind& value) { fields_.read_choice(key, value, kThemeNames); }
  void read(const char* key, ProbabilityMap& value) { fields_.read_choice(key, value, kMapNames); }
  void read(const char* key, SamplerSettings& value) { read_part(key, value, sampler_from_json); }
  void read(const char* key, Edit& value) { read_part(key, value, edit_from_json); }
  template <class T, class Read>
  void read_part(const char* key, T& value, Read from_json) {
    const json* part = fields_.find_object(key);
    if (!part) return;
    Result<T> result = from_json(*part);
    if (result) {
      value = result.take();
      return;
    }
    Error error = result.error();
    error.where = error.where.empty() ? key : join_path(key, error.where);
    fields_.fail(std::move(error));
  }
  JsonFields& fields_;
};

template <size_t kIndex>
Command read_command(JsonFields& fields) {
  std::variant_alternative_t<kIndex, Command> command{};
  Reader reader(fields);
  list(reader, command);
  return command;
}

template <size_t... kIndices>
constexpr auto make_readers(std::index_sequence<kIndices...>) {
  return std::array<Command (*)(JsonFields&), sizeof...(kIndices)>{&read_command<kIndices>...};
}

}  // namespace

std::string_view command_name(const Command& command) {
  return kCommandNames[command.index()];
}

nlohmann::json to_json(const Command& command) {
  json out = {{"command", command_name(command)}};
  std::visit(
      [&out](auto alternative) {
        Writer writer(out);
        list(writer, alternative);
      },
      command);
  return out;
}

Result<Command> command_from_json(const nlohmann::json& value) {
  constexpr auto kReaders = make_readers(std::make_index_sequence<kCommandNames.size()>());
  JsonFields fields(value, "", ErrorKind::usage);
  fields.require("command");
  size_t index = 0;
  fields.read_choice("command", index, kCommandNames);
  Command command = kReaders[index](fields);  // reads nothing after an error
  if (const Result<void> read = fields.finish(); !read) return read.error();
  return command;
}

}  // namespace glassbox
