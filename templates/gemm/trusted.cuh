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

// Neighbours in a row of the product that one thread sums up at a time, and those that it computes
// for one run of D: FP4 needs the whole of a block.
enum : int { kTrustedSums = 4 };
template <class Config>
constexpr int kTrustedRun = Config::kOutput <= kBf16
                                ? kTrustedSums
                                : kScaledElements<Config>*(Config::kGated ? 2 : 1);

template <class Config>
using RowOfA = OperandRow<Config::kFormat, Config::kE5m2OfA != 0>;
template <class Config>
using RowOfB = OperandRow<Config::kFormat, Config::kE5m2OfB != 0>;

// The sum of one element of the product.
template <class Config>
__device__ float trusted_sum(const RowOfA<Config>& a, const RowOfB<Config>& b, int64_t k) {
  using Row = RowOfA<Config>;
  using Dot = typename Row::Dot;
  double sum = 0;
#pragma unroll 1
  for (int64_t first = 0; first < k; first += Row::kBlock) {
    const int64_t end = first + Row::kBlock < k ? first + Row::kBlock : k;
    Dot dot = 0;
#pragma unroll 1
    for (int64_t i = first; i < end; ++i) {
      dot += static_cast<Dot>(a.element(i)) * static_cast<Dot>(b.element(i));
    }
    const double scale = a.scale(first / Row::kBlock) * b.scale(first / Row::kBlock);
    sum = __dadd_rn(sum, __dmul_rn(static_cast<double>(dot), scale));
  }
  return static_cast<float>(sum);
}

// value[i] = sum of element (row, column + i); columns of n and beyond repeat the last.
template <class Config>
__device__ void trusted_sums(const GemmTrustedParams& params, int64_t batch, int64_t row,
                             int64_t column, float (&value)[kTrustedSums]) {
  const RowOfA<Config> a(params.a + batch * params.a_batch_stride,
                         params.a_scales + batch * params.a_scale_batch_stride, params.a_row_stride,
                         row, params.k);
#pragma unroll
  for (int i = 0; i < kTrustedSums; ++i) {
    const int64_t at = column + i < params.epilogue.n ? column + i : params.epilogue.n - 1;
    const RowOfB<Config> b(params.b + batch * params.b_batch_stride,
                           params.b_scales + batch * params.b_scale_batch_stride,
                           params.b_row_stride, at, params.k);
    value[i] = trusted_sum<Config>(a, b, params.k);
  }
}

// The finished values of kTrustedSums elements of the product.
template <class Config>
__device__ void trusted_values(const GemmTrustedParams& params, float alpha, int64_t batch,
                               int64_t row, int64_t column, float (&value)[kTrustedSums]) {
  trusted_sums<Config>(params, batch, row, column, value);
  finish<Config, kTrustedSums, false>(params.epilogue, alpha, batch, row, column, value);
}

// One block of D, collected in shared memory, as registers have no index. Rows from m on are
// padding of the scales.
template <class Config>
__device__ void trusted_block(const GemmTrustedParams& params, float alpha,
                              const TensorScale& tensor, int64_t batch, int64_t row, int64_t column,
                              float& amax) {
  constexpr int kStep = kFinished<Config, kTrustedSums>;
  constexpr int kOut = kScaledElements<Config>;
  __shared__ float collected[kOut][Config::kThreads];
#pragma unroll 1
  for (int i = 0; i < kOut && row < params.epilogue.m; i += kStep) {
    float value[kTrustedSums];
    trusted_values<Config>(params, alpha, batch, row, column + i * (kTrustedSums / kStep), value);
#pragma unroll
    for (int j = 0; j < kStep; ++j) collected[i + j][threadIdx.x] = value[j];
  }
  float value[kOut] = {};
  if (row < params.epilogue.m) {
#pragma unroll
    for (int i = 0; i < kOut; ++i) value[i] = collected[i][threadIdx.x];
  }
  const int64_t out = d_column<Config>(column);
  cut_run<Config, kOut>(count_in_d<Config, kOut, false>(params.epilogue, row, out), value, amax);
  store_fp4_row<Config, kOut>(params.epilogue, tensor, batch, row, out, value);
}

template <class Config>
__device__ void trusted_run(const GemmTrustedParams& params, float alpha, int64_t batch,
                            int64_t row, int64_t column, float& amax) {
  constexpr int kOut = kFinished<Config, kTrustedSums>;
  float value[kTrustedSums];
  trusted_values<Config>(params, alpha, batch, row, column, value);
  uint32_t word[kPackedWords<Config, kOut>];
  pack<Config, kOut>(value, word);
  const int64_t out = d_column<Config>(column);
  const int count = count_in_d<Config, kOut, false>(params.epilogue, row, out);
  if constexpr (Config::kAmax) track_amax<Config, kOut>(word, count, amax);
  store_direct<Config, kOut, false>(params.epilogue, batch, row, out, count, word);
}

// Neighbouring threads work on kTrustedAcross neighbouring runs of a row; the others of the thread
// block on the rows below.
enum : int { kTrustedAcross = 8 };

template <class Config>
__device__ void gemm_trusted(const GemmTrustedParams& params) {
  constexpr bool kFp4 = Config::kOutput > kBf16;
  constexpr int kDown = Config::kThreads / kTrustedAcross;
  const GemmEpilogueParams& epilogue = params.epilogue;
  const float alpha = gemm_alpha<Config>(epilogue);
  const TensorScale tensor = output_scale<Config>(epilogue);
  const int64_t rows = kFp4 ? ScaleLayout<k128x4>::padded_rows(epilogue.m) : epilogue.m;
  const int64_t first =
      (int64_t{blockIdx.x} * kTrustedAcross + threadIdx.x % kTrustedAcross) * kTrustedRun<Config>;
  const int64_t step = int64_t{gridDim.x} * kTrustedAcross * kTrustedRun<Config>;
  float amax = 0.0f;
#pragma unroll 1
  for (int64_t batch = blockIdx.z; batch < params.batch; batch += gridDim.z) {
#pragma unroll 1
    for (int64_t row = int64_t{blockIdx.y} * kDown + threadIdx.x / kTrustedAcross; row < rows;
         row += int64_t{gridDim.y} * kDown) {
#pragma unroll 1
      for (int64_t column = first; column < epilogue.n; column += step) {
        if constexpr (kFp4) {
          trusted_block<Config>(params, alpha, tensor, batch, row, column, amax);
        } else {
          trusted_run<Config>(params, alpha, batch, row, column, amax);
        }
      }
    }
  }
  if constexpr (Config::kAmax) warp_amax(amax, epilogue.d_amax);
}

}  // namespace nibble
