// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a Context refers to.
#pragma once

#include "nibble/context.hpp"
#include "runtime/driver/current_context.h"
#include "runtime/driver/device.h"
#include "runtime/jit/kernel_pool.h"
#include "runtime/jit/tuning.h"
#include "runtime/jit/user_source.h"

namespace nibble {

struct ContextState {
  ContextState(OpenedDevice opened, PoolOptions pool_options, Log message_log)
      : device(std::move(opened)), log(std::move(message_log)), pool(std::move(pool_options)) {}

  OpenedDevice device;
  Log log;
  KernelPool pool;
  UserSources user_sources;
  Tuning tuning;  // changed only before the context is used, and by a Trial

  // kNoDevice for a context that only compiles.
  Status require_device() const;
  const DriverApi& driver() const { return *device.driver; }
};

}  // namespace nibble
