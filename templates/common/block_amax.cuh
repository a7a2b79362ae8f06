// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The largest magnitude that a thread block has seen, told to the grid.
#pragma once

#include "ptx/reduce.cuh"

namespace nibble {

// The maximum of the bits of non-negative floats over the thread block, in thread 0.
template <int kThreads>
__device__ uint32_t block_maximum(float local) {
  __shared__ uint32_t warp_max[kThreads / 32];
  const uint32_t of_warp = ptx::redux_sync_max_u32(__float_as_uint(local));
  if (threadIdx.x % 32 == 0) warp_max[threadIdx.x / 32] = of_warp;
  __syncthreads();
  if (threadIdx.x >= 32) return 0;
  return ptx::redux_sync_max_u32(threadIdx.x < kThreads / 32 ? warp_max[threadIdx.x] : 0);
}

// Into *amax. A grid of one thread block overwrites it, a larger one raises it.
template <int kThreads>
__device__ void reduce_amax(float local, float* amax) {
  const uint32_t of_block = block_maximum<kThreads>(local);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1 && gridDim.y == 1) {
    *amax = __uint_as_float(of_block);
  } else {
    ptx::red_relaxed_gpu_global_max_u32(amax, of_block);
  }
}

}  // namespace nibble
