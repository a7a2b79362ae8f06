// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The rules of gemm.hpp, each with the value that breaks it.
#include <string>
#include <string_view>

#include "runtime/families/gemm_overlap.h"
#include "runtime/families/gemm_problem.h"
#include "runtime/families/user_epilogue.h"
#include "runtime/result.h"

namespace nibble {

namespace {

// Called on every launch: strings are made only of what is wrong.

// A value of the request: "a.row_stride" is {"a", "row_stride"}.
struct Name {
  std::string_view object, member;
  std::string text() const {
    return std::string(object) + (member.empty() ? "" : ".") + std::string(member);
  }
};

Status invalid(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

Status invalid(Name name, int64_t value, const std::string& rule) {
  return invalid(name.text() + " = " + std::to_string(value) + ": must be " + rule);
}

Status check_enum(Name name, int value, int last, std::string_view rule) {
  return value >= 0 && value <= last ? Status() : invalid(name, value, std::string(rule));
}

Status check_size(Name name, int64_t value) {
  if (value >= 0 && value <= kMaxGemmSize) return {};
  return invalid(name, value, "from 0 to " + std::to_string(kMaxGemmSize));
}

Status check_sizes(const GemmRequest& request) {
  NIBBLE_TRY(check_size({"m", {}}, request.m));
  NIBBLE_TRY(check_size({"n", {}}, request.n));
  NIBBLE_TRY(check_size({"k", {}}, request.k));
  return check_size({"batch", {}}, request.batch);
}

Status check_type(Name name, DataType type) {
  return check_enum(name, static_cast<int>(type), 2, "f32, f16 or bf16");
}

Status check_enums(const GemmRequest& request) {
  const GemmEpilogue& epilogue = request.epilogue;
  NIBBLE_TRY(check_enum({"format", {}}, static_cast<int>(request.format), 4,
                        "nvfp4, mxfp4, mxfp8, fp8 or bf16"));
  NIBBLE_TRY(check_enum({"d", "type"}, static_cast<int>(request.d.type), 4,
                        "f32, f16, bf16, nvfp4 or mxfp4"));
  NIBBLE_TRY(
      check_enum({"kernel", {}}, static_cast<int>(request.kernel), 2, "auto, tensor or trusted"));
  NIBBLE_TRY(check_enum({"epilogue", "activation"}, static_cast<int>(epilogue.activation), 5,
                        "none, relu, squared_relu, gelu_tanh, gelu_erf or silu"));
  NIBBLE_TRY(check_enum({"epilogue", "bias_axis"}, static_cast<int>(epilogue.bias_axis), 2,
                        "none, column or row"));
  NIBBLE_TRY(check_type({"epilogue", "bias_type"}, epilogue.bias_type));
  NIBBLE_TRY(check_type({"epilogue", "residual.type"}, epilogue.residual.type));
  return check_type({"c", "type"}, request.c.type);
}

// The last byte of a batch of matrices must be in the address space.
Status check_extent(std::string_view object, int64_t rows, int64_t row_bytes, int64_t batch,
                    int64_t batch_bytes) {
  __extension__ using Wide = __int128;
  const Wide bytes = Wide{rows} * row_bytes + Wide{batch} * batch_bytes;
  if (bytes <= Wide{1} << 56) return {};
  return invalid(std::string(object) + ".row_stride, batch_stride = " + std::to_string(row_bytes) +
                 ", " + std::to_string(batch_bytes) + " bytes: " + std::to_string(batch) +
                 " matrices of " + std::to_string(rows) + " rows must fit 2^56 bytes");
}

Status check_multiple(Name name, int64_t value, int64_t multiple, std::string_view unit) {
  if (value >= 0 && value % multiple == 0) return {};
  return invalid(name, value,
                 "a multiple of " + std::to_string(multiple) + " " + std::string(unit));
}

Status check_at_least(Name name, int64_t value, int64_t least, std::string_view what) {
  if (value >= least) return {};
  return invalid(name, value, "0 or >= " + std::to_string(least) + ": " + std::string(what));
}

Status check_absent(Name name, DevicePointer pointer, std::string_view what, std::string_view type,
                    std::string_view lacks) {
  if (pointer == 0) return {};
  return invalid(name.text() + " is given: " + std::string(what) + std::string(type) + " have no " +
                 std::string(lacks));
}

// What of an operand's scales its format has and has not.
Status check_operand_scales(const GemmRequest& request, const GemmOperand& operand,
                            std::string_view object, Pointers pointers) {
  const std::string_view format = format_name(request.format);
  if (scaled_elements(request.format) == 0) {
    NIBBLE_TRY(check_absent({object, "scales"}, operand.scales, "operands of format ", format,
                            "block scales"));
  } else if (request.k > 0) {
    NIBBLE_TRY(check_pointer(operand.scales, 16, object, "scales", pointers));
    NIBBLE_TRY(
        check_multiple({object, "scale_batch_stride"}, operand.scale_batch_stride, 16, "bytes"));
  }
  NIBBLE_TRY(check_enum({object, "fp8"}, static_cast<int>(operand.fp8), 1, "e4m3 or e5m2"));
  if (operand.fp8 != Fp8Type::kE4m3 && request.format != OperandFormat::kFp8) {
    return invalid(Name{object, "fp8"}.text() + " = " + std::string(fp8_name(operand.fp8)) +
                   ": operands of format " + std::string(format) + " have no choice of elements");
  }
  if (request.format != OperandFormat::kNvfp4) {
    NIBBLE_TRY(check_absent({object, "amax"}, operand.amax, "operands of format ", format, "amax"));
  }
  if (request.format != OperandFormat::kFp8) {
    NIBBLE_TRY(check_absent({object, "scale"}, operand.scale, "operands of format ", format,
                            "scale of the tensor"));
  }
  NIBBLE_TRY(check_pointer(operand.amax, 4, object, "amax", Pointers::kOptional));
  return check_pointer(operand.scale, 4, object, "scale", Pointers::kOptional);
}

Status check_operand(const GemmRequest& request, const GemmOperand& operand, int64_t rows,
                     std::string_view object, Pointers pointers) {
  if (request.k > 0) {
    NIBBLE_TRY(check_pointer(operand.data, 16, object, "data", pointers));
    NIBBLE_TRY(check_multiple({object, "row_stride"}, operand.row_stride, 16,
                              "bytes (0 stands for the bytes of k elements, without a gap)"));
    NIBBLE_TRY(check_at_least({object, "row_stride"}, operand.row_stride,
                              operand_row_bytes(request.format, request.k),
                              "the bytes of k elements"));
    NIBBLE_TRY(check_multiple({object, "batch_stride"}, operand.batch_stride, 16, "bytes"));
    NIBBLE_TRY(check_extent(object, rows, operand.row_stride, request.batch, operand.batch_stride));
  }
  return check_operand_scales(request, operand, object, pointers);
}

Status check_both(std::string_view member, DevicePointer a, DevicePointer b) {
  if ((a == 0) == (b == 0)) return {};
  const std::string name(member);
  return invalid(a != 0 ? "a." + name + " is given but b." + name + " is null: both or neither"
                        : "b." + name + " is given but a." + name + " is null: both or neither");
}

Status check_operands(const GemmRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_operand(request, request.a, request.m, "a", pointers));
  NIBBLE_TRY(check_operand(request, request.b, request.n, "b", pointers));
  NIBBLE_TRY(check_both("amax", request.a.amax, request.b.amax));
  return check_both("scale", request.a.scale, request.b.scale);
}

Status check_matrix(const GemmMatrix& matrix, int64_t rows, int64_t columns, int64_t batch,
                    std::string_view object, Pointers pointers) {
  const int64_t size = size_of(matrix.type);
  NIBBLE_TRY(check_pointer(matrix.data, size, object, "data", pointers));
  NIBBLE_TRY(check_at_least({object, "row_stride"}, matrix.row_stride, columns, "its columns"));
  if (matrix.batch_stride < 0) {
    return invalid({object, "batch_stride"}, matrix.batch_stride, ">= 0");
  }
  NIBBLE_TRY(check_extent(object, rows, matrix.row_stride, batch, matrix.batch_stride));
  return check_extent(object, rows, matrix.row_stride * size, batch, matrix.batch_stride * size);
}

Status check_fp4_output(const GemmRequest& request, Pointers pointers) {
  const GemmOutput& d = request.d;
  NIBBLE_TRY(check_pointer(d.data, 8, "d", "data", pointers));
  NIBBLE_TRY(check_multiple({"d", "row_stride"}, d.row_stride, 16, "elements"));
  NIBBLE_TRY(check_multiple({"d", "batch_stride"}, d.batch_stride, 16, "elements"));
  NIBBLE_TRY(check_pointer(d.scales, 4, "d", "scales", pointers));
  NIBBLE_TRY(check_multiple({"d", "scale_batch_stride"}, d.scale_batch_stride, 4, "bytes"));
  if (d.type == OutputType::kMxfp4) {
    NIBBLE_TRY(check_absent({"d", "tensor_amax"}, d.tensor_amax, "outputs of type ", "mxfp4",
                            "scale of the tensor"));
  } else {
    NIBBLE_TRY(check_pointer(d.tensor_amax, 4, "d", "tensor_amax", pointers));
  }
  if (request.batch <= 1) return {};
  return check_at_least({"d", "scale_batch_stride"}, d.scale_batch_stride,
                        output_scale_bytes(request), "the scales of a matrix");
}

Status check_output(const GemmRequest& request, Pointers pointers) {
  const GemmOutput& d = request.d;
  const int64_t columns = output_columns(request);
  const bool fp4 = is_fp4(d.type);
  const int64_t size = d.type == OutputType::kF32 ? 4 : 2;
  if (fp4) {
    NIBBLE_TRY(check_fp4_output(request, pointers));
  } else {
    const std::string_view type = output_name(d.type);
    NIBBLE_TRY(check_absent({"d", "scales"}, d.scales, "outputs of type ", type, "block scales"));
    NIBBLE_TRY(check_absent({"d", "tensor_amax"}, d.tensor_amax, "outputs of type ", type,
                            "scale of the tensor"));
    NIBBLE_TRY(check_pointer(d.data, size, "d", "data", pointers));
  }
  const int64_t row = fp4 ? (columns + 15) / 16 * 16 : columns;
  NIBBLE_TRY(check_at_least({"d", "row_stride"}, d.row_stride, row,
                            fp4 ? "its columns, rounded up to 16" : "its columns"));
  NIBBLE_TRY(check_extent("d", request.m, d.row_stride, request.batch, d.batch_stride));
  if (!fp4) {
    NIBBLE_TRY(
        check_extent("d", request.m, d.row_stride * size, request.batch, d.batch_stride * size));
  }
  if (request.batch > 1 && !is_empty(request)) {
    NIBBLE_TRY(check_at_least({"d", "batch_stride"}, d.batch_stride,
                              (request.m - 1) * d.row_stride + row, "the elements of a matrix"));
  }
  return check_pointer(d.amax, 4, "d", "amax", Pointers::kOptional);
}

Status check_epilogue(const GemmRequest& request, Pointers pointers) {
  const GemmEpilogue& epilogue = request.epilogue;
  if (epilogue.bias_axis != BiasAxis::kNone) {
    NIBBLE_TRY(
        check_pointer(epilogue.bias, size_of(epilogue.bias_type), "epilogue", "bias", pointers));
  } else {
    NIBBLE_TRY(check_absent({"epilogue", "bias"}, epilogue.bias, "epilogues of bias_axis ", "none",
                            "bias"));
  }
  if (epilogue.gated && request.n % 2 != 0) {
    return invalid({"n", {}}, request.n, "even where epilogue.gated is set");
  }
  if (request.beta != 0) {
    if (request.c.data == 0 && pointers == Pointers::kRequired) {
      return invalid("c.data is null: beta = " + std::to_string(request.beta) + " reads it");
    }
    NIBBLE_TRY(check_matrix(request.c, request.m, request.n, request.batch, "c", pointers));
  }
  if (epilogue.residual.data != 0) {
    NIBBLE_TRY(check_matrix(epilogue.residual, request.m, output_columns(request), request.batch,
                            "epilogue.residual", pointers));
  }
  return check_user_arguments(epilogue, pointers);
}

Status check_workspace(const GemmRequest& request) {
  if (request.workspace_bytes < 0) {
    return invalid({"workspace_bytes", {}}, request.workspace_bytes, ">= 0");
  }
  if (request.workspace_bytes > 0 && request.workspace == 0) {
    return invalid("workspace is null: workspace_bytes = " +
                   std::to_string(request.workspace_bytes));
  }
  return check_pointer(request.workspace, 256, "workspace", {}, Pointers::kOptional);
}

}  // namespace

Status check(const GemmRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_sizes(request));
  NIBBLE_TRY(check_enums(request));
  if (is_empty(request)) pointers = Pointers::kOptional;
  NIBBLE_TRY(check_operands(request, pointers));
  NIBBLE_TRY(check_output(request, pointers));
  NIBBLE_TRY(check_epilogue(request, pointers));
  NIBBLE_TRY(check_workspace(request));
  return is_empty(request) ? Status() : check_overlap(request);
}

}  // namespace nibble
