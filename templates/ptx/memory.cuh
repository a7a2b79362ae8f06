// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Wide accesses to global memory; addresses are multiples of the access size.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-ld-global-nc
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-st
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// Read-only for the life of the kernel (.nc).
__device__ inline void ld_global_nc_v4_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.nc.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "l"(__cvta_generic_to_global(a)));
}

// sm_100.
__device__ inline void ld_global_nc_v8_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.nc.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
                 "=r"(d[7])
               : "l"(__cvta_generic_to_global(a)));
}

__device__ inline void ld_global_nc_v2_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.nc.v2.b32 {%0, %1}, [%2];"
               : "=r"(d[0]), "=r"(d[1])
               : "l"(__cvta_generic_to_global(a)));
}

__device__ inline void ld_global_v4_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "l"(__cvta_generic_to_global(a))
               : "memory");
}

__device__ inline void ld_global_v2_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.v2.b32 {%0, %1}, [%2];"
               : "=r"(d[0]), "=r"(d[1])
               : "l"(__cvta_generic_to_global(a))
               : "memory");
}

// sm_100.
__device__ inline void ld_global_v8_b32(const void* a, uint32_t* d) {
  asm volatile("ld.global.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]), "=r"(d[6]),
                 "=r"(d[7])
               : "l"(__cvta_generic_to_global(a))
               : "memory");
}

__device__ inline void st_global_v2_b32(void* a, const uint32_t* b) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(a)), "r"(b[0]),
               "r"(b[1])
               : "memory");
}

__device__ inline void st_global_v4_b32(void* a, const uint32_t* b) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(a)),
               "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3])
               : "memory");
}

// sm_100.
__device__ inline void st_global_v8_b32(void* a, const uint32_t* b) {
  asm volatile(
      "st.global.v8.b32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8};" ::"l"(__cvta_generic_to_global(a)),
      "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(b[4]), "r"(b[5]), "r"(b[6]), "r"(b[7])
      : "memory");
}

}  // namespace nibble::ptx
