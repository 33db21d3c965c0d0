// What a verb works with: its options, its output, and the ways from options to models and tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/cli/options.h"
#include "app/cli/output.h"
#include "core/model/model.h"
#include "core/run/device.h"
#include "core/run/session.h"

namespace glassbox {

struct CliContext {
  const Options& options;
  Output& out;
};

// The model's file: -m, else $GLASSBOX_MODEL, else the place where app/run puts the default model.
// Error (bad_file): it is none of these, with what to do.
Result<std::string> find_model_file(const Options& options);
// Errors: as find_model_file() and Model::load().
Result<std::shared_ptr<const Model>> load_model(const Options& options);

// The model with its backend and sessions.
struct LoadedEngine {
  std::shared_ptr<const Model> model;
  std::unique_ptr<SessionStore> sessions;
  double load_seconds = 0;  // of the file, the backend and its threads
};
// When the device fails, its sessions go on on the CPU; that, and other notes about it, go to standard error.
// Errors: as load_model(), chosen_device() and start_sessions().
Result<LoadedEngine> load_engine(const Options& options);
// What --device says. Errors: usage for a word that is none, a device or an instruction set that is not there.
Result<DeviceChoice> chosen_device(const Options& options);

// The text of -p, --file or standard input as its bytes, checked to be UTF-8. Errors: usage (no text was given, invalid
// UTF-8 with its byte offset, too long), bad_file (--file), failed or cancelled (standard input).
Result<std::string> read_text(const Options& options);
bool has_text(const Options& options);
// The numbers of --ids. Errors (usage): something else, none.
Result<std::vector<int32_t>> read_ids(const std::string& list);
// The tokens that the model gets: of the text, or --ids. Errors: as read_text(); usage for a prompt that does not fit
// the context (both numbers), an id that the model lacks, a chat without a known template, a prompt without tokens.
Result<std::vector<int32_t>> read_tokens(const Options& options, const Model& model);

// Progress on standard error when that is a terminal, and the way out on Ctrl+C. `what` stands before the percentage.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  // To be called with 0 … 1; false when the work is to end.
  bool operator()(double done);
  void finish();  // wipes the line

 private:
  std::string what_;
  double begun_;
  int shown_ = -1;
};

// "token" → "1 token", "2 tokens"
std::string plural(int64_t count, const std::string& what);

}  // namespace glassbox
