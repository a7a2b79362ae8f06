// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/quantize_check.h"

#include <string>

#include "runtime/families/quantize_spec.h"
#include "runtime/families/trusted.h"
#include "runtime/result.h"

namespace nibble {

namespace {

Status refuse(const std::string& message) { return {Code::kInvalidArgument, message}; }

template <class Enum>
Status check_enum(Enum value, int count, std::string_view name, std::string_view rule) {
  const int number = static_cast<int>(value);
  if (number >= 0 && number < count) return {};
  return invalid_value(name, {}, number, std::string(rule));
}

Status check_enums(const QuantizeRequest& request) {
  NIBBLE_TRY(check_enum(request.copies, 3, "copies", "row_wise, transposed or both"));
  NIBBLE_TRY(check_enum(request.format, 3, "format", "nvfp4, mxfp4 or mxfp8"));
  NIBBLE_TRY(check_enum(request.blocks, 2, "blocks", "row or square"));
  NIBBLE_TRY(check_enum(request.scaling, 2, "scaling", "largest or four_over_six"));
  return check_enum(request.rounding, 2, "rounding", "nearest_even or stochastic");
}

// `length`: of the axis that its groups lie along.
Status check_transform(const HadamardTransform& transform, std::string_view name, int64_t length,
                       std::string_view axis) {
  if (!transform.enabled || transform.size == 16) return {};
  const int size = transform.size;
  if (size != 32 && size != 64 && size != 128) {
    return invalid_value(name, "size", size, "16, 32, 64 or 128");
  }
  if (length % size == 0) return {};
  return invalid_value(name, "size", size,
                       "16 or a divisor of " + std::string(axis) + " = " + std::to_string(length));
}

Status check_transforms(const QuantizeRequest& request) {
  NIBBLE_TRY(check_transform(request.transform, "transform", request.x.columns, "x.columns"));
  return check_transform(request.transposed_transform, "transposed_transform", request.x.rows,
                         "x.rows");
}

// Combinations that make no sense.
Status check_options(const QuantizeRequest& request) {
  const std::string format(format_name(request.format));
  if (request.transform.enabled && !makes_rows(request)) {
    return refuse("transform is of the row-wise copy: copies must be row_wise or both");
  }
  if (request.transposed_transform.enabled && !makes_transposed(request)) {
    return refuse(
        "transposed_transform is of the transposed copy: copies must be transposed or "
        "both");
  }
  if (request.recorded_amax != 0 && !makes_rows(request)) {
    return refuse("recorded_amax is of the row-wise copy: copies must be row_wise or both");
  }
  if (request.transposed_recorded_amax != 0 && !makes_transposed(request)) {
    return refuse(
        "transposed_recorded_amax is of the transposed copy: copies must be transposed "
        "or both");
  }
  if (request.scaling == BlockScaling::kFourOverSix && request.format != QuantizedFormat::kNvfp4) {
    return refuse("scaling = four_over_six: format must be nvfp4, " + format +
                  " has powers of two for scales, of which none is 1.5 times another");
  }
  if (request.blocks == BlockShape::kRow) return {};
  if (request.format != QuantizedFormat::kNvfp4) {
    return refuse("blocks = square: format must be nvfp4, " + format + " has blocks of 32 x 1");
  }
  if (has_transform(request) && request.copies == Copies::kBoth) {
    return refuse(
        "blocks = square with a transform: copies must be row_wise or transposed, both have the "
        "same codes and a transform is of one");
  }
  return {};
}

}  // namespace

Nvfp4Matrix with_strides(Nvfp4Matrix matrix, QuantizedFormat format, int64_t columns) {
  const int64_t block = block_size(format);
  if (matrix.code_row_stride == 0) matrix.code_row_stride = quantized_row_bytes(format, columns);
  if (matrix.scale_row_stride == 0) matrix.scale_row_stride = (columns + block - 1) / block;
  return matrix;
}

CodedShape coded_shape(QuantizedFormat format, int64_t rows, int64_t columns, bool has_amax) {
  const int64_t block = block_size(format);
  return {rows, quantized_row_bytes(format, columns), (columns + block - 1) / block,
          has_amax && format == QuantizedFormat::kNvfp4};
}

QuantizeRequest with_strides(QuantizeRequest request) {
  request.x = with_strides(request.x);
  request.y = with_strides(request.y, request.format, request.x.columns);
  request.y_transposed = with_strides(request.y_transposed, request.format, request.x.rows);
  return request;
}

Status check_quantize(const QuantizeRequest& request, Pointers pointers) {
  const Matrix& x = request.x;
  NIBBLE_TRY(check_matrix(x, "x", pointers));
  NIBBLE_TRY(check_kernel(request.kernel));
  NIBBLE_TRY(check_enums(request));
  NIBBLE_TRY(check_options(request));
  NIBBLE_TRY(check_transforms(request));
  if (makes_rows(request)) {
    NIBBLE_TRY(check_coded(request.y, coded_shape(request.format, x.rows, x.columns, true), "y",
                           pointers));
  }
  if (makes_transposed(request)) {
    const bool has_amax = has_transposed_amax(request);
    NIBBLE_TRY(check_coded(request.y_transposed,
                           coded_shape(request.format, x.columns, x.rows, has_amax), "y_transposed",
                           pointers));
  }
  NIBBLE_TRY(check_pointer(request.recorded_amax, 4, "recorded_amax", {}, Pointers::kOptional));
  return check_pointer(request.transposed_recorded_amax, 4, "transposed_recorded_amax", {},
                       Pointers::kOptional);
}

std::string_view format_name(QuantizedFormat format) {
  switch (format) {
    case QuantizedFormat::kNvfp4:
      return "nvfp4";
    case QuantizedFormat::kMxfp4:
      return "mxfp4";
    case QuantizedFormat::kMxfp8:
      return "mxfp8";
  }
  return "unknown";
}

int64_t quantized_row_bytes(QuantizedFormat format, int64_t columns) {
  const int64_t block = block_size(format);
  return (columns + block - 1) / block * block * code_bits(format) / 8;
}

int64_t quantized_scale_bytes(QuantizedFormat format, int64_t rows, int64_t columns,
                              ScaleLayout layout) {
  const int64_t block = block_size(format);
  const int64_t blocks = (columns + block - 1) / block;
  if (layout == ScaleLayout::kRowMajor) return rows * blocks;
  return (rows + 127) / 128 * 128 * ((blocks + 3) / 4 * 4);
}

}  // namespace nibble
