// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "autotune/requests.h"

#include "nibble/amax.hpp"
#include "nibble/dequantize.hpp"
#include "nibble/gemm.hpp"
#include "nibble/hadamard.hpp"
#include "nibble/scale_layout.hpp"

namespace nibble::autotune {

namespace {

using Plan = RequestPlan (*)(const Problem&);
struct Entry {
  std::string_view family;
  Plan plan;
};

Matrix matrix(const Problem& problem, DevicePointer data) {
  return {data, problem.type, problem.rows, problem.columns, 0};
}

int64_t matrix_bytes(const Problem& problem) {
  return problem.rows * problem.columns * size_of(problem.type);
}

RequestPlan plan_amax(const Problem& problem) {
  return {{{Content::kElements, matrix_bytes(problem)}, {Content::kOutput, 4}},
          [=](Context& context, const Addresses& at, KernelKind kernel) {
            return amax(context, {matrix(problem, at[0]), at[1], nullptr, kernel});
          }};
}

RequestPlan plan_amax_rows(const Problem& problem) {
  return {{{Content::kElements, matrix_bytes(problem)}, {Content::kOutput, 4 * problem.rows}},
          [=](Context& context, const Addresses& at, KernelKind kernel) {
            return amax_rows(context, {matrix(problem, at[0]), at[1], nullptr, kernel});
          }};
}

// Codes and scales of a copy of so many rows and columns.
void add_copy(const Problem& problem, int64_t rows, int64_t columns, RequestPlan* plan) {
  plan->operands.push_back({Content::kOutput, rows * quantized_row_bytes(problem.format, columns)});
  plan->operands.push_back(
      {Content::kOutput, quantized_scale_bytes(problem.format, rows, columns, problem.layout)});
}

RequestPlan plan_quantize(const Problem& problem) {
  const bool rows = problem.copies != Copies::kTransposed;
  const bool transposed = problem.copies != Copies::kRowWise;
  RequestPlan plan{{{Content::kElements, matrix_bytes(problem)}, {Content::kAmax, 4}}, {}};
  if (rows) add_copy(problem, problem.rows, problem.columns, &plan);
  if (transposed) add_copy(problem, problem.columns, problem.rows, &plan);
  plan.launch = [=](Context& context, const Addresses& at, KernelKind kernel) {
    QuantizeRequest request;
    request.x = matrix(problem, at[0]);
    request.amax_given = problem.format == QuantizedFormat::kNvfp4;
    request.copies = problem.copies;
    request.format = problem.format;
    request.blocks = problem.blocks;
    request.rounding = problem.rounding;
    request.scaling = problem.scaling;
    request.kernel = kernel;
    HadamardTransform& transform = transposed ? request.transposed_transform : request.transform;
    transform.enabled = problem.transform;
    if (problem.size != 0) transform.size = static_cast<int>(problem.size);
    size_t next = 2;
    for (Nvfp4Matrix* const copy :
         {rows ? &request.y : nullptr, transposed ? &request.y_transposed : nullptr}) {
      if (copy == nullptr) continue;
      copy->codes = at[next++];
      copy->scales = at[next++];
      if (request.amax_given) copy->amax = at[1];
      copy->scale_layout = problem.layout;
    }
    return quantize(context, request);
  };
  return plan;
}

RequestPlan plan_dequantize(const Problem& problem) {
  const int64_t codes = problem.rows * quantized_row_bytes(problem.format, problem.columns);
  const int64_t scales =
      quantized_scale_bytes(problem.format, problem.rows, problem.columns, problem.layout);
  return {{{Content::kCodes, codes},
           {Content::kScales, scales},
           {Content::kAmax, 4},
           {Content::kOutput, matrix_bytes(problem)}},
          [=](Context& context, const Addresses& at, KernelKind kernel) {
            DequantizeRequest request;
            request.x.codes = at[0];
            request.x.scales = at[1];
            if (problem.format == QuantizedFormat::kNvfp4) request.x.amax = at[2];
            request.x.scale_layout = problem.layout;
            request.y = matrix(problem, at[3]);
            request.format = problem.format;
            request.scaling = problem.scaling;
            request.kernel = kernel;
            return dequantize(context, request);
          }};
}

template <Axis kAxis>
RequestPlan plan_hadamard(const Problem& problem) {
  return {{{Content::kElements, matrix_bytes(problem)}, {Content::kOutput, matrix_bytes(problem)}},
          [=](Context& context, const Addresses& at, KernelKind kernel) {
            HadamardRequest request;
            request.x = matrix(problem, at[0]);
            request.y = matrix(problem, at[1]);
            request.size = problem.size;
            request.axis = kAxis;
            request.kernel = kernel;
            return hadamard(context, request);
          }};
}

RequestPlan plan_scale_layout(const Problem& problem) {
  const bool to_tiles = problem.layout == ScaleLayout::k128x4;
  const int64_t dense = problem.rows * problem.columns;
  const int64_t tiles = (problem.rows + 127) / 128 * 128 * ((problem.columns + 3) / 4 * 4);
  return {
      {{Content::kScales, to_tiles ? dense : tiles}, {Content::kOutput, to_tiles ? tiles : dense}},
      [=](Context& context, const Addresses& at, KernelKind kernel) {
        ScaleLayoutRequest request;
        request.from = at[0];
        request.to = at[1];
        request.to_layout = problem.layout;
        request.from_layout = to_tiles ? ScaleLayout::kRowMajor : ScaleLayout::k128x4;
        request.kernel = kernel;
        request.rows = problem.rows;
        request.blocks = problem.columns;
        return convert_scales(context, request);
      }};
}

// NVFP4 operands, no epilogue. Products are multiples of 1/16 and no more than 36 x 16: sums of up
// to some 2^20 of random sign are exact, in any order.
RequestPlan plan_gemm(const Problem& problem) {
  constexpr OperandFormat kFormat = OperandFormat::kNvfp4;
  RequestPlan plan;
  for (const int64_t rows : {problem.rows, problem.columns}) {
    plan.operands.push_back({Content::kCodes, rows * operand_row_bytes(kFormat, problem.depth)});
    plan.operands.push_back({Content::kPowers, operand_scale_bytes(kFormat, rows, problem.depth)});
  }
  plan.operands.push_back({Content::kOutput, matrix_bytes(problem)});
  plan.launch = [=](Context& context, const Addresses& at, KernelKind kernel) {
    constexpr OutputType kOutputs[] = {OutputType::kF32, OutputType::kF16, OutputType::kBf16};
    GemmRequest request;
    request.format = kFormat;
    request.m = problem.rows;
    request.n = problem.columns;
    request.k = problem.depth;
    request.a = {.data = at[0], .scales = at[1]};
    request.b = {.data = at[2], .scales = at[3]};
    request.d = {.data = at[4], .type = kOutputs[static_cast<int>(problem.type)]};
    request.kernel = kernel == KernelKind::kFast ? GemmKernel::kTensor : GemmKernel::kTrusted;
    return gemm(context, request);
  };
  return plan;
}

constexpr Entry kEntries[] = {
    {"amax", plan_amax},
    {"amax_rows", plan_amax_rows},
    {"quantize", plan_quantize},
    {"dequantize", plan_dequantize},
    {"hadamard", plan_hadamard<Axis::kRow>},
    {"hadamard_columns", plan_hadamard<Axis::kColumn>},
    {"scale_layout", plan_scale_layout},
    {"gemm", plan_gemm},
};

}  // namespace

Result<RequestPlan> plan_request(const Problem& problem) {
  std::string names;
  const bool is_gemm = problem.family == "gemm";
  if (is_gemm != (problem.depth > 0)) {
    return Status(Code::kInvalidArgument, "depth = " + std::to_string(problem.depth) +
                                              ": must be " +
                                              (is_gemm ? "k, >= 1" : "0: only gemm has one"));
  }
  for (const auto& [family, plan] : kEntries) {
    if (family == problem.family) return plan(problem);
    names += (names.empty() ? "" : ", ") + std::string(family);
  }
  return Status(Code::kInvalidArgument,
                "family '" + problem.family + "' cannot be tuned: " + names + " can");
}

}  // namespace nibble::autotune
