// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The largest magnitude that a thread block has seen, told to the grid.
#pragma once

#include "ptx/reduce.cuh"

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

}  // namespace nibble
