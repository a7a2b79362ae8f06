// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax_rows: the largest magnitude of each row of a matrix.
#pragma once

#include "ptx/reduce.cuh"
#include "ptx/shuffle.cuh"
#include "quantize/amax.cuh"

namespace nibble {

// The maximum over the lanes that share a row, in each of them.
template <int kLanes>
__device__ float row_maximum(float local) {
  if constexpr (kLanes == 32) {
    return __uint_as_float(ptx::redux_sync_max_u32(__float_as_uint(local)));
  } else {
#pragma unroll
    for (int distance = 1; distance < kLanes; distance *= 2) {
      local = fmaxf(local, ptx::shfl_sync_bfly_f32(local, distance));
    }
    return local;
  }
}

// params.amax: one value a row, each of which must hold 0.0f (or an earlier maximum).
template <class Config>
__device__ void amax_rows(const AmaxParams& params) {
  using T = Tile<Config>;
  constexpr int kLanes = T::kThreadsPerRow < 32 ? T::kThreadsPerRow : 32;
  for (int64_t row = T::first_row();; row += T::row_step()) {
    // All lanes of a warp go on while any of them has a row.
    if (row - threadIdx.x % 32 / kLanes >= params.rows) break;
    float local = 0.0f;
    if (row < params.rows) {
      for (int64_t first = T::first_block(); first * kBlockSize < params.columns;
           first += T::block_step()) {
        local = fmaxf(local, amax_of_blocks<Config>(params, row, first));
      }
    }
    local = row_maximum<kLanes>(local);
    if (row < params.rows && threadIdx.x % kLanes == 0) {
      ptx::red_relaxed_gpu_global_max_u32(params.amax + row, __float_as_uint(local));
    }
  }
}

}  // namespace nibble
