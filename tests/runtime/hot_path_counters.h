// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counts what a hot path must not do. Replaces operator new and pthread_mutex_lock in the program
// that links it.
#pragma once

#include <cstdint>

namespace nibble::test {

struct HotPathCounts {
  uint64_t allocations = 0;
  uint64_t locks = 0;
};

// Counts on this thread from construction to stop().
class HotPathCounter {
 public:
  HotPathCounter();
  HotPathCounts stop();
};

}  // namespace nibble::test
