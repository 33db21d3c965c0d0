#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "core/base/files.h"

namespace glassbox {

namespace {

// Closes a descriptor on the way out of a failing function.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd);
  }

 private:
  int fd_;
};

std::string remedy_for(int code) {
  switch (code) {
    case ENOSPC:
      return "free some space on that disk, or save somewhere else";
    case EDQUOT:
      return "free some of your quota, or save somewhere else";
    case EFBIG:
      return "the file size limit is too small: raise it, or save somewhere else";
    case EACCES:
    case EPERM:
    case EROFS:
      return "save where you may write";
    case ENOENT:
    case ENOTDIR:
      return "check the path";
    default:
      return "";
  }
}

Error system_error(ErrorKind kind, const std::string& what, const std::string& path, int code) {
  return Error{kind, what + ": " + std::strerror(code), path, "", remedy_for(code)};
}

std::string parent_folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Where a chain of symbolic links ends, also when nothing is there yet. The path itself when it is no link.
Result<std::string> follow_links(std::string path) {
  constexpr int kMaxLinks = 40;  // as the kernel's own limit
  for (int i = 0; i < kMaxLinks; ++i) {
    std::error_code failed;
    const std::filesystem::path target = std::filesystem::read_symlink(path, failed);
    if (failed) return path;
    path = target.is_absolute() ? target.string() : parent_folder(path) + "/" + target.string();
  }
  return system_error(ErrorKind::failed, "the file cannot be saved", path, ELOOP);
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// Opens a file of a name that nobody else uses, beside `path`.
int open_temporary(const std::string& path, mode_t mode, std::string& name) {
  static std::atomic<unsigned> counter{0};  // two threads of this process never make the same name
  for (int attempt = 0; attempt < 100; ++attempt) {
    name = path + "." + std::to_string(::getpid()) + "-" + std::to_string(counter.fetch_add(1)) + ".tmp";
    const int fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

std::string place(const char* variable, const std::string& home, const char* fallback) {
  const char* value = std::getenv(variable);
  const std::string base = value && value[0] == '/' ? std::string(value) : home + fallback;
  return base + "/glassbox";
}

}  // namespace

Result<Places> find_places() {
  std::string home;
  const char* variable = std::getenv("HOME");
  if (variable && variable[0] == '/') {
    home = variable;
  } else {
    std::vector<char> memory(16384);  // what sysconf(_SC_GETPW_R_SIZE_MAX) asks for is at most this on Linux
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::getuid(), &entry, memory.data(), memory.size(), &found) == 0 && found && found->pw_dir) {
      home = found->pw_dir;
    }
  }
  if (home.empty() || home[0] != '/') {
    return Error{ErrorKind::failed, "this user has no home folder", "HOME", "an absolute path", "set HOME"};
  }
  while (home.size() > 1 && home.back() == '/') home.pop_back();
  if (home == "/") home.clear();
  return Places{place("XDG_DATA_HOME", home, "/.local/share"), place("XDG_CONFIG_HOME", home, "/.config"),
                place("XDG_STATE_HOME", home, "/.local/state"), place("XDG_CACHE_HOME", home, "/.cache")};
}

Result<void> make_folder(const std::string& path) {
  for (size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) == 0 || errno == EEXIST) continue;
    const int code = errno;
    struct stat info {};
    if (::stat(part.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
      continue;  // there, on a file system that is read-only
    return system_error(ErrorKind::failed, "the folder cannot be made", part, code);
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    return system_error(ErrorKind::failed, "the folder cannot be made", path, errno);
  if (!S_ISDIR(info.st_mode)) return system_error(ErrorKind::failed, "the folder cannot be made", path, ENOTDIR);
  return {};
}

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return system_error(ErrorKind::bad_file, "the file cannot be opened", path, errno);
  std::string bytes;
  size_t size = 0;
  for (;;) {
    constexpr size_t kChunk = size_t{1} << 16;
    bytes.resize(size + kChunk);
    const ssize_t got = ::read(file.get(), bytes.data() + size, kChunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(ErrorKind::bad_file, "the file cannot be read", path, errno);
    size += static_cast<size_t>(got);
    if (size > max_bytes) {
      return Error{ErrorKind::bad_file, "the file is too long", path, "at most " + std::to_string(max_bytes) + " bytes",
                   "choose another file"};
    }
    if (got == 0) break;
  }
  bytes.resize(size);
  return bytes;
}

Result<void> save_file(const std::string& path, std::string_view bytes) {
  const Result<std::string> target = follow_links(path);
  if (!target) return target.error();
  struct stat old {};
  const bool exists = ::stat(target->c_str(), &old) == 0;
  if (exists && !S_ISREG(old.st_mode)) {
    return Error{ErrorKind::failed, "the file cannot be saved: something that is no file has its name", path,
                 "a file, or nothing", "choose another name"};
  }
  std::string temporary;
  Descriptor file(open_temporary(*target, 0666, temporary));
  if (!file.valid()) return system_error(ErrorKind::failed, "the file cannot be saved", path, errno);
  int code = write_all(file.get(), bytes);
  if (code == 0 && exists && ::fchmod(file.get(), old.st_mode & 07777) != 0) code = errno;
  if (code == 0 && ::fsync(file.get()) != 0) code = errno;
  if (file.close() != 0 && code == 0) code = errno;
  if (code == 0 && ::rename(temporary.c_str(), target->c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(temporary.c_str());
    return system_error(ErrorKind::failed, "the file cannot be saved; what was there before is unchanged", path, code);
  }
  // The rename itself reaches the disk with the folder. Some file systems cannot sync a folder; the file is whole
  // anyway.
  const Descriptor folder(::open(parent_folder(*target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) ::fsync(folder.get());
  return {};
}

}  // namespace glassbox
