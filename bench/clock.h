// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Clocks in seconds. CPU clocks do not advance while the machine runs somebody else.
#pragma once

#include <ctime>

namespace nibble::bench {

inline double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Times {
  double wall = 0;
  double process = 0;  // CPU time of all threads
  double thread = 0;   // CPU time of the calling thread

  static Times now() {
    return {seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_PROCESS_CPUTIME_ID),
            seconds_of(CLOCK_THREAD_CPUTIME_ID)};
  }
  // From then to now.
  static Times since(const Times& then) {
    const Times end = now();
    return {end.wall - then.wall, end.process - then.process, end.thread - then.thread};
  }
};

}  // namespace nibble::bench
