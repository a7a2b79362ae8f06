// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The gemm families as data: the constants of their Config, which of their combinations a GPU can
// hold, and what of them a request determines.
#pragma once

#include "nibble/gemm.hpp"
#include "runtime/jit/family.h"

namespace nibble {

// The places of the constants in KernelSpec::values. gemm_trusted has those up to
// kGemmHasE2m1Conversion, gemm has all.
enum GemmConstant : size_t {
  kGemmThreads,
  // Of the problem
  kGemmFormat,   // OperandFormat
  kGemmE5m2OfA,  // Fp8Type
  kGemmE5m2OfB,
  kGemmOutput,      // OutputType
  kGemmAlpha,       // 0: the host's number, 1: times the product of amaxes, 2: of scales
  kGemmC,           // 0: beta = 0, else 1 + DataType
  kGemmBias,        // BiasAxis
  kGemmBiasType,    // DataType; 0 without a bias
  kGemmActivation,  // Activation
  kGemmGated,
  kGemmResidual,     // 0: none, else 1 + DataType
  kGemmAmax,         // 1: max |D| is wanted
  kGemmVectorBytes,  // of one access to rows of C, residual and D: 16, or 0: an element
  kGemmHasE2m1Conversion,
  kGemmTrustedConstants,
  kGemmSwapped = kGemmTrustedConstants,
  kGemmDirectStore,  // 1: rows of D are not aligned for TMA, or are FP4
  // Tuned
  kGemmCtaGroup,
  kGemmTileN,
  kGemmTileK,  // bytes
  kGemmClusterM,
  kGemmClusterN,
  kGemmStages,
  kGemmAccumulators,
  kGemmRaster,
  kGemmSplit,
  kGemmEpilogueColumns,
  kGemmScheduler,
  kGemmConstants
};

// The rows of both families.
std::span<const Constant> gemm_constants();
std::span<const Constant> gemm_trusted_constants();

extern const Family kGemmFamily;
extern const Family kGemmTrustedFamily;

}  // namespace nibble
