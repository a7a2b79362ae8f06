// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Memory that will be read soon. sm_90.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cp-async-bulk-prefetch
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// Address and size are multiples of 16 bytes.
__device__ inline void cp_async_bulk_prefetch_l2_global(const void* a, uint32_t size) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(__cvta_generic_to_global(a)),
               "r"(size)
               : "memory");
}

}  // namespace nibble::ptx
