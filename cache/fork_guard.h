// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Objects whose state must be put right when the process forks. A child has one thread and copies
// of everything, so locks of other threads would stay held and their work never finish there.
#pragma once

#include <mutex>

namespace nibble::cache {

class ForkSensitive {
 public:
  ForkSensitive(const ForkSensitive&) = delete;
  ForkSensitive& operator=(const ForkSensitive&) = delete;
  virtual void before_fork() {}           // in the parent; may lock the object's own mutex
  virtual void after_fork_in_parent() {}  // and unlock it
  virtual void after_fork_in_child() {}   // here too

 protected:
  ForkSensitive() = default;
  ~ForkSensitive() = default;
};

// Keeps `object` known to the handlers. Declare it as the last member of the object.
class ForkRegistration {
 public:
  explicit ForkRegistration(ForkSensitive* object);
  ForkRegistration(const ForkRegistration&) = delete;
  ForkRegistration& operator=(const ForkRegistration&) = delete;
  ~ForkRegistration();

 private:
  ForkSensitive* object_;
};

// No fork happens in this process while the result lives. Take it before any mutex that a
// before_fork locks, never after.
std::unique_lock<std::mutex> delay_forks();

}  // namespace nibble::cache
