#include "app/cli/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "app/cli/process.h"

namespace glassbox {

void Output::write(std::string_view text) {
  if (error_ || text.empty()) return;
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail(errno);
}

void Output::line(std::string_view text) {
  write(text);
  write("\n");
}

void Output::json(const nlohmann::json& document) {
  // Names of files need not be UTF-8, JSON must be.
  line(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

Result<void> Output::flush() {
  errno = 0;
  if (!error_ && std::fflush(stdout) != 0) fail(errno);
  if (error_) return *error_;
  return {};
}

void Output::fail(int code) {
  if (interrupted()) {
    error_ = interrupted_error();
  } else if (code == EPIPE) {
    error_ = Error{ErrorKind::failed, "", "", "", ""};
  } else {
    error_ = Error{ErrorKind::failed, std::string("The output cannot be written: ") + std::strerror(code) + ".",
                   "standard output", "", code == ENOSPC ? "Make room on that disk, or write elsewhere." : ""};
  }
}

void note(std::string_view text) {
  std::string line(text);
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace glassbox
