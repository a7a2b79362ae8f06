// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Finds the device that the options ask for: a GPU, an emulated GPU, or none.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "runtime/driver/driver_api.h"
#include "runtime/jit/arch.h"

namespace nibble {

struct OpenedDevice {
  DeviceInfo info;
  const Arch* arch = nullptr;
  std::shared_ptr<const DriverApi> driver;  // null: compile only
  CUcontext context = nullptr;              // the primary context, retained for good
};

using Log = std::function<void(LogLevel, std::string_view)>;

// kInvalidArgument for a device string that is none, kNoDevice, kLibraryMissing, kLibraryTooOld,
// kUnsupported for a GPU that no target of nibble fits.
Result<OpenedDevice> open_device(const Options& options, const Log& log);

}  // namespace nibble
