// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// An analytic model of a kernel that works in tiles: of two ways to tile a matrix, the one that it
// gives less time is the default. What a launch costs at least, and the memory's share, are not in
// it, for they are the same for all.
#pragma once

#include <algorithm>

#include "nibble/context.hpp"

namespace nibble {

// Of the threads of a kernel. Times are in units of what an element of its plainest kind takes.
struct ThreadCost {
  double at_once;  // threads that a multiprocessor runs without one slowing another down
  double start;    // what a thread takes beside its elements
  double element;  // what each of them takes
};

// For so many: that any launch fills it, as one of the tensors of a batch does with the others.
constexpr int kFilledGpu = 0;

// max(1, threads / (at_once x multiprocessors)) x (start + elements x element); of a filled GPU
// what a multiprocessor would take.
inline double launch_time(double threads, int elements, const ThreadCost& cost,
                          int multiprocessors) {
  const bool filled = multiprocessors == kFilledGpu;
  const double turns = threads / (filled ? cost.at_once : cost.at_once * multiprocessors);
  return (filled ? turns : std::max(1.0, turns)) * (cost.start + elements * cost.element);
}

// Of the device; of a B200 where kernels are compiled for a device that is not here.
inline int multiprocessors_of(const DeviceInfo& device) {
  constexpr int kB200Multiprocessors = 148;
  return device.multiprocessors > 0 ? device.multiprocessors : kB200Multiprocessors;
}

}  // namespace nibble
