// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Reductions over the lanes of a warp and into global memory.
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// The maximum over all 32 lanes, in each of them. sm_80.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-redux-sync
__device__ inline uint32_t redux_sync_max_u32(uint32_t a) {
  uint32_t d;
  asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(d) : "r"(a));
  return d;
}

// Whether it holds for any lane. sm_70.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-vote-sync
__device__ inline bool vote_sync_any(bool a) {
  uint32_t d;
  asm volatile(
      "{\n\t"
      ".reg .pred p;\n\t"
      "setp.ne.u32 p, %1, 0;\n\t"
      "vote.sync.any.pred p, p, 0xffffffff;\n\t"
      "selp.u32 %0, 1, 0, p;\n\t"
      "}"
      : "=r"(d)
      : "r"(uint32_t{a}));
  return d != 0;
}

// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-red
__device__ inline void red_relaxed_gpu_global_max_u32(void* a, uint32_t b) {
  asm volatile("red.relaxed.gpu.global.max.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(a)), "r"(b)
               : "memory");
}

}  // namespace nibble::ptx
