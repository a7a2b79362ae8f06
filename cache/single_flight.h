// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One creator per key among the threads of a process; the others wait for its result.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "cache/fork_guard.h"

namespace nibble::cache {

// Thread-safe. A forked child starts with no flights.
class SingleFlight final : private ForkSensitive {
 public:
  SingleFlight() : registration_(this) {}

  // One creation in progress.
  struct Flight {
    std::condition_variable landed;
    // Guarded by the mutex of the SingleFlight:
    bool finished = false;
    int waiters = 0;
    std::shared_ptr<const std::string> result;  // none: the creation failed
  };

  struct Ticket {
    std::shared_ptr<Flight> flight;
    bool leads = false;  // the caller must create, and call finish
  };

  enum class Outcome { kResult, kFailed, kTimeout };

  Ticket join(std::string_view key);
  // For those who do not lead: waits until the leader has finished or `timeout` has passed.
  Outcome wait(const Ticket& ticket, std::chrono::milliseconds timeout, std::string* result);
  // For the leader, exactly once; nothing in `result` means that the creation failed.
  void finish(std::string_view key, const Ticket& ticket,
              const std::optional<std::string>& result) noexcept;

 private:
  using Flights = std::map<std::string, std::shared_ptr<Flight>, std::less<>>;

  void before_fork() override { mutex_.lock(); }
  void after_fork_in_parent() override { mutex_.unlock(); }
  void after_fork_in_child() override;

  std::mutex mutex_;
  Flights flights_;  // guarded by mutex_
  ForkRegistration registration_;
};

}  // namespace nibble::cache
