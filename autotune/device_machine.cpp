// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/device_machine.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "runtime/result.h"

namespace nibble::autotune {

namespace {

// A sample takes this long or more: an event has a resolution of half a microsecond.
constexpr double kLeastSampleSeconds = 1e-3;
constexpr int64_t kMostLaunches = 4096;
constexpr int kWarmUpLaunches = 3;
constexpr size_t kMostCompilers = 16;  // NVRTC takes some 100 MB each

}  // namespace

Result<std::unique_ptr<DeviceMachine>> DeviceMachine::create(const Context& context,
                                                             const Problem& problem) {
  NIBBLE_TRY_ASSIGN(std::unique_ptr<Trial> trial, Trial::start(context, problem.family));
  NIBBLE_TRY_ASSIGN(const int64_t free_bytes, trial->free_bytes());
  NIBBLE_TRY_ASSIGN(Workload workload, Workload::create(context, problem, free_bytes));
  std::unique_ptr<DeviceMachine> machine(
      new DeviceMachine(context, std::move(trial), std::move(workload)));
  NIBBLE_TRY(machine->workload_.launch(0));
  machine->default_ = machine->trial_->asked();
  if (machine->default_.family == nullptr) {
    return Status(Code::kInternal, problem.family + " asks for no configuration");
  }
  return machine;
}

size_t DeviceMachine::parallel() const {
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMostCompilers);
}

std::vector<Status> DeviceMachine::prepare(std::span<const KernelSpec> specs) {
  std::vector<Status> statuses(specs.size());
  std::vector<std::thread> workers;
  for (size_t i = 0; i < specs.size(); ++i) {
    workers.emplace_back([&, i] { statuses[i] = trial_->prepare(specs[i]).status(); });
  }
  for (std::thread& worker : workers) worker.join();
  return statuses;
}

Result<Outputs> DeviceMachine::outputs(const KernelSpec& spec, uint8_t poison) {
  trial_->use(spec);
  return workload_.outputs(poison);
}

Result<Outputs> DeviceMachine::trusted_outputs(uint8_t poison) {
  return workload_.outputs(poison, KernelKind::kTrusted);
}

Result<double> DeviceMachine::batch(int64_t launches) {
  return trial_->seconds([&]() -> Status {
    for (int64_t i = 0; i < launches; ++i) NIBBLE_TRY(workload_.launch(next_set_++));
    return {};
  });
}

// The same for all, so that each goes through the same sets.
Status DeviceMachine::set_batch() {
  for (int64_t launches = 1;; launches *= 2) {
    NIBBLE_TRY_ASSIGN(const double seconds, batch(launches));
    if (seconds < kLeastSampleSeconds && launches < kMostLaunches) continue;
    batch_ = launches;
    return {};
  }
}

Result<double> DeviceMachine::seconds(const KernelSpec& spec) {
  trial_->use(spec);
  NIBBLE_TRY(batch(kWarmUpLaunches).status());
  if (batch_ == 0) NIBBLE_TRY(set_batch());
  NIBBLE_TRY_ASSIGN(const double seconds, batch(batch_));
  return seconds / static_cast<double>(batch_);
}

double DeviceMachine::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace nibble::autotune
