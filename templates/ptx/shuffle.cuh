// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Values of other lanes of the warp.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-shfl-sync
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// That of lane (own ^ mask). The lanes whose bits are set in `members` take part, all 32 unless
// said.
__device__ inline float shfl_sync_bfly_f32(float a, int mask, uint32_t members = 0xffffffffu) {
  float d;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, %3;"
               : "=f"(d)
               : "f"(a), "r"(mask), "r"(members));
  return d;
}

// The same of a word. All 32 lanes take part.
__device__ inline uint32_t shfl_sync_bfly_b32(uint32_t a, int mask) {
  uint32_t d;
  asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=r"(d) : "r"(a), "r"(mask));
  return d;
}

// That of lane `lane` modulo 32. All 32 lanes take part.
__device__ inline float shfl_sync_idx_f32(float a, int lane) {
  float d;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(d) : "f"(a), "r"(lane));
  return d;
}

}  // namespace nibble::ptx
