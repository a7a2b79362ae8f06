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
__device__ inline float ld_relaxed_gpu_global_f32(const void* a) {
  float d;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];"
               : "=f"(d)
               : "l"(__cvta_generic_to_global(a))
               : "memory");
  return d;
}

}  // namespace nibble::ptx
