// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The clusters of a launch that have not begun. Workers take them to run them, kernels to do their
// work themselves (clusterlaunchcontrol). Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator {

class PendingClusters {
 public:
  explicit PendingClusters(const Dim3& clusters)
      : clusters_(clusters), count_(uint64_t{clusters[0]} * clusters[1] * clusters[2]) {}

  uint64_t count() const { return count_; }  // of all
  // The next, in the order of the grid. None: all have been taken.
  std::optional<Dim3> take() {
    const uint64_t linear = next_.fetch_add(1, std::memory_order_relaxed);
    if (linear >= count_) return std::nullopt;
    return Dim3{static_cast<uint32_t>(linear % clusters_[0]),
                static_cast<uint32_t>(linear / clusters_[0] % clusters_[1]),
                static_cast<uint32_t>(linear / clusters_[0] / clusters_[1])};
  }

 private:
  Dim3 clusters_;
  uint64_t count_;
  std::atomic<uint64_t> next_{0};
};

}  // namespace nibble::emulator
