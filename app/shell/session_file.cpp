#include "app/shell/session_file.h"

#include <cstdio>
#include <filesystem>

#include "core/base/files.h"

namespace glassbox {

namespace {

Result<void> save(const Document& document) {
  const Result<std::string> path = SessionFile::place();
  if (!path) return path.error();
  if (Result<void> made = make_folder(path->substr(0, path->rfind('/'))); !made) return made;
  return save_document(document, *path);
}

}  // namespace

SessionFile::~SessionFile() { collect(true); }

Result<std::string> SessionFile::place() {
  const Result<Places> places = find_places();
  if (!places) return places.error();
  return places->state + "/session.glassbox.json";
}

Result<std::optional<Document>> SessionFile::restore() {
  const Result<std::string> path = place();
  if (!path) return path.error();
  std::error_code error;
  if (!std::filesystem::exists(*path, error)) return std::optional<Document>();
  Result<Document> document = open_document(*path);
  if (document) return std::optional<Document>(document.take());
  const std::string aside = *path + ".unreadable";
  std::filesystem::rename(*path, aside, error);
  Error told = document.error();
  told.what = "The last session could not be restored: " + told.what;
  told.remedy = error ? told.remedy : "The file was kept as " + aside + "; the program begins with its first document.";
  return told;
}

void SessionFile::collect(bool wait) {
  if (!saving_.valid()) return;
  if (!wait && saving_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return;
  if (const Result<void> saved = saving_.get(); !saved) error_ = saved.error();
}

void SessionFile::watch(const Document& document, double now) {
  collect(false);
  if (!started_) {
    started_ = true, seen_ = document;
    return;
  }
  if (!(document == seen_)) seen_ = document, changed_at_ = now;
  if (changed_at_ > 0 && now >= changed_at_ + kDelaySeconds && !saving_.valid()) {
    changed_at_ = 0;
    saving_ = std::async(std::launch::async, [copy = document] { return save(copy); });
  }
}

std::optional<Error> SessionFile::take_error() {
  std::optional<Error> error;
  error.swap(error_);
  return error;
}

void SessionFile::finish(const Document& document) {
  collect(true);
  if (!started_) return;
  if (const Result<void> saved = save(document); !saved) error_ = saved.error();
}

}  // namespace glassbox
