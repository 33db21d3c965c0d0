#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/io/mapped_file.h"

namespace glassbox {

namespace {

Error file_error(const std::string& path, std::string what, std::string expected, std::string remedy) {
  return Error{ErrorKind::bad_file, std::move(what), path, std::move(expected), std::move(remedy)};
}

Error system_error(const std::string& path, const std::string& what, int code) {
  std::string remedy = "check the file's rights and that its disk is there";
  if (code == ENOENT || code == ENOTDIR) remedy = "check the path; without -m the default model is used";
  if (code == EACCES || code == EPERM) remedy = "make the file readable for this user";
  return file_error(path, what + ": " + std::strerror(code), "a readable file", remedy);
}

// Closes the descriptor on every way out; the map outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // Opening a pipe must not wait for its writer; a regular file does not care about O_NONBLOCK.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return system_error(path, "cannot open the file", errno);

  struct stat status;
  if (::fstat(file.fd, &status) != 0) return system_error(path, "cannot read the file's size", errno);
  if (S_ISDIR(status.st_mode)) {
    return file_error(path, "this is a folder", "a file", "name the model file inside the folder");
  }
  if (!S_ISREG(status.st_mode)) {
    return file_error(path, "this is no regular file (a pipe or a device)", "a regular file",
                      "save it to a file first");
  }
  if (status.st_size == 0) {
    return file_error(path, "the file is empty", "a model file", "fetch the file again: its download did not finish");
  }

  const size_t size = static_cast<size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) return system_error(path, "cannot map the file", errno);
  return MappedFile(path, static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(std::string path, const std::byte* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

void MappedFile::release_pages() const {
  ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);
}

void MappedFile::unmap() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace glassbox
