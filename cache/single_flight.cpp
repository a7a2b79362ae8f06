// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The flights of a process: a map under one mutex, a condition variable per flight.
#include "cache/single_flight.h"

#include <new>
#include <utility>

namespace nibble::cache {

SingleFlight::Ticket SingleFlight::join(std::string_view key) {
  const std::lock_guard guard(mutex_);
  const auto found = flights_.find(key);
  if (found != flights_.end()) {
    ++found->second->waiters;
    return {found->second, false};
  }
  auto flight = std::make_shared<Flight>();
  flights_.emplace(key, flight);
  return {std::move(flight), true};
}

SingleFlight::Outcome SingleFlight::wait(const Ticket& ticket, std::chrono::milliseconds timeout,
                                         std::string* result) {
  Flight& flight = *ticket.flight;
  std::unique_lock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (!flight.landed.wait_until(lock, deadline, [&] { return flight.finished; })) {
    return Outcome::kTimeout;
  }
  if (!flight.result) return Outcome::kFailed;
  const auto shared = flight.result;
  lock.unlock();
  *result = *shared;
  return Outcome::kResult;
}

void SingleFlight::finish(std::string_view key, const Ticket& ticket,
                          const std::optional<std::string>& result) noexcept {
  const std::lock_guard guard(mutex_);
  Flight& flight = *ticket.flight;
  // In a child forked by the leader's own create the flight is no longer listed.
  const auto found = flights_.find(key);
  if (found != flights_.end() && found->second == ticket.flight) flights_.erase(found);
  if (result && flight.waiters > 0) {
    try {
      flight.result = std::make_shared<const std::string>(*result);
    } catch (const std::bad_alloc&) {
      // To the waiters this creation failed: each runs its own.
    }
  }
  flight.finished = true;
  flight.landed.notify_all();
}

// The flights are leaked: destroying a condition variable that threads of the parent were waiting
// on would wait for them.
void SingleFlight::after_fork_in_child() {
  if (!flights_.empty()) {
    new Flights(std::exchange(flights_, {}));
  }
  mutex_.unlock();  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): as said above
}

}  // namespace nibble::cache
