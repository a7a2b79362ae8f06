// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One multiplication of matrices in host memory on a device.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nibble/context.hpp"
#include "nibble/gemm.hpp"
#include "nibble/gemm_explain.hpp"
#include "nibble/status.hpp"
#include "runtime/cli/gemm_input.h"
#include "runtime/cli/gemm_options.h"

namespace nibble::cli {

struct GemmJob {
  OperandOptions operands;
  OutputType output = OutputType::kF32;  // kF32, kF16, kBf16
  float alpha = 1, beta = 0;
  BiasAxis bias_axis = BiasAxis::kNone;
  Activation activation = Activation::kNone;
  bool gated = false;
  GemmKernel kernel = GemmKernel::kAuto;
  GemmConfig config;
  std::string user_source;  // empty: none
  std::vector<float> user_arguments;
  bool explain = false;

  HostMatrix a, b, c;   // c: read where beta is not 0
  HostMatrix residual;  // of D's shape, or empty
  std::vector<float> bias;

  int64_t columns() const { return gated ? b.rows / 2 : b.rows; }  // of D
};

struct GemmAnswer {
  std::vector<uint8_t> d;  // dense elements of job.output
  std::string label;       // of the kernel
  int compiles = 0;        // of kernels, not found in the cache
  double compile_seconds = 0;
  double seconds = 0;  // of the multiplication alone: launch and wait
  std::optional<GemmExplanation> explanation;
};

Result<GemmAnswer> multiply(Context& context, const GemmJob& job);

int64_t element_bytes(OutputType type);  // of kF32, kF16, kBf16
// The elements of an answer, widened exactly.
std::vector<double> widened(const std::vector<uint8_t>& elements, OutputType type);

}  // namespace nibble::cli
