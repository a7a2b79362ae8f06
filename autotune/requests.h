// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The requests that can be tuned: what memory one needs and how it is launched.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "nibble/context.hpp"
#include "nibble/quantize.hpp"
#include "nibble/types.hpp"

namespace nibble::autotune {

struct Problem {
  std::string family = "quantize";
  int64_t rows = 0;     // of the matrix that is not quantised; gemm: of D
  int64_t columns = 0;  // scale_layout: blocks of a row
  DataType type = DataType::kBf16;
  ScaleLayout layout = ScaleLayout::kRowMajor;  // of scales; scale_layout: the one it makes
  int64_t size = 0;   // Hadamard: elements of a group; 0: the whole row or column
  int64_t depth = 0;  // gemm: k
  // quantize, dequantize
  QuantizedFormat format = QuantizedFormat::kNvfp4;
  BlockScaling scaling = BlockScaling::kLargest;
  // quantize
  Copies copies = Copies::kRowWise;
  BlockShape blocks = BlockShape::kRow;
  Rounding rounding = Rounding::kNearestEven;
  bool transform = false;  // of the transposed copy where there is one, else of the rows
};

// What an operand is filled with.
enum class Content {
  kElements,  // random numbers
  kCodes,
  kScales,
  kPowers,  // scales that are powers of two
  kAmax,    // one, larger than every element
  kOutput,  // written by the request
};
struct OperandShape {
  Content content;
  int64_t bytes;
};

constexpr size_t kMostOperands = 8;
using Addresses = std::array<DevicePointer, kMostOperands>;  // of the operands, in their order

// On the default stream.
using Launch = std::function<Status(Context&, const Addresses&, KernelKind)>;

struct RequestPlan {
  std::vector<OperandShape> operands;
  Launch launch;
};

// kInvalidArgument names the families that can be tuned.
Result<RequestPlan> plan_request(const Problem& problem);

}  // namespace nibble::autotune
