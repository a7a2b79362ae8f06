// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What happens to the sums of a matrix multiplication on their way to D. Each line is one fp32
// operation that is rounded once; the order is the numerics contract of templates/README.md.
#pragma once

#include "gemm/activation.cuh"
#include "gemm/output.cuh"
#include "gemm/runs.cuh"
#include "ptx/arithmetic.cuh"

namespace nibble {

// Config::kAlpha.
enum : int {
  kAlphaOfHost = 0,
  kAlphaTimesAmaxes = 1,
  kAlphaTimesScales = 2,
};

// Config::kBias.
enum : int {
  kBiasOfColumn = 1,
  kBiasOfRow = 2,
};

// What sums are multiplied by: the same for all, so once a thread.
template <class Config>
__device__ float gemm_alpha(const GemmEpilogueParams& params) {
  static_assert(Config::kAlpha >= 0 && Config::kAlpha <= 2, "kAlpha: 0 to 2");
  if constexpr (Config::kAlpha == kAlphaOfHost) {
    return params.alpha;
  } else {
    const float product = __fmul_rn(__fmul_rn(params.alpha, *params.a_factor), *params.b_factor);
    constexpr float kPerAmax = 1.0f / 7225344.0f;  // 2688^2; 0x34149B93
    return Config::kAlpha == kAlphaTimesAmaxes ? __fmul_rn(product, kPerAmax) : product;
  }
}

// value += bias. kColumns, kRows: of the run, one of them 1.
template <class Config, int kCount, bool kDown>
__device__ void add_bias(const GemmEpilogueParams& params, int64_t row, int64_t column,
                         float (&value)[kCount]) {
  constexpr int kType = Config::kBiasType;
  constexpr bool kOfColumn = Config::kBias == kBiasOfColumn;
  const int64_t first = kOfColumn ? column : row;
  const int64_t end = kOfColumn ? params.n : params.m;
  const char* from = static_cast<const char*>(params.bias) + first * kElementBytes<kType>;
  if constexpr (kOfColumn != kDown) {
    read_row<kType, kDown ? 0 : Config::kVectorBytes, kCount>(
        from, count_inside<kCount>(first, end),
        [&](int i, float bias) { value[i] = __fadd_rn(value[i], bias); });
  } else {
    const float bias = first < end ? read_element<kType>(from) : 0.0f;
#pragma unroll
    for (int i = 0; i < kCount; ++i) value[i] = __fadd_rn(value[i], bias);
  }
}

template <class Config, int kCount>
__device__ void activate_run(float (&value)[kCount]) {
#pragma unroll
  for (int i = 0; i < kFinished<Config, kCount>; ++i) {
    if constexpr (Config::kGated) {
      value[i] = __fmul_rn(activate<Config::kActivation>(value[2 * i]), value[2 * i + 1]);
    } else {
      value[i] = activate<Config::kActivation>(value[i]);
    }
  }
}

// A Config without kUser has no Epilogue.
template <class Config>
constexpr bool kHasUser = requires {
  requires Config::kUser != 0;
};

// value = user(value, row, column of D). Not called beyond D: it may read by row and column.
template <class Config, int kCount, bool kDown>
__device__ void call_user(const GemmEpilogueParams& params, int64_t row, int64_t column, int count,
                          float (&value)[kCount]) {
  using User = typename Config::Epilogue;
  static_assert(sizeof(User) <= sizeof(params.user) && alignof(User) <= 16,
                "Epilogue: at most 128 bytes, aligned to at most 16");
  const User& user = *reinterpret_cast<const User*>(params.user);
#pragma unroll
  for (int i = 0; i < kFinished<Config, kCount>; ++i) {
    if (i < count) value[i] = user(value[i], row + (kDown ? i : 0), column + (kDown ? 0 : i));
  }
}

// value[i]: the sum of element (row, column + i) of the product, kDown: of (row + i, column). Then
// the first kFinished values are those of D, unrounded; its column is d_column(column). Values
// beyond the product may be anything. Not kDown: column is a multiple of kCount.
template <class Config, int kCount, bool kDown>
__device__ void finish(const GemmEpilogueParams& params, float alpha, int64_t batch, int64_t row,
                       int64_t column, float (&value)[kCount]) {
  static_assert(Config::kVectorBytes == 0 || Config::kVectorBytes == 16, "kVectorBytes: 0 or 16");
  static_assert(!(kDown && Config::kGated), "gated pairs are neighbours in a row");
  constexpr int kVector = Config::kVectorBytes;
#pragma unroll
  for (int i = 0; i < kCount; i += 2) ptx::mul_rn_f32x2(value[i], value[i + 1], alpha);
  if constexpr (Config::kC != 0) {
    read_run<Config::kC - 1, kVector, kCount, kDown>(
        params.c, params.m, params.n, batch, row, column,
        [&](int i, float c) { value[i] = __fmaf_rn(params.beta, c, value[i]); });
  }
  if constexpr (Config::kBias != 0) {
    add_bias<Config, kCount, kDown>(params, row, column, value);
  }
  activate_run<Config, kCount>(value);
  constexpr int kOut = kFinished<Config, kCount>;
  const int64_t out_column = d_column<Config>(column);
  if constexpr (Config::kResidual != 0) {
    read_run<Config::kResidual - 1, kVector, kOut, kDown>(
        params.residual, params.m, d_column<Config>(params.n), batch, row, out_column,
        [&](int i, float residual) { value[i] = __fadd_rn(value[i], residual); });
  }
  if constexpr (kHasUser<Config>) {
    const int count = count_in_d<Config, kOut, kDown>(params, row, out_column);
    call_user<Config, kCount, kDown>(params, row, out_column, count, value);
  }
}

}  // namespace nibble
