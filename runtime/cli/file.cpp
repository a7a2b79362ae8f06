// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/result.h"

namespace nibble::cli {
namespace {

// The system copies at most 0x7ffff000 bytes a call.
constexpr uint64_t kLargestCall = uint64_t{1} << 30;

Status system_failure(const std::string& path, const char* call) {
  return {Code::kIoError, path + ": " + call + ": " + std::strerror(errno)};
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A rename lasts through a power cut only once its folder is on the disk too.
Status sync_folder(const std::string& folder) {
  const cache::FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return system_failure(folder, "open");
  // Some file systems cannot sync a folder and say EINVAL; the file itself is synced.
  if (::fsync(directory.get()) != 0 && errno != EINVAL) return system_failure(folder, "fsync");
  return {};
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  // O_NONBLOCK: a pipe must be refused below, not waited for.
  InputFile result(path,
                   cache::FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)));
  if (!result.file_.valid()) return system_failure(path, "open");
  struct stat status {};
  if (::fstat(result.file_.get(), &status) != 0) return system_failure(path, "fstat");
  if (!S_ISREG(status.st_mode)) {
    return Status(Code::kIoError, path + ": must be a regular file");
  }
  result.size_ = static_cast<uint64_t>(status.st_size);
  result.device_ = status.st_dev;
  result.inode_ = status.st_ino;
  return result;
}

Status InputFile::read(uint64_t offset, void* to, uint64_t bytes) const {
  auto* next = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t count =
        ::pread(file_.get(), next, std::min(bytes, kLargestCall), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure(path_, "pread");
    if (count == 0) {
      return {Code::kIoError, path_ + ": ends at byte " + std::to_string(offset) + ", " +
                                  std::to_string(bytes) + " bytes too early"};
    }
    next += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

bool InputFile::is(const std::string& path) const {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_;
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return Status(Code::kIoError, path + ": is there and no regular file");
  }
  std::string temporary = path + ".XXXXXX";
  cache::FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return system_failure(path, "create a temporary file beside it");
  // mkostemp makes files private; an output has the mode that any other program would give it.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  OutputFile result(path, std::move(temporary), std::move(file));
  if (::fchmod(result.file_.get(), 0666 & ~mask) != 0) return system_failure(path, "fchmod");
  return result;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status OutputFile::write(uint64_t offset, const void* from, uint64_t bytes) {
  const auto* next = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t count =
        ::pwrite(file_.get(), next, std::min(bytes, kLargestCall), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure(path_, "pwrite");
    next += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

Status OutputFile::commit() {
  if (::fsync(file_.get()) != 0) return system_failure(path_, "fsync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_failure(path_, "rename");
  temporary_.clear();
  return sync_folder(folder_of(path_));
}

Result<std::string> read_text(const std::string& path, uint64_t largest) {
  NIBBLE_TRY_ASSIGN(const InputFile file, InputFile::open(path));
  if (file.size() > largest) {
    return Status(Code::kInvalidArgument, path + ": " + std::to_string(file.size()) +
                                              " bytes: must be at most " + std::to_string(largest));
  }
  std::string text(file.size(), '\0');
  NIBBLE_TRY(file.read(0, text.data(), text.size()));
  return text;
}

Status write_text(const std::string& path, std::string_view text) {
  NIBBLE_TRY_ASSIGN(OutputFile file, OutputFile::create(path));
  NIBBLE_TRY(file.write(0, text.data(), text.size()));
  return file.commit();
}

}  // namespace nibble::cli
