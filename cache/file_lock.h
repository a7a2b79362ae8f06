// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// An exclusive lock among processes and threads: flock on a file that is never removed. The kernel
// frees it when its holder dies. It saves work; nothing may be wrong without it.
#pragma once

#include <chrono>

#include "cache/fork_guard.h"

namespace nibble::cache {

class FileLock final : private ForkSensitive {
 public:
  enum class Result {
    kLocked,
    kLockedAfterWait,  // another holder was seen
    kTimeout,
    kUnavailable,  // no such file and none can be made, no descriptors left, no locks here
  };

  FileLock() : registration_(this) {}
  // Frees the lock, also where a forked child still has a copy of the descriptor.
  ~FileLock() { unlock(); }

  // Locks the file `path` under `directory`, made with mode 0600 where missing, waiting until
  // `timeout` has passed; zero tries once. Call it once, from the thread that owns the object.
  Result lock(int directory, const char* path, std::chrono::milliseconds timeout);
  void unlock();

  // For the times of the lock file; -1 where not locked.
  int descriptor() const { return descriptor_; }

 private:
  void after_fork_in_child() override;
  void close_descriptor();

  // Changed only while forks are delayed, so that a child closes every copy it got.
  int descriptor_ = -1;
  ForkRegistration registration_;
};

}  // namespace nibble::cache
