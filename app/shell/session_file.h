// The document of the last session: saved a second after each change, restored at the next start.
#pragma once

#include <future>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/run/document.h"

namespace glassbox {

class SessionFile {
 public:
  ~SessionFile();
  // $XDG_STATE_HOME/glassbox/session.glassbox.json. Error (failed): there is no home folder.
  static Result<std::string> place();
  // The document of the last session; null when there is none. A file that cannot be read is put aside under another
  // name and the error says so.
  static Result<std::optional<Document>> restore();

  // Once a frame. Saves on a thread of its own when the document has not changed for a second.
  void watch(const Document& document, double now);
  // When watch() wants to be called again; 0: nothing is waiting.
  double next_change() const { return changed_at_ > 0 ? changed_at_ + kDelaySeconds : 0; }
  // The error of the last save, once.
  std::optional<Error> take_error();
  // Saves at once and waits.
  void finish(const Document& document);

  static constexpr double kDelaySeconds = 1.0;

 private:
  void collect(bool wait);
  Document seen_;
  bool started_ = false;
  double changed_at_ = 0;
  std::future<Result<void>> saving_;
  std::optional<Error> error_;
};

}  // namespace glassbox
