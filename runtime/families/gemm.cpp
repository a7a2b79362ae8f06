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

// A split k sums in another order; its parts are whole stages of tile_k.
bool sums_alike(const KernelSpec& a, const KernelSpec& b) {
  const int split = a.values[kGemmSplit];
  return b.values[kGemmSplit] == split &&
         (split == 1 || b.values[kGemmTileK] == a.values[kGemmTileK]);
}

// What the tuning table has for sizes of this class, where it is legal for these and sums as the
// model's choice does: no table changes bits.
Result<KernelSpec> tuned_spec(const ContextState& state, const GemmRequest& problem,
                              const KernelSpec& spec, const GemmShape& shape,
                              const GemmDevice& device) {
  const KernelSpec tuned = state.tuning.choose(spec, {problem.m, problem.n, problem.k});
  if (tuned == spec) return spec;
  const GemmConfig config = config_of(tuned);
  const bool is_legal = legal(shape, config, device);
  if (is_legal && sums_alike(spec, tuned)) return tuned;
  if (!state.tuning.on_trial(kGemmFamily)) return spec;
  return Status(Code::kInvalidArgument,
                is_legal ? "split, and with it tile_k: must be the model's, the bits follow"
                         : illegal(shape, config, device));
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
  return tuned_spec(state, problem, spec, shape, device);
}

Status launch(const ContextState& state, const Kernel& kernel, const GemmRequest& problem,
              GemmMaps* maps) {
  if (kernel.spec.family == &kGemmTrustedFamily) return launch_gemm_trusted(state, kernel, problem);
  return launch_gemm(state, kernel, problem, maps);
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
    return launch(state, *kernel, problem, nullptr);
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
  State(const Context& of, const Kernel* made) : context(of), kernel(made) {}

  Context context;
  const Kernel* kernel;
  mutable GemmMaps maps;
};

Result<GemmPlan> GemmPlan::create(Context& context, const GemmRequest& request) {
  return guarded([&]() -> Result<GemmPlan> {
    const GemmRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    NIBBLE_TRY_ASSIGN(const KernelSpec spec, spec_of(state, problem));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel, state.pool.get(spec, problem.stream));
    GemmPlan plan;
    plan.state_ = std::make_shared<const State>(context, kernel);
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
    return nibble::launch(state, *state_->kernel, problem, &state_->maps);
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
