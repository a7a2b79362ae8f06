// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/dequantize.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "nibble/inspect.hpp"
#include "runtime/families/dequantize.h"
#include "runtime/families/tile.h"
#include "runtime/result.h"
#include "templates/params/quantize.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/dequantize.cuh", kFp8Conversion}};

constexpr int kFourOverSix = 3;  // NVFP4, scaled so
constexpr int kFormats[] = {0, 1, 2, kFourOverSix};
constexpr std::string_view kFormatNames[] = {"nvfp4", "mxfp4", "mxfp8", "four_over_six"};
constexpr size_t kFormat = kTileConstants;  // its place among the constants

int64_t block_elements(QuantizedFormat format) {
  return format == QuantizedFormat::kNvfp4 ? 16 : 32;
}

int64_t blocks_of(const DequantizeRequest& request) {
  const int64_t block = block_elements(request.format);
  return (request.y.columns + block - 1) / block;
}

int64_t code_bytes(const DequantizeRequest& request) {
  return quantized_row_bytes(request.format, request.y.columns);
}

Status invalid(std::string_view what, int64_t value, const std::string& rule) {
  return {Code::kInvalidArgument,
          std::string(what) + " = " + std::to_string(value) + ": must be " + rule};
}

// Of the MX formats, as check_nvfp4() of the other.
Status check_mx(const DequantizeRequest& request, Pointers pointers) {
  const Nvfp4Matrix& x = request.x;
  const int layout = static_cast<int>(x.scale_layout);
  if (layout < 0 || layout > 1) return invalid("x.scale_layout", layout, "row_major or 128x4");
  const auto too_large = [&](int64_t stride) {
    int64_t bytes = 0;
    return __builtin_mul_overflow(request.y.rows, stride, &bytes) || bytes > int64_t{1} << 56;
  };
  if (x.code_row_stride < code_bytes(request) || x.code_row_stride % 8 != 0 ||
      too_large(x.code_row_stride)) {
    return invalid("x.code_row_stride", x.code_row_stride,
                   "0 or a multiple of 8 that is >= " + std::to_string(code_bytes(request)));
  }
  if (x.scale_layout == ScaleLayout::kRowMajor &&
      (x.scale_row_stride < blocks_of(request) || too_large(x.scale_row_stride))) {
    return invalid("x.scale_row_stride", x.scale_row_stride,
                   "0 or >= " + std::to_string(blocks_of(request)));
  }
  NIBBLE_TRY(check_pointer(x.codes, 8, "x", "codes", pointers));
  return check_pointer(x.scales, 1, "x", "scales", pointers);
}

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

std::span<const Constant> dequantize_constants() {
  static const auto all = [] {
    std::array<Constant, kTileConstants + 1> constants{};
    std::ranges::copy(nvfp4_constants(ElementType::kOutput), constants.begin());
    constants[kFormat] = {"kFormat", "format",    "of codes and scales", Constant::Origin::kProblem,
                          kFormats,  kFormatNames};
    return constants;
  }();
  return all;
}

const Family kDequantizeFamily{"dequantize", "DequantizeParams", dequantize_constants(), kVariants,
                               nullptr,      tile_legal};

DequantizeRequest with_strides(DequantizeRequest request) {
  request.y = with_strides(request.y);
  Nvfp4Matrix& x = request.x;
  if (x.code_row_stride == 0) x.code_row_stride = code_bytes(request);
  if (x.scale_row_stride == 0) x.scale_row_stride = blocks_of(request);
  return request;
}

Status check_dequantize(const DequantizeRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.y, "y", pointers));
  const int format = static_cast<int>(request.format);
  if (format < 0 || format > 2) return invalid("format", format, "nvfp4, mxfp4 or mxfp8");
  const int scaling = static_cast<int>(request.scaling);
  if (scaling < 0 || scaling > 1) return invalid("scaling", scaling, "largest or four_over_six");
  if (request.format != QuantizedFormat::kNvfp4) {
    if (request.scaling == BlockScaling::kLargest) return check_mx(request, pointers);
    return {Code::kInvalidArgument, "scaling = four_over_six: format must be nvfp4"};
  }
  return check_nvfp4(request.x, request.y.rows, request.y.columns, "x", pointers);
}

KernelSpec dequantize_spec(const Family& family, const DequantizeRequest& request,
                           const Arch& arch) {
  KernelSpec spec = tile_spec(family, arch, request.y);
  spec.values[kScaleLayout] = static_cast<int>(request.x.scale_layout);
  spec.values[kFormat] = request.scaling == BlockScaling::kFourOverSix
                             ? kFourOverSix
                             : static_cast<int>(request.format);
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
