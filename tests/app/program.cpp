#include "tests/app/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstring>

#include "tests/support/model_path.h"

extern char** environ;

namespace glassbox::test {
namespace {

constexpr double kTimeLimit = 240;  // a program that hangs fails its test

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

std::vector<std::string> make_environment(const Launch& launch) {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equal = text.find('=');
    if (equal != std::string::npos) values[text.substr(0, equal)] = text.substr(equal + 1);
  }
  values["GLASSBOX_MODEL"] = model_path();
  for (const char* colour : {"NO_COLOR", "COLUMNS"}) values.erase(colour);
  for (const auto& [name, value] : launch.environment) values[name] = value;
  for (const std::string& name : launch.without) values.erase(name);
  std::vector<std::string> list;
  for (const auto& [name, value] : values) list.push_back(name + "=" + value);
  return list;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& text : strings) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    read_end = ends[0];
    write_end = ends[1];
  }
  ~Pipe() { close_read(), close_write(); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read() { close_end(read_end); }
  void close_write() { close_end(write_end); }

 private:
  static void close_end(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
};

// Reads what there is; closes at the end of the stream.
void drain(Pipe& pipe, std::string& into) {
  char part[1 << 16];
  const ssize_t count = read(pipe.read_end, part, sizeof(part));
  if (count > 0)
    into.append(part, static_cast<size_t>(count));
  else if (count == 0 || errno != EINTR)
    pipe.close_read();
}

}  // namespace

Outcome run_program(const Launch& launch) {
  std::vector<std::string> arguments = launch.arguments, environment = make_environment(launch);
  arguments.insert(arguments.begin(), GLASSBOX_PROGRAM);
  std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  Pipe input, output, errors;
  const bool to_file = !launch.output_path.empty();
  const int file = to_file ? open(launch.output_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
  REQUIRE(file >= (to_file ? 0 : -1));
  if (launch.close_output) output.close_read();
  signal(SIGPIPE, SIG_IGN);  // a program that does not read its input is its own affair

  const Clock::time_point begun = Clock::now();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGPIPE, SIG_DFL);
    dup2(input.read_end, STDIN_FILENO);
    dup2(to_file ? file : output.write_end, STDOUT_FILENO);
    dup2(errors.write_end, STDERR_FILENO);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  input.close_read();
  output.close_write();
  errors.close_write();
  if (file >= 0) close(file);

  Outcome outcome;
  const std::string given = launch.input.value_or("");
  size_t written = 0;
  if (given.empty() && !launch.keep_input_open) input.close_write();
  std::optional<Clock::time_point> first_output;
  bool interrupted = false;
  while (output.read_end >= 0 || errors.read_end >= 0) {
    const int to_write = given.empty() ? -1 : input.write_end;
    pollfd ends[] = {{output.read_end, POLLIN, 0}, {errors.read_end, POLLIN, 0}, {to_write, POLLOUT, 0}};
    poll(ends, 3, 20);
    if (ends[0].revents != 0) drain(output, outcome.out);
    if (ends[1].revents != 0) drain(errors, outcome.err);
    if (ends[2].revents != 0) {
      const size_t part = std::min<size_t>(given.size() - written, 4096);  // less than a pipe holds: never blocks
      const ssize_t count = write(input.write_end, given.data() + written, part);
      if (count > 0) written += static_cast<size_t>(count);
      if (count < 0 || written == given.size()) input.close_write();
    }
    if (!first_output && outcome.out.size() + outcome.err.size() > 0) first_output = Clock::now();
    const bool due = (launch.interrupt_after && first_output && since(*first_output) >= *launch.interrupt_after) ||
                     (launch.interrupt_after_start && since(begun) >= *launch.interrupt_after_start);
    if (due && !interrupted) {
      kill(child, SIGINT);
      interrupted = true;
    }
    if (since(begun) > kTimeLimit) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      FAIL("the program did not end in " << kTimeLimit << " s: " << outcome.err);
    }
  }
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  outcome.seconds = since(begun);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  outcome.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  if (WIFEXITED(status)) outcome.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  return outcome;
}

Outcome run_program(const std::vector<std::string>& arguments) {
  Launch launch;
  launch.arguments = arguments;
  return run_program(launch);
}

nlohmann::json run_json(Launch launch) {
  launch.arguments.push_back("--json");
  const Outcome outcome = run_program(launch);
  std::string words;
  for (const std::string& argument : launch.arguments) words += argument.substr(0, 60) + " ";
  INFO(words << "\n" << outcome.err);
  REQUIRE(outcome.signal == 0);
  REQUIRE(outcome.code == 0);
  nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
  REQUIRE_FALSE(json.is_discarded());
  REQUIRE(outcome.out.back() == '\n');
  return json;
}

nlohmann::json run_json(std::vector<std::string> arguments) {
  Launch launch;
  launch.arguments = std::move(arguments);
  return run_json(std::move(launch));
}

void require_error(const Launch& launch, int code, const std::vector<std::string>& words) {
  const Outcome outcome = run_program(launch);
  std::string said;
  for (const std::string& argument : launch.arguments) said += argument.substr(0, 60) + " ";
  INFO(said << "\nstandard error: " << outcome.err << "\nstandard output: " << outcome.out.substr(0, 200));
  REQUIRE(outcome.signal == 0);
  REQUIRE(outcome.code == code);
  CHECK(outcome.out.empty());
  for (const std::string& word : words) {
    INFO("looking for: " << word);
    CHECK(outcome.err.find(word) != std::string::npos);
  }
}

void require_error(const std::vector<std::string>& arguments, int code, const std::vector<std::string>& words) {
  Launch launch;
  launch.arguments = arguments;
  require_error(launch, code, words);
}

std::string id_list(const nlohmann::json& ids) {
  std::string list;
  for (const nlohmann::json& id : ids) list += (list.empty() ? "" : ",") + std::to_string(id.get<int>());
  return list;
}

std::string tiny_model(const std::string& kind) {
  return std::string(GLASSBOX_SOURCE_DIR) + "/tests/golden/tiny_" + kind + "/f32.gguf";
}

bool is_sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

}  // namespace glassbox::test
