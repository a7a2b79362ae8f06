// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Polling, because flock cannot wait with a deadline.
#include "cache/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace nibble::cache {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr microseconds kShortestPause{200};
constexpr microseconds kLongestPause{25'000};

}  // namespace

FileLock::Result FileLock::lock(int directory, const char* path,
                                std::chrono::milliseconds timeout) {
  {
    const auto guard = delay_forks();
    descriptor_ = ::openat(directory, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  }
  if (descriptor_ < 0) return Result::kUnavailable;
  const auto start = steady_clock::now();
  bool waited = false;
  while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const bool held_by_other = errno == EWOULDBLOCK;
    const auto elapsed = steady_clock::now() - start;
    if (!held_by_other || elapsed >= timeout) {
      close_descriptor();
      return held_by_other ? Result::kTimeout : Result::kUnavailable;
    }
    waited = true;
    // An eighth of the time already waited costs the caller little and the machine less.
    const auto pause = std::chrono::duration_cast<microseconds>(elapsed / 8);
    std::this_thread::sleep_for(std::clamp(pause, kShortestPause, kLongestPause));
  }
  return waited ? Result::kLockedAfterWait : Result::kLocked;
}

void FileLock::unlock() {
  if (descriptor_ < 0) return;
  ::flock(descriptor_, LOCK_UN);
  close_descriptor();
}

void FileLock::close_descriptor() {
  const auto guard = delay_forks();
  ::close(descriptor_);
  descriptor_ = -1;
}

// Closing alone: unlocking here would take the lock from the parent.
void FileLock::after_fork_in_child() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace nibble::cache
