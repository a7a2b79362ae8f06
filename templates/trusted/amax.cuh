// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax_trusted, amax_rows_trusted: what the fast kernels are held against. A thread has 16 elements
// of a row at a time.
#pragma once

#include "params/quantize.h"
#include "trusted/numbers.cuh"

namespace nibble {

namespace trusted {

template <class Config>
__device__ float amax_of_16(const AmaxParams& params, int64_t row, int64_t first) {
  float amax = 0;
#pragma unroll 1
  for (int64_t column = first; column < first + 16 && column < params.columns; ++column) {
    amax = larger(amax, element<Config::kElementType>(params.x, row * params.row_stride + column));
  }
  return amax;
}

}  // namespace trusted

template <class Config>
__device__ void amax_trusted(const AmaxParams& params) {
  const int64_t runs = (params.columns + 15) / 16;
  float amax = 0;
#pragma unroll 1
  for (int64_t i = trusted::thread(); i < params.rows * runs; i += trusted::threads()) {
    amax = trusted::larger(amax, trusted::amax_of_16<Config>(params, i / runs, i % runs * 16));
  }
  trusted::set_amax(amax, params.amax);
}

// params.amax: one value a row, each of which must hold 0.0f (or an earlier maximum).
template <class Config>
__device__ void amax_rows_trusted(const AmaxParams& params) {
  const int64_t runs = (params.columns + 15) / 16;
#pragma unroll 1
  for (int64_t i = trusted::thread(); i < params.rows * runs; i += trusted::threads()) {
    const int64_t row = i / runs;
    trusted::raise_amax(trusted::amax_of_16<Config>(params, row, i % runs * 16), params.amax + row);
  }
}

}  // namespace nibble
