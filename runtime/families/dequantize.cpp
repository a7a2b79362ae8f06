// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/dequantize.hpp"

#include <algorithm>

#include "nibble/inspect.hpp"
#include "runtime/families/dequantize.h"
#include "runtime/families/tile.h"
#include "runtime/result.h"
#include "templates/params/quantize.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/dequantize.cuh", kFp8Conversion}};

KernelSpec tuned_spec(const ContextState& state, const DequantizeRequest& problem) {
  return state.tuning.choose(dequantize_spec(kDequantizeFamily, problem, *state.device.arch),
                             {problem.y.rows, problem.y.columns});
}

Status launch(const ContextState& state, const Kernel& kernel, const DequantizeRequest& request) {
  const Matrix& y = request.y;
  const DequantizeParams params = dequantize_params(request);
  const int64_t blocks = (y.columns + kBlockSize - 1) / kBlockSize;
  return launch_tiles(state, kernel, tile_grid(kernel.spec, y.rows, blocks), &params,
                      request.stream);
}

}  // namespace

const Family kDequantizeFamily{
    "dequantize", "DequantizeParams", nvfp4_constants(ElementType::kOutput), kVariants,
    nullptr,      tile_legal};

DequantizeRequest with_strides(DequantizeRequest request) {
  request.y = with_strides(request.y);
  request.x = with_strides(request.x, request.y.columns);
  return request;
}

Status check_dequantize(const DequantizeRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.y, "y", pointers));
  return check_nvfp4(request.x, request.y.rows, request.y.columns, "x", pointers);
}

KernelSpec dequantize_spec(const Family& family, const DequantizeRequest& request,
                           const Arch& arch) {
  KernelSpec spec = tile_spec(family, arch, request.y);
  spec.values[kScaleLayout] = static_cast<int>(request.x.scale_layout);
  return spec;
}

DequantizeParams dequantize_params(const DequantizeRequest& request) {
  const Nvfp4Matrix& x = request.x;
  const Matrix& y = request.y;
  return {reinterpret_cast<const unsigned char*>(x.codes),
          reinterpret_cast<const unsigned char*>(x.scales),
          reinterpret_cast<const float*>(x.amax),
          reinterpret_cast<void*>(y.data),
          y.rows,
          y.columns,
          y.row_stride,
          x.code_row_stride,
          x.scale_row_stride};
}

Status dequantize(Context& context, const DequantizeRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const DequantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_dequantize(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel,
                      state.pool.get(tuned_spec(state, problem), problem.stream));
    return launch(state, *kernel, problem);
  });
}

Result<Inspection> inspect(Context& context, const DequantizeRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const DequantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check_dequantize(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(tuned_spec(state, problem));
  });
}

}  // namespace nibble
