// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Accesses by address of the shared window.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-st
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

__device__ inline uint32_t ld_shared_b32(uint32_t from) {
  uint32_t d;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(d) : "r"(from) : "memory");
  return d;
}
__device__ inline void ld_shared_v2_b32(uint32_t from, uint32_t* d) {
  asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(d[0]), "=r"(d[1]) : "r"(from) : "memory");
}
__device__ inline void ld_shared_v4_b32(uint32_t from, uint32_t* d) {
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(from)
               : "memory");
}
__device__ inline void st_shared_v2_b32(uint32_t to, uint32_t a, uint32_t b) {
  asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(to), "r"(a), "r"(b) : "memory");
}
__device__ inline void st_shared_v4_b32(uint32_t to, uint32_t a, uint32_t b, uint32_t c,
                                        uint32_t d) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(a), "r"(b), "r"(c), "r"(d)
               : "memory");
}
__device__ inline void st_shared_b32(uint32_t to, uint32_t a) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(a) : "memory");
}
__device__ inline void st_shared_b16(uint32_t to, uint16_t a) {
  asm volatile("st.shared.b16 [%0], %1;" ::"r"(to), "h"(a) : "memory");
}

}  // namespace nibble::ptx
