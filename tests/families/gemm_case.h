// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A matrix multiplication with all its choices, as a value that can be drawn at random, printed,
// and run against the reference: on guarded, poisoned memory, bit for bit.
#pragma once

#include <functional>
#include <iosfwd>
#include <nibble/gemm.hpp>

#include "tests/families/device_test.h"

namespace nibble::test {

// How operands are drawn.
enum class GemmValues : int {
  kPlain,    // any codes, scales within a few powers of two of 1
  kExtreme,  // any scales but NaN, down to zero and up to the largest; bf16: any finite bits
  kSpecial,  // kPlain with a few NaN scales or elements and, in bf16, infinities
};

// The user's own epilogues (gemm_user.cpp).
enum class GemmUser : int { kNone, kClamp, kByPlace, kTable, kMixed, kSteps, kHalfTable };
inline constexpr GemmUser kGemmUsers[] = {GemmUser::kClamp, GemmUser::kByPlace,
                                          GemmUser::kTable, GemmUser::kMixed,
                                          GemmUser::kSteps, GemmUser::kHalfTable};
const char* user_name(GemmUser user);

struct GemmCase {
  uint64_t seed = 1;  // of all values
  OperandFormat format = OperandFormat::kNvfp4;
  bool a_e5m2 = false, b_e5m2 = false;  // kFp8
  GemmValues values = GemmValues::kPlain;
  int64_t m = 1, n = 1, k = 1, batch = 1;
  // Beyond what the shape needs; bytes, multiples of 16.
  int64_t a_row_gap = 0, b_row_gap = 0, a_batch_gap = 0, b_batch_gap = 0, scale_batch_gap = 0;

  OutputType output = OutputType::kBf16;
  int64_t d_row_gap = 0, d_batch_gap = 0;  // elements; FP4: multiples of 16
  int64_t d_offset = 0;                    // elements by which D is off 256-byte alignment; FP4: 16
  bool amax = false;

  bool tensor_factors = false;  // NVFP4: amaxes; FP8: scales
  bool has_c = false;           // beta != 0
  DataType c_type = DataType::kF32;
  bool in_place = false;  // C is D; not gated, the types the same
  int64_t c_row_gap = 0;  // elements

  BiasAxis bias_axis = BiasAxis::kNone;
  DataType bias_type = DataType::kF32;
  Activation activation = Activation::kNone;
  bool gated = false;
  bool residual = false;
  DataType residual_type = DataType::kBf16;
  int64_t residual_row_gap = 0;  // elements

  GemmUser user = GemmUser::kNone;

  // What runs, and by which arithmetic it is expected to add: the tensor cores' where `tensor`, in
  // config.split parts of stages of config.tile_k bytes.
  GemmKernel kernel = GemmKernel::kAuto;
  GemmConfig config;
  bool tensor = false;
  bool workspace = false;  // is given one of the bytes that gemm_workspace_bytes() asks for
};

std::ostream& operator<<(std::ostream& out, const GemmCase& gemm);

// Shapes up to a few hundred, about `work` products at most.
GemmCase random_case(std::mt19937_64& random, int64_t work = 4 << 20);

using GemmFunction = std::function<Status(Context&, const GemmRequest&)>;

// Runs the case and compares D, its scales, its amax and the bytes between with the reference.
void check_gemm(Context& context, const GemmCase& gemm,
                const GemmFunction& multiply = &nibble::gemm);

}  // namespace nibble::test
