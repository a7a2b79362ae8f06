// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/trial.h"

#include "runtime/context_state.h"
#include "runtime/result.h"

namespace nibble {

namespace {

// Two events around some work.
class Stopwatch {
 public:
  explicit Stopwatch(const DriverApi& driver) : driver_(driver) {}
  ~Stopwatch() {
    for (CUevent event : {start_, stop_}) {
      if (event != nullptr) driver_.cuEventDestroy(event);
    }
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  Result<double> seconds(const std::function<Status()>& work) {
    NIBBLE_TRY(driver_.check(driver_.cuEventCreate(&start_, 0), "cuEventCreate"));
    NIBBLE_TRY(driver_.check(driver_.cuEventCreate(&stop_, 0), "cuEventCreate"));
    NIBBLE_TRY(driver_.check(driver_.cuEventRecord(start_, nullptr), "cuEventRecord"));
    NIBBLE_TRY(work());
    NIBBLE_TRY(driver_.check(driver_.cuEventRecord(stop_, nullptr), "cuEventRecord"));
    NIBBLE_TRY(driver_.check(driver_.cuEventSynchronize(stop_), "cuEventSynchronize"));
    float milliseconds = 0;
    NIBBLE_TRY(driver_.check(driver_.cuEventElapsedTime(&milliseconds, start_, stop_),
                             "cuEventElapsedTime"));
    return milliseconds * 1e-3;
  }

 private:
  const DriverApi& driver_;
  CUevent start_ = nullptr;
  CUevent stop_ = nullptr;
};

std::string family_names() {
  std::string names;
  for (const Family* family : all_families()) {
    names += (names.empty() ? "" : ", ") + std::string(family->name);
  }
  return names;
}

}  // namespace

Result<std::unique_ptr<Trial>> Trial::start(const Context& context, std::string_view family) {
  return guarded([&]() -> Result<std::unique_ptr<Trial>> {
    NIBBLE_TRY(context.state().require_device());
    std::unique_ptr<Trial> trial(new Trial(context));
    for (const Family* one : all_families()) {
      if (one->name == family) trial->state_.family = one;
    }
    if (trial->state_.family == nullptr) {
      return Status(Code::kInvalidArgument,
                    "family '" + std::string(family) + "' is not one of " + family_names());
    }
    context.state().tuning.set_trial(&trial->state_);
    return trial;
  });
}

Trial::~Trial() { context_.state().tuning.set_trial(nullptr); }

Result<KernelResources> Trial::prepare(const KernelSpec& spec) const {
  return guarded([&]() -> Result<KernelResources> {
    NIBBLE_TRY_ASSIGN(const Kernel* kernel, context_.state().pool.get(spec, nullptr));
    return kernel->resources;
  });
}

Result<double> Trial::seconds(const std::function<Status()>& work) const {
  return guarded([&]() -> Result<double> {
    const ContextState& state = context_.state();
    const CurrentContext current(state.driver(), state.device.context);
    return Stopwatch(state.driver()).seconds(work);
  });
}

Result<int64_t> Trial::free_bytes() const {
  const ContextState& state = context_.state();
  const CurrentContext current(state.driver(), state.device.context);
  size_t free = 0;
  size_t total = 0;
  NIBBLE_TRY(state.driver().check(state.driver().cuMemGetInfo(&free, &total), "cuMemGetInfo"));
  return static_cast<int64_t>(free);
}

cache::TuningRecord Trial::record(const KernelSpec& spec) const {
  cache::TuningRecord record;
  record.gpu = gpu_text(context_.device());
  record.problem = problem_text(state_.asked, state_.extents);
  record.templates = context_.state().pool.template_digest(spec);
  record.config = config_text(spec);
  return record;
}

}  // namespace nibble
