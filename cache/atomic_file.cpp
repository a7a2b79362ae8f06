// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The order of the calls in write_file is the promise; every return code is looked at.
#include "cache/atomic_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>

#include "cache/digest.h"
#include "cache/file_descriptor.h"

namespace nibble::cache {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int kNameAttempts = 8;

std::optional<FileError> failed(const char* step, int code = errno) {
  return FileError{step, code};
}

// Turns the signal of a write over RLIMIT_FSIZE into its error EFBIG, in this thread only.
class FileSizeSignalBlock {
 public:
  FileSizeSignalBlock() {
    sigset_t pending;
    sigemptyset(&pending);
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    blocked_ = pthread_sigmask(SIG_BLOCK, &signal_, &old_mask_) == 0;
  }
  FileSizeSignalBlock(const FileSizeSignalBlock&) = delete;
  FileSizeSignalBlock& operator=(const FileSizeSignalBlock&) = delete;
  ~FileSizeSignalBlock() {
    if (!blocked_) return;
    const timespec no_wait{0, 0};
    while (!was_pending_ && sigtimedwait(&signal_, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }

 private:
  sigset_t signal_;
  sigset_t old_mask_;
  bool was_pending_ = false;
  bool blocked_ = false;
};

std::optional<FileError> write_all(int file, std::string_view bytes) {
  const FileSizeSignalBlock block;
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write of the file");
    if (written == 0) return failed("write of the file", ENOSPC);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return std::nullopt;
}

// Random rather than from the process id, which containers that share a folder do not share.
std::string random_suffix() {
  std::uint64_t random[2] = {0, 0};
  if (::getrandom(random, sizeof random, 0) != sizeof random) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    random[0] = static_cast<std::uint64_t>(now.tv_nsec);
    random[1] = static_cast<std::uint64_t>(::getpid());
  }
  return hex({random[0], random[1]});
}

struct TemporaryFile {
  FileDescriptor file;
  std::string path;
};

std::optional<FileError> open_temporary(int directory, const char* folder, const std::string& name,
                                        TemporaryFile* result) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    result->path = std::string(folder) + '/' + name + '.' + random_suffix();
    result->file = FileDescriptor(::openat(directory, result->path.c_str(), kFlags, 0600));
    if (result->file.valid()) return std::nullopt;
    if (errno == ENOENT) {
      if (auto error = make_directory(directory, folder)) return error;
    } else if (errno != EEXIST) {
      return failed("creation of a temporary file");
    }
  }
  return failed("creation of a temporary file", EEXIST);
}

// Opens the folder that will hold the file; a new one is made durable too.
std::optional<FileError> open_folder(int directory, const char* name, FileDescriptor* folder) {
  *folder = FileDescriptor(::openat(directory, name, kDirectoryFlags));
  if (folder->valid()) return std::nullopt;
  if (errno != ENOENT) return failed("opening of the folder");
  if (auto error = make_directory(directory, name)) return error;
  *folder = FileDescriptor(::openat(directory, name, kDirectoryFlags));
  if (!folder->valid()) return failed("opening of the folder");
  if (::fsync(directory) != 0) return failed("fsync of the directory");
  return std::nullopt;
}

std::optional<FileError> fill_and_close(FileDescriptor file, std::string_view bytes) {
  if (auto error = write_all(file.get(), bytes)) return error;
  // The mode at creation is cut by the umask.
  if (::fchmod(file.get(), 0600) != 0) return failed("fchmod of the file");
  if (::fsync(file.get()) != 0) return failed("fsync of the file");
  if (::close(file.release()) != 0 && errno != EINTR) return failed("close of the file");
  return std::nullopt;
}

}  // namespace

std::string FileError::text() const {
  return std::string(step) + ": " + std::generic_category().message(code) + " (errno " +
         std::to_string(code) + ")";
}

ReadFile read_file(int directory, const char* path, std::size_t largest) {
  ReadFile result;
  const auto unfit = [&](const char* reason) {
    result.status = ReadFile::Status::kUnfit;
    result.reason = reason;
    return result;
  };
  const auto error = [&](const char* step) {
    result.status = ReadFile::Status::kFailed;
    result.error = {step, errno};
    return result;
  };
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const FileDescriptor file(::openat(directory, path, kFlags));
  if (!file.valid()) {
    if (errno == ENOENT) return result;
    if (errno == ELOOP) return unfit("a symbolic link");
    if (errno == ENXIO || errno == ENODEV) return unfit("no regular file");
    return error("opening of the file");
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return error("fstat of the file");
  if (!S_ISREG(status.st_mode)) return unfit("no regular file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) return unfit("owned by another user");
  if ((status.st_mode & 022) != 0) return unfit("writable by others than its owner");
  if (static_cast<std::uint64_t>(status.st_size) > largest) return unfit("larger than any entry");

  result.bytes.resize(static_cast<std::size_t>(status.st_size));
  std::size_t filled = 0;
  while (filled < result.bytes.size()) {
    const ssize_t got = ::read(file.get(), &result.bytes[filled], result.bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return error("read of the file");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  result.bytes.resize(filled);
  result.modified_at = status.st_mtim.tv_sec;
  result.status = ReadFile::Status::kRead;
  return result;
}

std::optional<FileError> write_file(int directory, const char* temporary, const char* folder,
                                    const std::string& name, std::string_view bytes) {
  TemporaryFile written;
  if (auto error = open_temporary(directory, temporary, name, &written)) return error;
  FileDescriptor target;
  auto error = fill_and_close(std::move(written.file), bytes);
  if (!error) error = open_folder(directory, folder, &target);
  if (!error && ::renameat(directory, written.path.c_str(), target.get(), name.c_str()) != 0) {
    error = failed("rename of the file");
  }
  if (error) {
    ::unlinkat(directory, written.path.c_str(), 0);
    return error;
  }
  if (::fsync(target.get()) != 0) return failed("fsync of the folder");
  return std::nullopt;
}

std::optional<FileError> make_directory(int parent, const char* name) {
  if (::mkdirat(parent, name, 0700) != 0) {
    if (errno == EEXIST) return std::nullopt;
    return failed("mkdir");
  }
  struct stat status {};
  if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat of a folder");
  const bool cut_by_umask = S_ISDIR(status.st_mode) && (status.st_mode & 0777) != 0700;
  if (cut_by_umask && ::fchmodat(parent, name, 0700, 0) != 0) return failed("chmod of a folder");
  return std::nullopt;
}

}  // namespace nibble::cache
