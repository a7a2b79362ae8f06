// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the environment sets of the emulator, read once.
//   NIBBLE_EMULATOR_DEVICES   targets of the devices, comma-separated; ordinals in that order
//   NIBBLE_EMULATOR_MULTIPROCESSORS  of each device; 0 or unset: as many as the GPU has. Several,
//                             comma-separated: of each in turn, the last of all that follow
//   NIBBLE_EMULATOR_THREADS   host threads that run blocks; 0 or unset: one a core
//   NIBBLE_EMULATOR_CHECK     comma-separated: "order" ends launches with races and missing waits,
//                             which are only reported else, "no-order" does not look for them,
//                             "uninitialized" reports reads of bytes that were never written,
//                             "tensor-fences" asks for every tcgen05.fence, "tensor-waits" for
//                             tcgen05.wait::ld before the first use of what was loaded
//   NIBBLE_EMULATOR_SEED      draws the order of warps and of asynchronous work; 0: plain turns
//   NIBBLE_EMULATOR_SEEDS     runs each launch with so many seeds, from NIBBLE_EMULATOR_SEED on
//   NIBBLE_EMULATOR_LIMIT     warp instructions after which a launch ends with a fault; 0: none
//   NIBBLE_EMULATOR_COUNTERS  1: prints what kernels did, and seconds, at exit; the name of a .json
//                             file: writes it there
//   NIBBLE_EMULATOR_TRACE     a .json file for a timeline
//   NIBBLE_EMULATOR_QUIET     1: prints no reports
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "runtime/emulator/machine/device.h"

namespace nibble::emulator::driver {

struct EnvironmentSettings {
  std::vector<const DeviceModel*> devices;
  std::deque<DeviceModel> models;  // of devices that are unlike the GPU: their addresses last
  Settings machine;
  std::string counters_file, trace_file;  // empty: none
  bool quiet = false;
  std::string error;  // names the variable and the value that is wrong; empty: all is well
};

// Thread-safe; the environment is read by the first call.
const EnvironmentSettings& settings();

}  // namespace nibble::emulator::driver
