// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// An analytic model of a kernel that works in tiles: of two ways to tile a matrix, the one that it
// gives less time is the default. What a launch costs at least, and the memory's share, are not in
// it, for they are the same for all.
#pragma once

#include <cstdint>

#include "nibble/context.hpp"

namespace nibble {

// Of the threads of a kernel. Times are in units of what an element of its plainest kind takes.
struct ThreadCost {
  double at_once;  // threads that a multiprocessor runs without one slowing another down
  double start;    // what a thread takes beside its elements
  double element;  // what each of them takes
};

// max(1, threads / (at_once x multiprocessors)) x (start + elements x element)
double launch_time(int64_t threads, int elements, const ThreadCost& cost, int multiprocessors);

// Of the device; of a B200 where kernels are compiled for a device that is not here.
int multiprocessors_of(const DeviceInfo& device);

}  // namespace nibble
