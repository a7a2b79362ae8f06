// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/tile_model.h"

#include <algorithm>

namespace nibble {

double launch_time(int64_t threads, int elements, const ThreadCost& cost, int multiprocessors) {
  const double turns = static_cast<double>(threads) / (cost.at_once * multiprocessors);
  return std::max(1.0, turns) * (cost.start + elements * cost.element);
}

int multiprocessors_of(const DeviceInfo& device) {
  constexpr int kB200Multiprocessors = 148;
  return device.multiprocessors > 0 ? device.multiprocessors : kB200Multiprocessors;
}

}  // namespace nibble
