// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the gemm families share of a request: its strides, its checks, and what of a kernel's Config
// and parameters follows from it.
#pragma once

#include "nibble/gemm.hpp"
#include "runtime/families/tile.h"
#include "templates/params/gemm.h"

namespace nibble {

bool is_fp4(OutputType type);
// Elements of k that share a scale; 0: the format has none.
int64_t scaled_elements(OperandFormat format);
// The columns of D: n, or n / 2 of gated pairs.
int64_t output_columns(const GemmRequest& request);
// FP4: bytes of the scales of one matrix, padding included.
int64_t output_scale_bytes(const GemmRequest& request);
// Nothing to compute and nothing to write.
inline bool is_empty(const GemmRequest& request) {
  return request.m == 0 || request.n == 0 || request.batch == 0;
}

// Of m, n, k and batch: coordinates of tensor maps are 32-bit integers.
constexpr int64_t kMaxGemmSize = (int64_t{1} << 31) - 1;
bool sizes_are_legal(const GemmRequest& request);

// Strides filled in where they are 0.
GemmRequest with_strides(GemmRequest request);

// Every rule of gemm.hpp but those of GemmConfig. Strides must be filled in. kOptional: a plan,
// whose null pointers count as aligned; what is optional (C aside, which beta decides) is then
// there if its pointer is not null.
Status check(const GemmRequest& request, Pointers pointers);

// The bytes of one access to rows of C, bias, residual and D: 16 where all are aligned to that,
// else 0: single elements. FP4 codes are stored by 8 bytes and do not count.
int gemm_vector_bytes(const GemmRequest& request);
// Sets the constants from kGemmFormat to kGemmVectorBytes, and the user's epilogue.
void set_problem(KernelSpec& spec, const GemmRequest& request);

GemmEpilogueParams epilogue_params(const GemmRequest& request);

}  // namespace nibble
