// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/gemm.hpp"

#include "nibble/inspect.hpp"
#include "runtime/families/gemm_config.h"
#include "runtime/families/gemm_launch.h"
#include "runtime/families/gemm_problem.h"
#include "runtime/families/gemm_spec.h"
#include "runtime/families/gemm_trusted.h"
#include "runtime/result.h"

namespace nibble {

namespace {

// k = 0 leaves nothing for tensor cores: D = epilogue(beta * C).
bool is_trusted(const GemmRequest& problem, const Arch& arch) {
  if (problem.kernel == GemmKernel::kTrusted || problem.k == 0) return true;
  return problem.kernel == GemmKernel::kAuto && (arch.features & kTcgen05) == 0;
}

// Whether what the tuning table has for sizes of this class is legal for these, and sums in the
// model's order: no table changes bits.
bool may_replace(const KernelSpec& spec, const KernelSpec& tuned, const GemmShape& shape,
                 const GemmDevice& device) {
  const int split = spec.values[kGemmSplit];
  if (tuned == spec || tuned.values[kGemmSplit] != split) return false;
  if (split > 1 && tuned.values[kGemmTileK] != spec.values[kGemmTileK]) return false;
  return legal(shape, config_of(tuned), device);
}

Result<KernelSpec> spec_of(const ContextState& state, const GemmRequest& problem) {
  const Arch& arch = *state.device.arch;
  if (is_trusted(problem, arch)) return gemm_trusted_spec(problem, arch);
  if ((arch.features & kTcgen05) == 0) {
    return Status(Code::kUnsupported,
                  "kernel = tensor: no gemm kernel exists for the tensor cores of " +
                      std::string(arch.name) + "; GemmKernel::kTrusted runs on it");
  }
  const GemmShape shape = gemm_shape(problem);
  const GemmDevice device = gemm_device(state.device.info, arch);
  NIBBLE_TRY_ASSIGN(const GemmConfig config, choose_config(shape, problem.config, device));
  const KernelSpec spec = gemm_spec(problem, config, arch);
  if (!asks_nothing(problem.config)) return spec;
  const KernelSpec tuned = state.tuning.choose(spec, {problem.m, problem.n, problem.k});
  return may_replace(spec, tuned, shape, device) ? tuned : spec;
}

Status launch(const ContextState& state, const Kernel& kernel, const GemmRequest& problem) {
  if (kernel.spec.family == &kGemmTrustedFamily) return launch_gemm_trusted(state, kernel, problem);
  return launch_gemm(state, kernel, problem);
}

}  // namespace

Status gemm(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Status {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    if (is_empty(problem)) return {};
    ContextState& state = context.state();
    NIBBLE_TRY_ASSIGN(const KernelSpec spec, spec_of(state, problem));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel, state.pool.get(spec, problem.stream));
    return launch(state, *kernel, problem);
  });
}

Result<int64_t> gemm_workspace_bytes(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Result<int64_t> {
    GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    const ContextState& state = context.state();
    const Arch& arch = *state.device.arch;
    if (is_empty(problem) || is_trusted(problem, arch)) return int64_t{0};
    problem.workspace_bytes = int64_t{1} << 40;
    const GemmShape shape = gemm_shape(problem);
    NIBBLE_TRY_ASSIGN(const GemmConfig config,
                      choose_config(shape, problem.config, gemm_device(state.device.info, arch)));
    return workspace_bytes(shape, config);
  });
}

struct GemmPlan::State {
  Context context;
  const Kernel* kernel = nullptr;
};

Result<GemmPlan> GemmPlan::create(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Result<GemmPlan> {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    NIBBLE_TRY_ASSIGN(const KernelSpec spec, spec_of(state, problem));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel, state.pool.get(spec, problem.stream));
    GemmPlan plan;
    plan.state_ = std::make_shared<const State>(State{context, kernel});
    return plan;
  });
}

Status GemmPlan::launch(const GemmRequest& request) const {
  return guarded([&]() -> Status {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    if (is_empty(problem)) return {};
    const ContextState& state = state_->context.state();
    NIBBLE_TRY_ASSIGN(const KernelSpec spec, spec_of(state, problem));
    if (spec != state_->kernel->spec) {
      return {Code::kInvalidArgument, "the plan is for " + state_->kernel->label +
                                          ", the request needs " + nibble::label(spec)};
    }
    return nibble::launch(state, *state_->kernel, problem);
  });
}

std::string_view GemmPlan::label() const { return state_->kernel->label; }

Result<Inspection> inspect(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    NIBBLE_TRY_ASSIGN(const KernelSpec spec, spec_of(state, problem));
    return state.pool.inspect(spec);
  });
}

}  // namespace nibble
