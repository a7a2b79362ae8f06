// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_problem.h"

#include <cstring>

#include "runtime/families/gemm_spec.h"
#include "runtime/families/user_epilogue.h"

namespace nibble {

namespace {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// The largest number where the product is beyond it; check() refuses that.
int64_t saturated_product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

int64_t scale_bytes_128x4(int64_t rows, int64_t columns, int64_t elements) {
  return round_up(rows, 128) * round_up((columns + elements - 1) / elements, 4);
}

void fill(GemmOperand& operand, OperandFormat format, int64_t rows, int64_t k) {
  if (operand.row_stride == 0) operand.row_stride = operand_row_bytes(format, k);
  if (operand.batch_stride == 0) operand.batch_stride = saturated_product(rows, operand.row_stride);
  if (operand.scale_batch_stride == 0) {
    operand.scale_batch_stride = operand_scale_bytes(format, rows, k);
  }
}

void fill(GemmMatrix& matrix, int64_t rows, int64_t columns) {
  if (matrix.row_stride == 0) matrix.row_stride = columns;
  if (matrix.batch_stride == 0) matrix.batch_stride = saturated_product(rows, matrix.row_stride);
}

int64_t output_bytes(OutputType type) { return type == OutputType::kF32 ? 4 : 2; }

int alpha_kind(const GemmRequest& request) {
  if (request.a.amax != 0) return 1;
  return request.a.scale != 0 ? 2 : 0;
}

// A null pointer counts as aligned.
bool aligned_rows(DevicePointer data, int64_t row_bytes, int64_t batch_bytes) {
  return (data | static_cast<uint64_t>(row_bytes) | static_cast<uint64_t>(batch_bytes)) % 16 == 0;
}

GemmMatrixParams matrix_params(const GemmMatrix& matrix) {
  return {reinterpret_cast<void*>(matrix.data), matrix.row_stride, matrix.batch_stride};
}

}  // namespace

std::string_view format_name(OperandFormat format) {
  switch (format) {
    case OperandFormat::kNvfp4:
      return "nvfp4";
    case OperandFormat::kMxfp4:
      return "mxfp4";
    case OperandFormat::kMxfp8:
      return "mxfp8";
    case OperandFormat::kFp8:
      return "fp8";
    case OperandFormat::kBf16:
      return "bf16";
  }
  return "unknown";
}

std::string_view fp8_name(Fp8Type type) {
  switch (type) {
    case Fp8Type::kE4m3:
      return "e4m3";
    case Fp8Type::kE5m2:
      return "e5m2";
  }
  return "unknown";
}

std::string_view output_name(OutputType type) {
  switch (type) {
    case OutputType::kF32:
      return "f32";
    case OutputType::kF16:
      return "f16";
    case OutputType::kBf16:
      return "bf16";
    case OutputType::kNvfp4:
      return "nvfp4";
    case OutputType::kMxfp4:
      return "mxfp4";
  }
  return "unknown";
}

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return "none";
    case Activation::kRelu:
      return "relu";
    case Activation::kSquaredRelu:
      return "squared_relu";
    case Activation::kGeluTanh:
      return "gelu_tanh";
    case Activation::kGeluErf:
      return "gelu_erf";
    case Activation::kSilu:
      return "silu";
  }
  return "unknown";
}

int64_t operand_row_bytes(OperandFormat format, int64_t k) {
  switch (format) {
    case OperandFormat::kNvfp4:
    case OperandFormat::kMxfp4:
      return (k + 1) / 2;
    case OperandFormat::kBf16:
      return 2 * k;
    default:
      return k;
  }
}

int64_t operand_scale_bytes(OperandFormat format, int64_t rows, int64_t k) {
  const int64_t elements = scaled_elements(format);
  return elements == 0 ? 0 : scale_bytes_128x4(rows, k, elements);
}

bool is_fp4(OutputType type) { return type == OutputType::kNvfp4 || type == OutputType::kMxfp4; }

int64_t scaled_elements(OperandFormat format) {
  if (format == OperandFormat::kNvfp4) return 16;
  return format == OperandFormat::kMxfp4 || format == OperandFormat::kMxfp8 ? 32 : 0;
}

int64_t output_columns(const GemmRequest& request) {
  return request.epilogue.gated ? request.n / 2 : request.n;
}

int64_t output_scale_bytes(const GemmRequest& request) {
  return scale_bytes_128x4(request.m, output_columns(request),
                           request.d.type == OutputType::kNvfp4 ? 16 : 32);
}

bool sizes_are_legal(const GemmRequest& request) {
  auto legal = [](int64_t size) { return size >= 0 && size <= kMaxGemmSize; };
  return legal(request.m) && legal(request.n) && legal(request.k) && legal(request.batch);
}

GemmRequest with_strides(GemmRequest request) {
  if (!sizes_are_legal(request)) return request;  // check() says so
  const int64_t columns = output_columns(request);
  fill(request.a, request.format, request.m, request.k);
  fill(request.b, request.format, request.n, request.k);
  fill(request.c, request.m, request.n);
  fill(request.epilogue.residual, request.m, columns);
  GemmOutput& d = request.d;
  if (d.row_stride == 0) d.row_stride = is_fp4(d.type) ? round_up(columns, 16) : columns;
  if (d.batch_stride == 0) d.batch_stride = saturated_product(request.m, d.row_stride);
  if (d.scale_batch_stride == 0 && is_fp4(d.type)) {
    d.scale_batch_stride = output_scale_bytes(request);
  }
  return request;
}

int gemm_vector_bytes(const GemmRequest& request) {
  auto aligned = [](const GemmMatrix& matrix) {
    const int64_t bytes = size_of(matrix.type);
    return aligned_rows(matrix.data, matrix.row_stride * bytes, matrix.batch_stride * bytes);
  };
  const GemmEpilogue& epilogue = request.epilogue;
  const GemmOutput& d = request.d;
  const int64_t bytes = output_bytes(d.type);
  const bool all =
      (is_fp4(d.type) || aligned_rows(d.data, d.row_stride * bytes, d.batch_stride * bytes)) &&
      (request.beta == 0 || aligned(request.c)) &&
      (epilogue.bias_axis != BiasAxis::kColumn || epilogue.bias % 16 == 0) &&
      (epilogue.residual.data == 0 || aligned(epilogue.residual));
  return all ? 16 : 0;
}

void set_problem(KernelSpec& spec, const GemmRequest& request) {
  const GemmEpilogue& epilogue = request.epilogue;
  const bool has_bias = epilogue.bias_axis != BiasAxis::kNone;
  auto& values = spec.values;
  values[kGemmFormat] = static_cast<int>(request.format);
  values[kGemmE5m2OfA] = static_cast<int>(request.a.fp8);
  values[kGemmE5m2OfB] = static_cast<int>(request.b.fp8);
  values[kGemmOutput] = static_cast<int>(request.d.type);
  values[kGemmAlpha] = alpha_kind(request);
  values[kGemmC] = request.beta == 0 ? 0 : 1 + static_cast<int>(request.c.type);
  values[kGemmBias] = static_cast<int>(epilogue.bias_axis);
  values[kGemmBiasType] = has_bias ? static_cast<int>(epilogue.bias_type) : 0;
  values[kGemmActivation] = static_cast<int>(epilogue.activation);
  values[kGemmGated] = epilogue.gated ? 1 : 0;
  values[kGemmResidual] =
      epilogue.residual.data == 0 ? 0 : 1 + static_cast<int>(epilogue.residual.type);
  values[kGemmAmax] = request.d.amax == 0 ? 0 : 1;
  values[kGemmVectorBytes] = gemm_vector_bytes(request);
  spec.source = UserEpilogueAccess::source(epilogue.user);
}

GemmEpilogueParams epilogue_params(const GemmRequest& request) {
  const GemmEpilogue& epilogue = request.epilogue;
  const GemmOutput& d = request.d;
  const bool amaxes = request.a.amax != 0;
  GemmEpilogueParams params{};
  params.m = request.m;
  params.n = request.n;
  params.alpha = request.alpha;
  params.beta = request.beta;
  params.a_factor = reinterpret_cast<const float*>(amaxes ? request.a.amax : request.a.scale);
  params.b_factor = reinterpret_cast<const float*>(amaxes ? request.b.amax : request.b.scale);
  params.c = matrix_params(request.c);
  params.residual = matrix_params(epilogue.residual);
  // Two FP4 codes are a byte.
  const int64_t per_unit = is_fp4(d.type) ? 2 : 1;
  params.d = {reinterpret_cast<void*>(d.data), d.row_stride / per_unit, d.batch_stride / per_unit};
  params.bias = reinterpret_cast<const void*>(epilogue.bias);
  params.d_scales = reinterpret_cast<unsigned char*>(d.scales);
  params.d_scale_batch_stride = d.scale_batch_stride;
  params.d_tensor_amax = reinterpret_cast<const float*>(d.tensor_amax);
  params.d_amax = reinterpret_cast<float*>(d.amax);
  if (epilogue.user_arguments != nullptr) {
    std::memcpy(params.user, epilogue.user_arguments,
                static_cast<size_t>(epilogue.user_argument_bytes));
  }
  return params;
}

}  // namespace nibble
