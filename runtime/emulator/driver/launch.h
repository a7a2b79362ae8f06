// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Launches: the checks of the driver, the parameter block, and what a fault becomes.
#pragma once

#include <memory>
#include <vector>

#include "runtime/emulator/driver/driver.h"

namespace nibble::emulator::driver {

struct LaunchRequest {
  Dim3 grid{1, 1, 1};
  Dim3 block{1, 1, 1};
  Dim3 cluster{0, 0, 0};  // 0: not asked for
  uint32_t dynamic_shared = 0;
  bool cooperative = false;
  std::vector<std::shared_ptr<Event>> events;  // recorded when the kernel is done
};

// Blocks of `threads` threads that fit on a multiprocessor at once.
int blocks_per_multiprocessor(const LoadedFunction& function, uint32_t threads,
                              uint64_t dynamic_shared);

// Attributes of an extended launch; CUDA_ERROR_INVALID_VALUE for ones that do not exist.
CUresult read_attributes(Driver& driver, const CUlaunchConfig& config, LaunchRequest& request);

// CUDA_SUCCESS where the kernel can be launched so; completes request.cluster.
CUresult check_launch(const LoadedFunction& function, LaunchRequest& request);

// Submits the kernel to `stream`. Parameters are read before it returns.
CUresult launch(const std::shared_ptr<LoadedFunction>& function, LaunchRequest request,
                Stream& stream, void** parameters, void** extra);

}  // namespace nibble::emulator::driver
