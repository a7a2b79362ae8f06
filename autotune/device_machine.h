// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The machine of real launches: a context, a family on trial in it, a workload.
#pragma once

#include <memory>

#include "autotune/tune.h"
#include "autotune/workload.h"
#include "runtime/trial.h"

namespace nibble::autotune {

class DeviceMachine final : public Machine {
 public:
  // Launches once, with the family's own choice. The context must have no other user, and no tuning
  // table if it is the families' choice that is to be beaten.
  static Result<std::unique_ptr<DeviceMachine>> create(const Context& context,
                                                       const Problem& problem);

  const KernelSpec& chosen() const { return default_; }  // by the family
  int64_t bytes() const { return workload_.bytes(); }    // that a launch reads and writes
  int64_t sets() const { return workload_.sets(); }
  cache::TuningRecord record(const KernelSpec& spec) const { return trial_->record(spec); }

  size_t parallel() const override;
  std::vector<Status> prepare(std::span<const KernelSpec> specs) override;
  Result<Outputs> outputs(const KernelSpec& spec, uint8_t poison) override;
  Result<Outputs> trusted_outputs(uint8_t poison) override;
  bool has_times() const override { return !emulated_; }
  Result<double> seconds(const KernelSpec& spec) override;
  double now() const override;

 private:
  DeviceMachine(const Context& context, std::unique_ptr<Trial> trial, Workload workload)
      : trial_(std::move(trial)),
        workload_(std::move(workload)),
        emulated_(context.device().emulated) {}
  Result<double> batch(int64_t launches);
  Status set_batch();

  std::unique_ptr<Trial> trial_;
  Workload workload_;
  bool emulated_;
  KernelSpec default_;
  int64_t batch_ = 0;  // launches of a sample; 0: not yet known
  int64_t next_set_ = 0;
};

}  // namespace nibble::autotune
