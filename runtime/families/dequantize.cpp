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

DequantizeRequest with_strides(DequantizeRequest request) {
  request.y = nibble::with_strides(request.y);
  request.x = nibble::with_strides(request.x, request.y.columns);
  return request;
}

Status check(const DequantizeRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.y, "y", pointers));
  return check_nvfp4(request.x, request.y.rows, request.y.columns, "x", pointers);
}

KernelSpec dequantize_spec(const DequantizeRequest& request, const Arch& arch) {
  KernelSpec spec = tile_spec(kDequantizeFamily, arch, request.y);
  spec.values[kScaleLayout] = static_cast<int>(request.x.scale_layout);
  return spec;
}

Status launch(const ContextState& state, const Kernel& kernel, const DequantizeRequest& request) {
  const Nvfp4Matrix& x = request.x;
  const Matrix& y = request.y;
  const DequantizeParams params{reinterpret_cast<const unsigned char*>(x.codes),
                                reinterpret_cast<const unsigned char*>(x.scales),
                                reinterpret_cast<const float*>(x.amax),
                                reinterpret_cast<void*>(y.data),
                                y.rows,
                                y.columns,
                                y.row_stride,
                                x.code_row_stride,
                                x.scale_row_stride};
  const int64_t blocks = (y.columns + kBlockSize - 1) / kBlockSize;
  return launch_tiles(state, kernel, tile_grid(kernel.spec, y.rows, blocks), &params,
                      request.stream);
}

}  // namespace

const Family kDequantizeFamily{
    "dequantize", "DequantizeParams", nvfp4_constants(ElementType::kOutput), kVariants,
    nullptr,      tile_legal};

Status dequantize(Context& context, const DequantizeRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const DequantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel,
                      state.pool.get(dequantize_spec(problem, *state.device.arch), problem.stream));
    return launch(state, *kernel, problem);
  });
}

Result<Inspection> inspect(Context& context, const DequantizeRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const DequantizeRequest problem = with_strides(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(dequantize_spec(problem, *state.device.arch));
  });
}

}  // namespace nibble
