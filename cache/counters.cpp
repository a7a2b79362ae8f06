// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The one place that pairs each counter with its field in a snapshot.
#include "cache/counters.h"

namespace nibble::cache {

CounterSnapshot Counters::snapshot() const {
  const auto read = [](const Counter& counter) { return counter.load(std::memory_order_relaxed); };
  CounterSnapshot result;
  result.hits = read(hits);
  result.misses = read(misses);
  result.corrupt = read(corrupt);
  result.collisions = read(collisions);
  result.read_errors = read(read_errors);
  result.puts = read(puts);
  result.put_failures = read(put_failures);
  result.creates = read(creates);
  result.create_failures = read(create_failures);
  result.flight_waits = read(flight_waits);
  result.flight_timeouts = read(flight_timeouts);
  result.lock_waits = read(lock_waits);
  result.lock_timeouts = read(lock_timeouts);
  result.locks_unavailable = read(locks_unavailable);
  result.evictions = read(evictions);
  result.temporaries_swept = read(temporaries_swept);
  return result;
}

}  // namespace nibble::cache
