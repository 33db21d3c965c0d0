// A file seen as memory, read-only. Pages come from the disk when they are first touched, and many programs that map
// the same model share them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/base/result.h"

namespace glassbox {

class MappedFile {
 public:
  // Errors (bad_file): the file is missing, cannot be read, is no regular file, or is empty.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  // Valid as long as this object lives. What is mapped is the file as it was long when it was opened: a program that
  // cuts it shorter meanwhile takes the pages away (the kernel answers a read of them with SIGBUS), so models are
  // replaced by renaming a new file over the old one, never in place.
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  // Takes the pages out of this process's memory; the next look at one brings it back. For what was read once.
  void release_pages() const;

 private:
  MappedFile(std::string path, const std::byte* data, size_t size);
  void unmap();

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace glassbox
