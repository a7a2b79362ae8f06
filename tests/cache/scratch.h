// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the tests of the cache share: a private directory, child processes with a deadline, files.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>

#include "cache/store.h"

namespace nibble::cache::testing {

// A directory of mode 0700 that is removed at the end by the process that made it.
class ScratchDirectory {
 public:
  ScratchDirectory() : path_(::testing::TempDir() + "nibble-cache-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() {
    std::error_code ignored;
    if (::getpid() == owner_) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }

 private:
  std::string path_;
  pid_t owner_ = ::getpid();
};

inline StoreOptions options_for(const std::string& directory, std::string* warnings = nullptr) {
  StoreOptions options;
  options.directory = directory;
  options.lock_timeout = std::chrono::seconds(20);
  options.warn = [warnings](std::string_view line) {
    if (warnings != nullptr) *warnings += std::string(line) + '\n';
  };
  return options;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// In place: the cache never does this, so the damage is of the kind that disks and people make.
inline void overwrite_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::size_t files_in(const std::string& directory) {
  std::size_t count = 0;
  std::error_code ignored;
  for ([[maybe_unused]] const auto& item :
       std::filesystem::directory_iterator(directory, ignored)) {
    ++count;
  }
  return count;
}

constexpr int kChildSkipped = 77;
constexpr unsigned kChildSeconds = 100;  // sanitizers included; a hang ends here

// A process that runs `body` and exits with 1 if a test expectation failed in it.
inline pid_t start_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::alarm(kChildSeconds);
  body();
  std::fflush(nullptr);
  ::_exit(::testing::Test::HasFailure() ? 1 : 0);
}

// The exit code, or 128 and the signal.
inline int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline int run_child(const std::function<void()>& body) { return wait_for(start_child(body)); }

}  // namespace nibble::cache::testing
