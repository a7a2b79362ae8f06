// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/quantize.hpp"

#include "nibble/inspect.hpp"
#include "runtime/families/amax.h"
#include "runtime/families/quantize.h"
#include "runtime/result.h"
#include "templates/params/quantize.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/quantize.cuh", kFp8Conversion}};

QuantizeRequest with_strides(QuantizeRequest request) {
  request.x = nibble::with_strides(request.x);
  request.y = nibble::with_strides(request.y, request.x.columns);
  return request;
}

Status check(const QuantizeRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.x, "x", pointers));
  return check_nvfp4(request.y, request.x.rows, request.x.columns, "y", pointers);
}

KernelSpec quantize_spec(const ContextState& state, const QuantizeRequest& request) {
  KernelSpec spec = tile_spec(kQuantizeFamily, *state.device.arch, request.x);
  spec.values[kScaleLayout] = static_cast<int>(request.y.scale_layout);
  return state.tuning.choose(spec, {request.x.rows, request.x.columns});
}

// The kernels of one request; amax is null where it is given.
struct Kernels {
  const Kernel* amax = nullptr;
  const Kernel* quantize = nullptr;
};

Result<Kernels> get_kernels(ContextState& state, const QuantizeRequest& request) {
  Kernels kernels;
  NIBBLE_TRY_ASSIGN(kernels.quantize,
                    state.pool.get(quantize_spec(state, request), request.stream));
  if (request.amax_given) return kernels;
  NIBBLE_TRY_ASSIGN(kernels.amax, state.pool.get(amax_spec(state, request.x), request.stream));
  return kernels;
}

Status launch(const ContextState& state, const Kernels& kernels, const QuantizeRequest& request) {
  const Matrix& x = request.x;
  const Nvfp4Matrix& y = request.y;
  if (kernels.amax != nullptr) {
    NIBBLE_TRY(launch_amax(state, *kernels.amax, x, y.amax, request.stream));
  }
  const QuantizeParams params{reinterpret_cast<const void*>(x.data),
                              reinterpret_cast<const float*>(y.amax),
                              reinterpret_cast<unsigned char*>(y.codes),
                              reinterpret_cast<unsigned char*>(y.scales),
                              x.rows,
                              x.columns,
                              x.row_stride,
                              y.code_row_stride,
                              y.scale_row_stride};
  // The padding of the 128x4 layout is written too.
  const bool padded = y.scale_layout == ScaleLayout::k128x4;
  const int64_t blocks = (x.columns + kBlockSize - 1) / kBlockSize;
  const int64_t rows = padded ? (x.rows + 127) / 128 * 128 : x.rows;
  const Grid grid = tile_grid(kernels.quantize->spec, rows, padded ? (blocks + 3) / 4 * 4 : blocks);
  return launch_tiles(state, *kernels.quantize, grid, &params, request.stream);
}

}  // namespace

const Family kQuantizeFamily{"quantize", "QuantizeParams", nvfp4_constants(ElementType::kInput),
                             kVariants,  nullptr,          tile_legal};

Status quantize(Context& context, const QuantizeRequest& request) {
  return guarded([&]() -> Status {
    const QuantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
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
    NIBBLE_TRY(check(problem, Pointers::kOptional));
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
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    const KernelSpec spec = quantize_spec(state, problem);
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
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(quantize_spec(state, problem));
  });
}

}  // namespace nibble
