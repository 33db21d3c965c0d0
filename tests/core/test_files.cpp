#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <filesystem>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "core/base/files.h"
#include "tests/support/temporary_folder.h"

using namespace glassbox;
using test::TemporaryFolder;

namespace {

class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    if (value) {
      setenv(name, value, 1);
    } else {
      unsetenv(name);
    }
  }
  ~Environment() {
    if (old_) {
      setenv(name_.c_str(), old_->c_str(), 1);
    } else {
      unsetenv(name_.c_str());
    }
  }

 private:
  std::string name_;
  std::optional<std::string> old_;
};

// While it lives, a file cannot grow beyond `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int) = nullptr;
};

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

std::string contents(const std::string& path) {
  Result<std::string> bytes = read_file(path, 1 << 20);
  return bytes ? bytes.take() : "(no file)";
}

}  // namespace

TEST_CASE("places follow XDG", "[files]") {
  const Environment home("HOME", "/home/ada/");
  const Environment data("XDG_DATA_HOME", nullptr), config("XDG_CONFIG_HOME", ""), state("XDG_STATE_HOME", "relative"),
      cache("XDG_CACHE_HOME", "/var/cache/ada");
  const Result<Places> places = find_places();
  REQUIRE(places);
  CHECK(places->data == "/home/ada/.local/share/glassbox");
  CHECK(places->config == "/home/ada/.config/glassbox");      // empty: not set
  CHECK(places->state == "/home/ada/.local/state/glassbox");  // a relative path is ignored
  CHECK(places->cache == "/var/cache/ada/glassbox");
  const Environment no_home("HOME", nullptr);
  const Result<Places> from_accounts = find_places();  // the account's own folder
  REQUIRE(from_accounts);
  CHECK(from_accounts->data.starts_with("/"));
}

TEST_CASE("a file is replaced in one moment", "[files]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.json");
  REQUIRE(save_file(path, "first"));
  CHECK(contents(path) == "first");
  REQUIRE(chmod(path.c_str(), 0640) == 0);
  const std::string big(3 << 20, 'x');
  REQUIRE(save_file(path, big));
  CHECK(*read_file(path, 4 << 20) == big);
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);  // as before
  REQUIRE(save_file(path, ""));
  CHECK(contents(path).empty());
  CHECK(names_in(folder.path()) == std::set<std::string>{"a.json"});
}

TEST_CASE("a symbolic link stays one", "[files]") {
  const TemporaryFolder folder;
  REQUIRE(make_folder(folder.file("real")));
  REQUIRE(save_file(folder.file("real/a"), "old"));
  std::filesystem::create_symlink("real/a", folder.file("link"));
  std::filesystem::create_symlink("link", folder.file("link2"));
  REQUIRE(save_file(folder.file("link2"), "new"));
  CHECK(std::filesystem::is_symlink(folder.file("link2")));
  CHECK(contents(folder.file("real/a")) == "new");
  std::filesystem::create_symlink("loop", folder.file("loop"));
  const Result<void> looped = save_file(folder.file("loop"), "x");
  REQUIRE_FALSE(looped);
  CHECK(looped.error().kind == ErrorKind::failed);
}

TEST_CASE("a save that fails leaves the old file whole and nothing else behind", "[files]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.json");
  REQUIRE(save_file(path, "the old one"));
  SECTION("the disk is full") {
    const FileSizeLimit limit(1000);
    const Result<void> saved = save_file(path, std::string(5000, 'x'));
    REQUIRE_FALSE(saved);
    CHECK(saved.error().kind == ErrorKind::failed);
    CHECK(saved.error().where == path);
    CHECK_FALSE(saved.error().remedy.empty());
  }
  SECTION("no permission, or no folder") {
    CHECK_FALSE(save_file(folder.file("missing/a.json"), "x"));
    CHECK_FALSE(save_file(path + "/b", "x"));
    CHECK_FALSE(save_file(folder.path(), "x"));
    if (geteuid() != 0) {  // root may write everywhere
      REQUIRE(chmod(folder.path().c_str(), 0500) == 0);
      const Result<void> saved = save_file(path, "x");
      REQUIRE(chmod(folder.path().c_str(), 0700) == 0);
      REQUIRE_FALSE(saved);
      CHECK(saved.error().remedy == "save where you may write");
    }
  }
  CHECK(contents(path) == "the old one");
  CHECK(names_in(folder.path()) == std::set<std::string>{"a.json"});
}

TEST_CASE("savers at the same time leave one whole file", "[files]") {
  const TemporaryFolder folder;
  const std::string path = folder.file("a");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&path, t] {
      for (int i = 0; i < 20; ++i) (void)save_file(path, std::string(10000, static_cast<char>('a' + t)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string bytes = contents(path);
  CHECK(bytes == std::string(10000, bytes[0]));
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
}

TEST_CASE("reading says what is wrong", "[files]") {
  const TemporaryFolder folder;
  const Result<std::string> missing = read_file(folder.file("none"), 10);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::bad_file);
  CHECK(missing.error().where == folder.file("none"));
  CHECK_FALSE(read_file(folder.path(), 10));
  REQUIRE(save_file(folder.file("a"), "12345678901"));
  CHECK_FALSE(read_file(folder.file("a"), 10));
  CHECK(*read_file(folder.file("a"), 11) == "12345678901");
}

TEST_CASE("folders are made with those above them", "[files]") {
  const TemporaryFolder folder;
  CHECK(make_folder(folder.file("a/b/c")));
  CHECK(std::filesystem::is_directory(folder.file("a/b/c")));
  CHECK(make_folder(folder.file("a/b/c/")));
  CHECK(make_folder("/"));
  REQUIRE(save_file(folder.file("file"), "x"));
  CHECK_FALSE(make_folder(folder.file("file")));
  CHECK_FALSE(make_folder(folder.file("file/b")));
}
