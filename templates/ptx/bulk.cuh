// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Asynchronous copies of consecutive bytes. sm_90.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-cp-async-bulk
#pragma once

#include "common/types.cuh"

namespace nibble::ptx {

// To shared memory of this thread block, whose barrier counts the bytes. Addresses and size are
// multiples of 16.
__device__ inline void cp_async_bulk_shared_global(uint32_t to, const void* from, uint32_t size,
                                                   uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(__cvta_generic_to_global(from)), "r"(size), "r"(barrier)
      : "memory");
}

}  // namespace nibble::ptx
