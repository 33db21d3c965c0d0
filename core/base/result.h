// Result<T>: a value or an Error. Everything that reads a file, a user's words or the network returns one
// (ARCHITECTURE: no exit, abort or assert on input).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace glassbox {

// What a program does with an error depends on its kind: the exit code of the command line, the words in the window.
enum class ErrorKind {
  failed,         // it could not be done (exit 1)
  device,         // the device that computes has failed; another may go on (exit 1)
  device_memory,  // its memory is full, and perhaps something can be dropped; or another may go on (exit 1)
  usage,          // the request is not of the right form (exit 2)
  bad_file,       // the file is missing, of the wrong kind or lies (exit 3)
  cancelled,      // the user stopped it (exit 130)
};

struct Error {
  ErrorKind kind = ErrorKind::failed;
  std::string what;      // one sentence: what went wrong
  std::string where;     // file, field and byte offset, or the option or key it came from; may be empty
  std::string expected;  // what would have been right; may be empty
  std::string remedy;    // what the user can do; may be empty

  // All parts joined into lines for a terminal or a message box.
  std::string message() const {
    std::string text = what;
    if (!where.empty()) text += "\n  where: " + where;
    if (!expected.empty()) text += "\n  expected: " + expected;
    if (!remedy.empty()) text += "\n  to do: " + remedy;
    return text;
  }
};

inline int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failed:
      return 1;
    case ErrorKind::device:
      return 1;
    case ErrorKind::device_memory:
      return 1;
    case ErrorKind::usage:
      return 2;
    case ErrorKind::bad_file:
      return 3;
    case ErrorKind::cancelled:
      return 130;
  }
  return 1;
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Precondition of value(), * and ->: ok(). Precondition of error(): !ok().
  T& value() { return std::get<0>(state_); }
  const T& value() const { return std::get<0>(state_); }
  T take() { return std::move(std::get<0>(state_)); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace glassbox
