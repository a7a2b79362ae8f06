// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/quantize.hpp"

#include <algorithm>

#include "nibble/inspect.hpp"
#include "runtime/families/amax.h"
#include "runtime/families/quantize.h"
#include "runtime/families/quantize_check.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile_model.h"
#include "runtime/families/trusted.h"
#include "runtime/result.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/quantize.cuh", kFp8Conversion}};

// The tuned constants are those of the tuning table where it has any.
KernelSpec tuned_spec(const ContextState& state, const QuantizeRequest& request) {
  return choose_spec(state,
                     quantize_spec(kQuantizeFamily, request, *state.device.arch,
                                   multiprocessors_of(state.device.info)),
                     {request.x.rows, request.x.columns}, request.kernel);
}

// Of the kernel that finds the amax to scale by.
KernelSpec amax_spec_of(const ContextState& state, const QuantizeRequest& request) {
  if (!has_transform(request)) return amax_spec(state, request.x, request.kernel);
  const KernelSpec spec = transformed_amax_spec(kQuantizeFamily, request, *state.device.arch,
                                                multiprocessors_of(state.device.info));
  return request.kernel == KernelKind::kFast ? spec : trusted_spec(spec);
}

// The kernels of one request; amax is null where there is none to find.
struct Kernels {
  const Kernel* amax = nullptr;
  const Kernel* quantize = nullptr;
};

Result<Kernels> get_kernels(ContextState& state, const QuantizeRequest& request) {
  Kernels kernels;
  NIBBLE_TRY_ASSIGN(kernels.quantize, state.pool.get(tuned_spec(state, request), request.stream));
  if (request.amax_given || request.format != QuantizedFormat::kNvfp4) return kernels;
  NIBBLE_TRY_ASSIGN(kernels.amax, state.pool.get(amax_spec_of(state, request), request.stream));
  return kernels;
}

QuantizedCopy copy_of(const Nvfp4Matrix& y, DevicePointer new_amax) {
  return {reinterpret_cast<const float*>(y.amax),
          reinterpret_cast<float*>(new_amax),
          reinterpret_cast<unsigned char*>(y.codes),
          reinterpret_cast<unsigned char*>(y.scales),
          y.code_row_stride,
          y.scale_row_stride};
}

Status launch_kernel(const ContextState& state, const Kernel& kernel,
                     const QuantizeRequest& request, const QuantizeParams& params) {
  const Grid grid = quantize_grid(kernel.spec, request.x.rows, request.x.columns);
  return launch_tiles(state, kernel, grid, &params, request.stream);
}

// The amax of what the copies are made of.
Status launch_transformed_amax(const ContextState& state, const Kernel& kernel,
                               const QuantizeRequest& request) {
  const QuantizeParams params = transformed_amax_params(request);
  for (const QuantizedCopy& copy : params.copies) {
    if (copy.new_amax == nullptr) continue;
    const auto amax = reinterpret_cast<DevicePointer>(copy.new_amax);
    NIBBLE_TRY(clear_amax(state, amax, 1, request.stream));
  }
  return launch_kernel(state, kernel, request, params);
}

Status launch(const ContextState& state, const Kernels& kernels, const QuantizeRequest& request) {
  if (kernels.amax != nullptr) {
    if (has_transform(request)) {
      NIBBLE_TRY(launch_transformed_amax(state, *kernels.amax, request));
    } else {
      const DevicePointer amax = makes_rows(request) ? request.y.amax : request.y_transposed.amax;
      NIBBLE_TRY(launch_amax(state, *kernels.amax, request.x, amax, request.stream));
    }
  }
  return launch_kernel(state, *kernels.quantize, request, quantize_params(request));
}

}  // namespace

QuantizeParams quantize_params(const QuantizeRequest& request) {
  const Matrix& x = request.x;
  QuantizeParams params{};
  params.x = reinterpret_cast<const void*>(x.data);
  if (makes_rows(request)) params.copies[0] = copy_of(request.y, request.recorded_amax);
  if (makes_transposed(request)) {
    params.copies[1] = copy_of(request.y_transposed, request.transposed_recorded_amax);
  }
  params.rows = x.rows;
  params.columns = x.columns;
  params.row_stride = x.row_stride;
  std::ranges::copy(request.transform.signs, params.signs[0]);
  std::ranges::copy(request.transposed_transform.signs, params.signs[1]);
  auto low = static_cast<uint32_t>(request.seed);
  auto high = static_cast<uint32_t>(request.seed >> 32);
  for (auto& keys : params.keys) {  // Philox raises its key each round by these
    keys[0] = low;
    keys[1] = high;
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
  return params;
}

QuantizeParams transformed_amax_params(const QuantizeRequest& request) {
  QuantizeParams params = quantize_params(request);
  params.copies[0].new_amax =
      reinterpret_cast<float*>(makes_rows(request) ? request.y.amax : DevicePointer{});
  params.copies[1].new_amax = reinterpret_cast<float*>(
      makes_transposed(request) ? request.y_transposed.amax : DevicePointer{});
  return params;
}

const Family kQuantizeFamily{.name = "quantize",
                             .params_type = "QuantizeParams",
                             .constants = quantize_constants(),
                             .variants = kVariants,
                             .dynamic_shared = quantize_dynamic_shared,
                             .legal = quantize_legal,
                             .launch_bounds =
                                 "nibble::QuantizeBounds<Config>::kThreads, "
                                 "nibble::QuantizeBounds<Config>::kBlocks"};

Status quantize(Context& context, const QuantizeRequest& request) {
  return guarded([&]() -> Status {
    const QuantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_quantize(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernels kernels, get_kernels(context.state(), problem));
    return launch(context.state(), kernels, problem);
  });
}

struct QuantizePlan::State {
  Context context;
  QuantizeRequest problem;  // what launches must agree with
  Kernels kernels;
};

Result<QuantizePlan> QuantizePlan::create(Context& context, const QuantizeRequest& request) {
  return guarded([&]() -> Result<QuantizePlan> {
    const QuantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_quantize(problem, Pointers::kOptional));
    NIBBLE_TRY_ASSIGN(const Kernels kernels, get_kernels(context.state(), problem));
    QuantizePlan plan;
    plan.state_ = std::make_shared<const State>(State{context, problem, kernels});
    return plan;
  });
}

Status QuantizePlan::launch(const QuantizeRequest& request) const {
  return guarded([&]() -> Status {
    const State& plan = *state_;
    const ContextState& state = plan.context.state();
    const QuantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_quantize(problem, Pointers::kRequired));
    const KernelSpec spec = tuned_spec(state, problem);
    if (spec != plan.kernels.quantize->spec || problem.amax_given != plan.problem.amax_given) {
      return {Code::kInvalidArgument, "the plan is for " + plan.kernels.quantize->label +
                                          ", the request needs " + label(spec) +
                                          (problem.amax_given ? " with a given amax" : "")};
    }
    return nibble::launch(state, plan.kernels, problem);
  });
}

Result<Inspection> inspect(Context& context, const QuantizeRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const QuantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_quantize(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(tuned_spec(state, problem));
  });
}

}  // namespace nibble
