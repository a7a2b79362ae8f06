// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a tuner needs of the inside of the library: to run requests with other values of a family's
// tuned constants, and to time them. Exported for that; not installed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nibble/context.hpp"
#include "nibble/inspect.hpp"
#include "runtime/jit/tuning.h"

namespace [[gnu::visibility("default")]] nibble {

// From its start to its end the launches of one family in one context are on trial: they ask it for
// their configuration instead of the tuning table. Meanwhile no other thread may launch there.
class Trial {
 public:
  // kInvalidArgument names the families where there is none of that name.
  static Result<std::unique_ptr<Trial>> start(const Context& context, std::string_view family);
  ~Trial();
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  // The last launch: the family's own choice for it; no family before there is a launch.
  const KernelSpec& asked() const { return state_.asked; }
  // Later launches of the problem that `spec` is for use it; no family: the family's own choice.
  void use(const KernelSpec& spec) { state_.answer = spec; }

  // Compiles and loads, unless that is done. Thread-safe.
  Result<KernelResources> prepare(const KernelSpec& spec) const;
  // Seconds on the device from the first to the last of what `work` enqueues on the default stream.
  Result<double> seconds(const std::function<Status()>& work) const;
  // Bytes of device memory that are free.
  Result<int64_t> free_bytes() const;

  // The record of the last launch with this configuration and no evidence.
  cache::TuningRecord record(const KernelSpec& spec) const;

 private:
  explicit Trial(Context context) : context_(std::move(context)) {}

  Context context_;
  TrialState state_;
};

}  // namespace nibble
