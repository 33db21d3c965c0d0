#include "app/cli/context.h"

#include <charconv>
#include <chrono>
#include <cstdlib>

#include "app/cli/process.h"
#include "app/widgets/numbers.h"
#include "core/base/files.h"
#include "core/run/prompt.h"
#include "core/run/start_sessions.h"
#include "core/text/unicode.h"

namespace glassbox {
namespace {

constexpr const char* kDefaultModel = "SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr double kQuietSeconds = 0.4;  // what takes less needs no progress

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool file_exists(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file) std::fclose(file);
  return file != nullptr;
}

// In the midst of the work: a line of progress may stand where this goes.
void tell_of_move(const std::string& why) {
  note((is_terminal(stderr) ? "\r\033[K" : "") + why);
}

}  // namespace

Result<std::string> find_model_file(const Options& options) {
  if (options.model) return *options.model;
  if (const char* named = std::getenv("GLASSBOX_MODEL"); named != nullptr && *named != '\0') return std::string(named);
  const Result<Places> places = find_places();
  if (!places) return places.error();
  std::string path = places->data + "/models/" + kDefaultModel;
  if (!file_exists(path)) {
    return Error{ErrorKind::bad_file, "The default model is not there.", path, "a GGUF model file",
                 "Run `app/run`, which gets it, or name a file with -m FILE or in $GLASSBOX_MODEL."};
  }
  return path;
}

Result<std::shared_ptr<const Model>> load_model(const Options& options) {
  const Result<std::string> path = find_model_file(options);
  if (!path) return path.error();
  Progress progress("loading");
  return Model::load(*path, [&progress](float done) { return progress(done); });
}

Result<DeviceChoice> chosen_device(const Options& options) {
  Result<DeviceChoice> choice = parse_device(options.device);
  if (!choice) return choice;
  if (choice->kind == DeviceChoice::Kind::cuda) {
    if (const Result<void> there = check_device(*choice, find_cuda_devices()); !there) return there.error();
  }
  if (make_cpu_ops({1, "", false}) == nullptr) return no_instruction_set();
  return choice;
}

Result<LoadedEngine> load_engine(const Options& options) {
  const double begun = steady_seconds();
  const Result<DeviceChoice> choice = chosen_device(options);
  if (!choice) return choice.error();
  Result<std::shared_ptr<const Model>> model = load_model(options);
  if (!model) return model.error();
  LoadedEngine engine;
  engine.model = model.take();
  // Pinned: nothing is drawn meanwhile.
  Result<StartedSessions> started = start_sessions(
      engine.model, {.device = *choice, .cpu = {options.threads, "", true}, .insist = true, .left = tell_of_move});
  if (!started) return started.error();
  if (!started->note.empty()) note(started->note);
  engine.sessions = std::move(started->sessions);
  engine.load_seconds = steady_seconds() - begun;
  return engine;
}

bool has_text(const Options& options) {
  return options.prompt || options.file || options.ids;
}

Result<std::string> read_text(const Options& options) {
  std::string text, where;
  if (options.file) {
    where = "--file " + *options.file;
    Result<std::string> read = read_file(*options.file, kMaxTextBytes);
    if (!read) return read.error();
    text = read.take();
  } else if (options.prompt && *options.prompt == "-") {
    where = "standard input";
    Result<std::string> read = read_standard_input(kMaxTextBytes);
    if (!read) return read.error();
    text = read.take();
  } else if (options.prompt) {
    where = "-p";
    text = *options.prompt;
  } else {
    return Error{ErrorKind::usage, "There is no text.", "", "-p TEXT, --file FILE, or -p - for standard input", ""};
  }
  if (const Result<void> valid = check_utf8(text, where); !valid) return valid.error();
  return text;
}

Result<std::vector<int32_t>> read_ids(const std::string& list) {
  std::vector<int32_t> ids;
  const char* at = list.data();
  const char* end = at + list.size();
  while (at < end) {
    while (at < end && (*at == ' ' || *at == ',' || *at == '\n')) ++at;
    if (at == end) break;
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || (next < end && *next != ' ' && *next != ',' && *next != '\n')) {
      return Error{ErrorKind::usage, "A token id cannot be read.",
                   "--ids, character " + std::to_string(at - list.data()), "numbers with commas between them", ""};
    }
    ids.push_back(id);
    at = next;
  }
  if (ids.empty()) return Error{ErrorKind::usage, "There is no token id.", "--ids", "at least one", ""};
  return ids;
}

Result<std::vector<int32_t>> read_tokens(const Options& options, const Model& model) {
  if (options.ids) return read_ids(*options.ids);
  Result<std::string> text = read_text(options);
  if (!text) return text.error();
  Result<std::vector<int32_t>> tokens = tokenise_prompt({text.take(), options.chat, options.literal}, &model);
  if (tokens && tokens->empty()) {
    return Error{ErrorKind::usage, "The text has no token.", options.file ? "--file" : "-p", "at least one token", ""};
  }
  return tokens;
}

Progress::Progress(std::string what) : what_(std::move(what)), begun_(steady_seconds()) {}

Progress::~Progress() {
  finish();
}

bool Progress::operator()(double done) {
  if (interrupted()) return false;
  const int percent = static_cast<int>(done * 100);
  if (percent == shown_ || !is_terminal(stderr) || steady_seconds() - begun_ < kQuietSeconds) return true;
  std::fprintf(stderr, "\r%s %d %%", what_.c_str(), percent);
  std::fflush(stderr);
  shown_ = percent;
  return true;
}

void Progress::finish() {
  if (shown_ >= 0) std::fprintf(stderr, "\r\033[K");
  shown_ = -1;
}

std::string plural(int64_t count, const std::string& what) {
  return format_count(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace glassbox
