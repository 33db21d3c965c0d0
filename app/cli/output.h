// Standard output, whose errors count: a full disk or a closed pipe is no success.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/base/result.h"

namespace glassbox {

class Output {
 public:
  // Buffered until flush(). After an error nothing more is written.
  void write(std::string_view text);
  void line(std::string_view text = {});
  // One document and a line break.
  void json(const nlohmann::json& document);
  // Error (failed): what was written did not arrive. Its `what` is empty when the reader of a pipe has gone away, which
  // is its good right (`| head`) and needs no words.
  Result<void> flush();

 private:
  void fail(int code);
  std::optional<Error> error_;
};

// A line on standard error: what is no result. A failure to write there is ignored: no place is left to tell of it.
void note(std::string_view text);

}  // namespace glassbox
