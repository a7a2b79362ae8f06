// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// gemm_trusted: the matrix multiplication that others are compared with. One thread walks k for a
// few neighbours in a row of D; every target can run it.
//
// The sum, from k = 0 on, over the blocks that share a scale (formats without: over the elements):
//   sum = RN64(sum + dot * (scale_A * scale_B))      dot and the product in exact arithmetic
// and RN of that to fp32 goes into the epilogue.
#pragma once

#include "gemm/epilogue.cuh"
#include "gemm/operands.cuh"
#include "gemm/output_fp4.cuh"

namespace nibble {

// Neighbours in a row of the product that one thread computes. FP4: those of one block of D.
template <class Config>
constexpr int kTrustedRun = Config::kOutput <= kBf16
                                ? 4
                                : kScaledElements<Config>*(Config::kGated ? 2 : 1);

// value[i] = sum of element (row, column + i); columns of n and beyond repeat the last.
template <class Config, int kCount>
__device__ void trusted_sums(const GemmTrustedParams& params, int64_t batch, int64_t row,
                             int64_t column, float (&value)[kCount]) {
  using Row = OperandRow<Config::kFormat>;
  using Dot = typename Row::Dot;
  const unsigned char* b = params.b + batch * params.b_batch_stride;
  const unsigned char* b_scales = params.b_scales + batch * params.b_scale_batch_stride;
  const Row of_a(params.a + batch * params.a_batch_stride,
                 params.a_scales + batch * params.a_scale_batch_stride, params.a_row_stride, row,
                 params.k);
  double sum[kCount] = {};
#pragma unroll 1
  for (int64_t first = 0; first < params.k; first += Row::kBlock) {
    const int64_t end = first + Row::kBlock < params.k ? first + Row::kBlock : params.k;
    const double scale = of_a.scale(first / Row::kBlock);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t at = column + i < params.epilogue.n ? column + i : params.epilogue.n - 1;
      const Row of_b(b, b_scales, params.b_row_stride, at, params.k);
      Dot dot = 0;
#pragma unroll 1
      for (int64_t j = first; j < end; ++j) {
        dot += static_cast<Dot>(of_a.element(j)) * static_cast<Dot>(of_b.element(j));
      }
      sum[i] =
          __dadd_rn(sum[i], static_cast<double>(dot) * (scale * of_b.scale(first / Row::kBlock)));
    }
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) value[i] = static_cast<float>(sum[i]);
}

// One run of D. Rows from m on are padding of the scales.
template <class Config>
__device__ void trusted_run(const GemmTrustedParams& params, float alpha, const TensorScale& tensor,
                            int64_t batch, int64_t row, int64_t column, float& amax) {
  constexpr int kCount = kTrustedRun<Config>;
  constexpr int kOut = kFinished<Config, kCount>;
  const GemmEpilogueParams& epilogue = params.epilogue;
  const int64_t out = d_column<Config>(column);
  float value[kCount] = {};
  if (row < epilogue.m) {
    trusted_sums<Config, kCount>(params, batch, row, column, value);
    finish<Config, kCount, false>(epilogue, alpha, batch, row, column, value);
  }
  if constexpr (Config::kOutput <= kBf16) {
    uint32_t word[kPackedWords<Config, kOut>];
    pack<Config, kOut>(value, word);
    const int count = count_in_d<Config, kOut, false>(epilogue, row, out);
    if constexpr (Config::kAmax) track_amax<Config, kOut>(word, count, amax);
    store_direct<Config, kOut, false>(epilogue, batch, row, out, count, word);
  } else {
    store_fp4_row<Config, kOut>(epilogue, tensor, batch, row, out, value, amax);
  }
}

template <class Config>
__device__ void gemm_trusted(const GemmTrustedParams& params) {
  constexpr int kCount = kTrustedRun<Config>;
  const GemmEpilogueParams& epilogue = params.epilogue;
  const float alpha = gemm_alpha<Config>(epilogue);
  TensorScale tensor = {};
  int64_t rows = epilogue.m;
  if constexpr (Config::kOutput > kBf16) {
    tensor = output_scale<Config>(epilogue);
    rows = ScaleLayout<k128x4>::padded_rows(rows);
  }
  const int64_t runs = ceil_div(epilogue.n, kCount);
  const int64_t all = params.batch * rows * runs;
  float amax = 0.0f;
#pragma unroll 1
  for (int64_t at = int64_t{blockIdx.x} * Config::kThreads + threadIdx.x; at < all;
       at += int64_t{gridDim.x} * Config::kThreads) {
    trusted_run<Config>(params, alpha, tensor, at / runs / rows, at / runs % rows,
                        at % runs * kCount, amax);
  }
  if constexpr (Config::kAmax) warp_amax(amax, epilogue.d_amax);
}

}  // namespace nibble
