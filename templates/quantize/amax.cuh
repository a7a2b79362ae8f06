// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax: the largest magnitude of a matrix.
#pragma once

#include "common/elements.cuh"
#include "params/quantize.h"
#include "ptx/reduce.cuh"
#include "quantize/tile.cuh"

namespace nibble {

// The maximum of the bits of non-negative floats over the thread block, into *amax.
template <int kThreads>
__device__ void reduce_amax(float local, float* amax) {
  __shared__ uint32_t warp_max[kThreads / 32];
  const uint32_t of_warp = ptx::redux_sync_max_u32(__float_as_uint(local));
  if (threadIdx.x % 32 == 0) warp_max[threadIdx.x / 32] = of_warp;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  const uint32_t of_block =
      ptx::redux_sync_max_u32(threadIdx.x < kThreads / 32 ? warp_max[threadIdx.x] : 0);
  if (threadIdx.x == 0) ptx::red_relaxed_gpu_global_max_u32(amax, of_block);
}

template <class Config>
__device__ void amax(const AmaxParams& params) {
  using T = Tile<Config>;
  using Block = Elements<Config::kElementType>;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = T::kThreadsPerRow;

  float local = 0.0f;
  for (int64_t row = T::first_row(); row < params.rows; row += T::row_step()) {
    const char* x =
        static_cast<const char*>(params.x) + row * params.row_stride * Block::kElementBytes;
    for (int64_t first = T::first_block(); first * kBlockSize < params.columns;
         first += T::block_step()) {
      const int64_t end = first + (kCount - 1) * kStep + 1;
      if (end * kBlockSize <= params.columns) {
        Block block[kCount];
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          block[i].template load<Config::kVectorBytes>(x + (first + i * kStep) * Block::kBytes);
        }
#pragma unroll
        for (int i = 0; i < kCount; ++i) local = fmaxf(local, block[i].amax());
      } else {
#pragma unroll 1
        for (int64_t at = first; at < end && at * kBlockSize < params.columns; at += kStep) {
          Block block;
          block.template load<Config::kVectorBytes>(x + at * Block::kBytes,
                                                    block_count(at, params.columns));
          local = fmaxf(local, block.amax());
        }
      }
    }
  }
  reduce_amax<Config::kThreads>(local, params.amax);
}

}  // namespace nibble
