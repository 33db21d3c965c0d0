// Places for files and safe writing. What is here belongs to a platform; files_linux.cpp implements it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace glassbox {

// Folders of this user's program, after the XDG Base Directory Specification 0.8; they need not exist. An XDG variable
// that is empty or no absolute path is ignored, as the specification asks. Error (failed): there is no home folder.
struct Places {
  std::string data;    // models: $XDG_DATA_HOME/glassbox, or ~/.local/share/glassbox
  std::string config;  // $XDG_CONFIG_HOME/glassbox, or ~/.config/glassbox
  std::string state;   // the document of the last session: $XDG_STATE_HOME/glassbox, or ~/.local/state/glassbox
  std::string cache;   // $XDG_CACHE_HOME/glassbox, or ~/.cache/glassbox
};
Result<Places> find_places();

// Makes the folder and those above it that are missing, for this user only. No error when it is there.
Result<void> make_folder(const std::string& path);

// The whole file. Errors (bad_file): cannot be opened or read, is a folder, is longer than `max_bytes`.
Result<std::string> read_file(const std::string& path, size_t max_bytes);

// Replaces the file by `bytes` in one moment: a temporary file beside it is written, synced and renamed over it. On an
// error (failed) the old file is whole and the temporary one is gone. A symbolic link stays one, and the file behind it
// is replaced; an existing file's permissions are kept.
Result<void> save_file(const std::string& path, std::string_view bytes);

}  // namespace glassbox
