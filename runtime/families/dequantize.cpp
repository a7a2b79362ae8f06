// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/dequantize.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "nibble/inspect.hpp"
#include "runtime/families/dequantize.h"
#include "runtime/families/quantize_check.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile.h"
#include "runtime/families/trusted.h"
#include "runtime/result.h"
#include "templates/params/quantize.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/dequantize.cuh", kFp8Conversion}};

constexpr size_t kFormatPlace = kTileConstants;  // of kFormat, among the constants

KernelSpec tuned_spec(const ContextState& state, const DequantizeRequest& problem) {
  return choose_spec(state, dequantize_spec(kDequantizeFamily, problem, *state.device.arch),
                     {problem.y.rows, problem.y.columns}, problem.kernel);
}

Status launch(const ContextState& state, const Kernel& kernel, const DequantizeRequest& request) {
  const Matrix& y = request.y;
  const DequantizeParams params = dequantize_params(request);
  const int64_t blocks = (y.columns + kBlockSize - 1) / kBlockSize;
  return launch_tiles(state, kernel, tile_grid(kernel.spec, y.rows, blocks), &params,
                      request.stream);
}

}  // namespace

std::span<const Constant> dequantize_constants() {
  static const auto kConstants = [] {
    std::array<Constant, kTileConstants + 1> constants{};
    std::ranges::copy(nvfp4_constants(ElementType::kOutput), constants.begin());
    constants[kFormatPlace] = format_constant();
    return constants;
  }();
  return kConstants;
}

const Family kDequantizeFamily{"dequantize", "DequantizeParams", dequantize_constants(), kVariants,
                               nullptr,      tile_legal};

DequantizeRequest with_strides(DequantizeRequest request) {
  request.y = with_strides(request.y);
  request.x = with_strides(request.x, request.format, request.y.columns);
  return request;
}

Status check_dequantize(const DequantizeRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.y, "y", pointers));
  NIBBLE_TRY(check_kernel(request.kernel));
  const int format = static_cast<int>(request.format);
  if (format < 0 || format > 2) {
    return invalid_value("format", {}, format, "nvfp4, mxfp4 or mxfp8");
  }
  const int scaling = static_cast<int>(request.scaling);
  if (scaling < 0 || scaling > 1) {
    return invalid_value("scaling", {}, scaling, "largest or four_over_six");
  }
  if (request.format != QuantizedFormat::kNvfp4 && request.scaling == BlockScaling::kFourOverSix) {
    return {Code::kInvalidArgument, "scaling = four_over_six: format must be nvfp4"};
  }
  const CodedShape shape = coded_shape(request.format, request.y.rows, request.y.columns, true);
  return check_coded(request.x, shape, "x", pointers);
}

KernelSpec dequantize_spec(const Family& family, const DequantizeRequest& request,
                           const Arch& arch) {
  KernelSpec spec = tile_spec(family, arch, request.y);
  spec.values[kScaleLayout] = static_cast<int>(request.x.scale_layout);
  if (request.x.scale_layout == ScaleLayout::k128x4) {
    // A sector has scales of several rows. By an H200; of fp32 a warp reads eight rows of it.
    int& rows = spec.values[kRowsPerTile];
    const int most = request.y.type == DataType::kF32 ? 64 : 8;
    while (rows < most && 2 * rows <= request.y.rows) rows *= 2;
  }
  spec.values[kFormatPlace] = format_value(request.format, request.scaling);
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
