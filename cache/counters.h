// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a store has done, as plain atomics: cheap enough to be always on, and what tests assert.
#pragma once

#include <atomic>
#include <cstdint>

namespace nibble::cache {

// The counters at one moment. Every get and every get_or_create is one hit or one miss at first;
// the reasons of a miss other than absence are counted beside it. A get_or_create that missed looks
// again once it has the lock, and that look counts only where it hits.
struct CounterSnapshot {
  std::uint64_t hits = 0;               // lookups answered by a verified entry on disk
  std::uint64_t misses = 0;             // all other lookups
  std::uint64_t corrupt = 0;            // misses: there was an entry, and it failed verification
  std::uint64_t collisions = 0;         // misses: a valid entry of another key had the name
  std::uint64_t read_errors = 0;        // misses: the file could not be opened or read
  std::uint64_t puts = 0;               // entries published
  std::uint64_t put_failures = 0;       // entries not published because of an error
  std::uint64_t creates = 0;            // calls of a `create` function
  std::uint64_t create_failures = 0;    // of these, the ones that returned nothing or threw
  std::uint64_t flight_waits = 0;       // waits for another thread's create
  std::uint64_t flight_timeouts = 0;    // of these, the ones given up at the deadline
  std::uint64_t lock_waits = 0;         // locks found held by another process or thread
  std::uint64_t lock_timeouts = 0;      // of these, the ones given up at the deadline
  std::uint64_t locks_unavailable = 0;  // locks the system refused: work went on without
  std::uint64_t evictions = 0;          // entries removed to keep the size limit
  std::uint64_t temporaries_swept = 0;  // temporary files of dead writers removed
};

// Thread-safe; relaxed order, so related counters may be read a moment apart.
struct Counters {
  using Counter = std::atomic<std::uint64_t>;
  Counter hits{0}, misses{0}, corrupt{0}, collisions{0}, read_errors{0};
  Counter puts{0}, put_failures{0}, creates{0}, create_failures{0};
  Counter flight_waits{0}, flight_timeouts{0};
  Counter lock_waits{0}, lock_timeouts{0}, locks_unavailable{0};
  Counter evictions{0}, temporaries_swept{0};

  static void increment(Counter& counter) { counter.fetch_add(1, std::memory_order_relaxed); }
  CounterSnapshot snapshot() const;
};

}  // namespace nibble::cache
