// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Makes a CUDA context current on this thread for a scope, and puts back the one that was.
#pragma once

#include "runtime/driver/driver_api.h"

namespace nibble {

class CurrentContext {
 public:
  CurrentContext(const DriverApi& driver, CUcontext context) : driver_(driver) {
    driver.cuCtxGetCurrent(&previous_);
    changed_ = previous_ != context;
    if (changed_) driver.cuCtxSetCurrent(context);
  }
  ~CurrentContext() {
    if (changed_ && previous_ != nullptr) driver_.cuCtxSetCurrent(previous_);
  }
  CurrentContext(const CurrentContext&) = delete;
  CurrentContext& operator=(const CurrentContext&) = delete;

 private:
  const DriverApi& driver_;
  CUcontext previous_ = nullptr;
  bool changed_ = false;
};

}  // namespace nibble
