// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What thread blocks tell each other through global memory.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-atom
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// The value before. What this thread knows of is visible to who reads the sum this way.
__device__ inline uint32_t atom_add_acq_rel_gpu_global_u32(void* a, uint32_t b) {
  uint32_t d;
  asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;"
               : "=r"(d)
               : "l"(__cvta_generic_to_global(a)), "r"(b)
               : "memory");
  return d;
}

// Reads what other thread blocks may have written.
__device__ inline void ld_relaxed_gpu_global_v4_f32(const void* a, float (&d)[4]) {
  asm volatile("ld.relaxed.gpu.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "l"(__cvta_generic_to_global(a))
               : "memory");
}

}  // namespace nibble::ptx
