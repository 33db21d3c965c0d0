#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "app/cli/process.h"

namespace glassbox {
namespace {

constexpr int kDefaultColumns = 80;
constexpr int kMaxColumns = 1000;  // more is a mistake in $COLUMNS

// A signal handler reaches nothing but static storage.
volatile std::sig_atomic_t interrupt_seen = 0;
extern "C" void note_interrupt(int) {
  interrupt_seen = 1;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

}  // namespace

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = note_interrupt;
  // No SA_RESTART: a read that waits for a person ends too.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
}

bool interrupted() {
  return interrupt_seen != 0;
}

Error interrupted_error() {
  return {ErrorKind::cancelled, "Stopped by Ctrl+C.", "", "", ""};
}

double seconds_since_start() {
  // Field 22 of /proc/self/stat, in clock ticks since the machine started; the name in field 2 may hold spaces.
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(line.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  unsigned long long ticks = 0;
  std::from_chars(field.data(), field.data() + field.size(), ticks);
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double started = static_cast<double>(ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::max(0.0, static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - started);
}

bool is_terminal(FILE* stream) {
  return isatty(fileno(stream)) == 1;
}

int terminal_width() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  int columns = 0;
  if (const char* text = std::getenv("COLUMNS")) std::from_chars(text, text + std::strlen(text), columns);
  return columns > 0 && columns <= kMaxColumns ? columns : kDefaultColumns;
}

bool has_display() {
  return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
}

Result<std::string> read_standard_input(size_t max_bytes) {
  std::string text;
  char part[1 << 16];
  while (true) {
    const ssize_t count = read(STDIN_FILENO, part, sizeof(part));
    if (interrupted()) return interrupted_error();
    if (count == 0) return text;
    if (count < 0) {
      if (errno == EINTR) continue;
      return Error{ErrorKind::failed, std::string("Standard input cannot be read: ") + std::strerror(errno) + ".",
                   "standard input", "", ""};
    }
    text.append(part, static_cast<size_t>(count));
    if (text.size() > max_bytes) {
      return Error{ErrorKind::usage, "The text is too long.", "standard input",
                   "at most " + std::to_string(max_bytes) + " bytes", "Shorten the text."};
    }
  }
}

}  // namespace glassbox
