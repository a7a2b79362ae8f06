// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_run.h"

#include <chrono>
#include <cstring>

#include "runtime/cli/fidelity.h"
#include "runtime/cli/gemm_operand.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

// Elements of a row of which whole 16 bytes are stored at a time.
int64_t padded(int64_t columns, int64_t element_bytes) {
  const int64_t unit = 16 / element_bytes;
  return (columns + unit - 1) / unit * unit;
}

// Owns what the request points to.
struct OnDevice {
  DeviceOperand a, b;
  Buffer c, residual, bias, d, workspace;
  UserEpilogue user;
  GemmRequest request;
};

Status put_matrix(Context& context, const HostMatrix& matrix, Buffer* buffer, GemmMatrix* result) {
  const int64_t stride = padded(matrix.columns, sizeof(float));
  std::vector<float> rows(static_cast<size_t>(matrix.rows * stride));
  for (int64_t row = 0; row < matrix.rows; ++row) {
    std::memcpy(rows.data() + row * stride, matrix.row(row),
                static_cast<size_t>(matrix.columns) * sizeof(float));
  }
  NIBBLE_TRY_ASSIGN(*buffer, upload(context, rows.data(), static_cast<int64_t>(rows.size()) * 4));
  *result = {buffer->address(), DataType::kF32, stride, 0};
  return {};
}

Status put_epilogue(Context& context, const GemmJob& job, OnDevice* device) {
  GemmEpilogue& epilogue = device->request.epilogue;
  epilogue.activation = job.activation;
  epilogue.gated = job.gated;
  if (job.bias_axis != BiasAxis::kNone) {
    NIBBLE_TRY_ASSIGN(device->bias,
                      upload(context, job.bias.data(), static_cast<int64_t>(job.bias.size()) * 4));
    epilogue.bias_axis = job.bias_axis;
    epilogue.bias = device->bias.address();
  }
  if (job.user_source.empty()) return {};
  NIBBLE_TRY_ASSIGN(epilogue.user, UserEpilogue::create(context, job.user_source));
  epilogue.user_argument_bytes = static_cast<int64_t>(job.user_arguments.size() * sizeof(float));
  epilogue.user_arguments = job.user_arguments.empty() ? nullptr : job.user_arguments.data();
  return {};
}

Status put_workspace(Context& context, OnDevice* device) {
  NIBBLE_TRY_ASSIGN(const int64_t bytes, gemm_workspace_bytes(context, device->request));
  if (bytes == 0) return {};
  NIBBLE_TRY_ASSIGN(device->workspace, context.allocate(bytes));
  NIBBLE_TRY(context.fill(device->workspace.address(), 0, bytes));
  device->request.workspace = device->workspace.address();
  device->request.workspace_bytes = bytes;
  return {};
}

Status put(Context& context, const GemmJob& job, OnDevice* device) {
  NIBBLE_TRY_ASSIGN(device->a,
                    make_operand(context, job.operands.format, job.a, job.operands.a_fp8));
  NIBBLE_TRY_ASSIGN(device->b,
                    make_operand(context, job.operands.format, job.b, job.operands.b_fp8));
  GemmRequest& request = device->request;
  request.format = job.operands.format;
  request.m = job.a.rows;
  request.n = job.b.rows;
  request.k = job.a.columns;
  request.a = device->a.operand;
  request.b = device->b.operand;
  request.alpha = job.alpha;
  request.beta = job.beta;
  request.kernel = job.kernel;
  request.config = job.config;
  if (job.beta != 0) NIBBLE_TRY(put_matrix(context, job.c, &device->c, &request.c));
  if (!job.residual.values.empty()) {
    NIBBLE_TRY(put_matrix(context, job.residual, &device->residual, &request.epilogue.residual));
  }
  NIBBLE_TRY(put_epilogue(context, job, device));
  const int64_t stride = padded(job.columns(), element_bytes(job.output));
  NIBBLE_TRY_ASSIGN(device->d, context.allocate(request.m * stride * element_bytes(job.output)));
  request.d.data = device->d.address();
  request.d.type = job.output;
  request.d.row_stride = stride;
  return put_workspace(context, device);
}

Status fetch(Context& context, const GemmJob& job, const OnDevice& device, GemmAnswer* answer) {
  const int64_t bytes = element_bytes(job.output);
  const auto row_bytes = static_cast<size_t>(job.columns() * bytes);
  const auto stride = static_cast<size_t>(device.request.d.row_stride * bytes);
  std::vector<uint8_t> rows(static_cast<size_t>(device.d.size()));
  NIBBLE_TRY(context.copy_to_host(rows.data(), device.d.address(), device.d.size()));
  const auto count = static_cast<size_t>(job.a.rows);
  answer->d.resize(count * row_bytes);
  for (size_t row = 0; row < count; ++row) {
    std::memcpy(answer->d.data() + row * row_bytes, rows.data() + row * stride, row_bytes);
  }
  return {};
}

}  // namespace

int64_t element_bytes(OutputType type) { return type == OutputType::kF32 ? 4 : 2; }

std::vector<double> widened(const std::vector<uint8_t>& elements, OutputType type) {
  const auto bytes = static_cast<size_t>(element_bytes(type));
  std::vector<double> values(elements.size() / bytes);
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == OutputType::kF32) {
      float value = 0;
      std::memcpy(&value, elements.data() + i * bytes, bytes);
      values[i] = double{value};
    } else {
      uint16_t bits = 0;
      std::memcpy(&bits, elements.data() + i * bytes, bytes);
      values[i] = type == OutputType::kF16 ? decode_f16(bits) : decode_bf16(bits);
    }
  }
  return values;
}

Result<GemmAnswer> multiply(Context& context, const GemmJob& job) {
  OnDevice device;
  NIBBLE_TRY(put(context, job, &device));
  GemmAnswer answer;
  if (job.explain) {
    NIBBLE_TRY_ASSIGN(answer.explanation, explain(context, device.request));
  }
  const Statistics before = context.statistics();
  NIBBLE_TRY_ASSIGN(const GemmPlan plan, GemmPlan::create(context, device.request));
  const Statistics after = context.statistics();
  answer.compiles = static_cast<int>(after.compiles - before.compiles);
  answer.compile_seconds = after.compile_seconds - before.compile_seconds;
  answer.label = plan.label();
  const auto start = std::chrono::steady_clock::now();
  NIBBLE_TRY(plan.launch(device.request));
  NIBBLE_TRY(context.synchronize());
  answer.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  NIBBLE_TRY(fetch(context, job, device, &answer));
  return answer;
}

}  // namespace nibble::cli
