// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Reads the environment once per call and trusts only the effective user and root.
#include "cache/location.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "cache/atomic_file.h"

namespace nibble::cache {
namespace {

constexpr std::array kModes{Mode::kReadWrite, Mode::kReadOnly, Mode::kOff};

std::string environment(const char* name) {
  const char* value = ::secure_getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool absolute(const std::string& path) { return path.starts_with('/'); }

bool trusted(uid_t owner) { return owner == ::geteuid() || owner == 0; }

std::string problem(const char* step) { return FileError{step, errno}.text(); }

// Makes every missing directory of an absolute path.
std::optional<FileError> make_directories(const std::string& path) {
  for (std::size_t end = 1; end <= path.size(); ++end) {
    if (end != path.size() && path[end] != '/') continue;
    const std::string prefix = path.substr(0, end);
    if (auto error = make_directory(AT_FDCWD, prefix.c_str())) {
      // A read-only or forbidden ancestor is no obstacle where the directory is there.
      struct stat status {};
      if (::stat(prefix.c_str(), &status) != 0) return error;
    }
  }
  return std::nullopt;
}

OpenedDirectory refuse(std::string reason) { return {FileDescriptor(), std::move(reason)}; }

OpenedDirectory check_private(FileDescriptor directory) {
  struct stat status {};
  if (!directory.valid()) return refuse(problem("opening of the directory"));
  if (::fstat(directory.get(), &status) != 0) return refuse(problem("stat of the directory"));
  if (!trusted(status.st_uid)) {
    return refuse("the directory belongs to user " + std::to_string(status.st_uid) +
                  ", not to user " + std::to_string(::geteuid()));
  }
  if ((status.st_mode & 022) != 0) {
    return refuse("the directory must be writable by its owner alone (chmod go-w)");
  }
  return {std::move(directory), {}};
}

}  // namespace

std::optional<Mode> parse_mode(std::string_view text) {
  for (const Mode mode : kModes) {
    if (text == to_string(mode)) return mode;
  }
  return std::nullopt;
}

const char* to_string(Mode mode) {
  switch (mode) {
    case Mode::kReadWrite:
      return "readwrite";
    case Mode::kReadOnly:
      return "readonly";
    case Mode::kOff:
      return "off";
  }
  return "unknown";
}

Mode mode_from_environment(std::string* error) {
  const std::string text = environment("NIBBLE_CACHE");
  if (text.empty()) return Mode::kReadWrite;
  if (const auto mode = parse_mode(text)) return *mode;
  if (error != nullptr) {
    *error = "NIBBLE_CACHE is '" + text + "': it must be readwrite, readonly or off";
  }
  return Mode::kReadWrite;
}

std::string default_directory() {
  if (std::string chosen = environment("NIBBLE_CACHE_DIR"); !chosen.empty()) return chosen;
  if (const std::string base = environment("XDG_CACHE_HOME"); absolute(base)) {
    return base + "/nibble";
  }
  const std::string home = environment("HOME");
  struct stat status {};
  if (absolute(home) && ::stat(home.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    return home + "/.cache/nibble";
  }
  return {};
}

OpenedDirectory open_private_directory(const std::string& path, bool create) {
  if (path.empty())
    return refuse(
        "no directory is known: NIBBLE_CACHE_DIR, XDG_CACHE_HOME and "
        "HOME are unset or unusable");
  if (!absolute(path)) return refuse("the path must be absolute");
  if (create) {
    if (const auto error = make_directories(path)) return refuse(error->text());
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return refuse(problem("stat of the directory"));
  if (S_ISLNK(status.st_mode) && !trusted(status.st_uid)) {
    return refuse("the path is a symbolic link of user " + std::to_string(status.st_uid));
  }
  return check_private(FileDescriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

OpenedDirectory open_private_subdirectory(int parent, const char* name, bool create) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  FileDescriptor directory(::openat(parent, name, kFlags));
  if (!directory.valid() && errno == ENOENT && create) {
    if (const auto error = make_directory(parent, name)) return refuse(error->text());
    directory = FileDescriptor(::openat(parent, name, kFlags));
  }
  return check_private(std::move(directory));
}

}  // namespace nibble::cache
