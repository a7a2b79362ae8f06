// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrix multiplication on the fifth-generation tensor cores: D = epilogue(alpha * A x B^T + beta *
// C).
//
// A persistent kernel of specialised warps that hand over through barriers (block.cuh):
//
//   TMA warp (load.cuh)        global -> ring of stages in shared memory
//   MMA warp (sum.cuh)         stages -> sums in tensor memory, two accumulators in turn
//   epilogue warps (store.cuh) sums -> epilogue -> staging in shared memory -> D
//   scheduler warp (scheduler.cuh)  with kScheduler 1: asks for the next tile
//
// So loads, products and stores of different tiles overlap.
#pragma once

#include "gemm/block.cuh"
#include "gemm/load.cuh"
#include "gemm/scheduler.cuh"
#include "gemm/store.cuh"
#include "gemm/sum.cuh"

namespace nibble {

template <class Config>
__device__ void gemm(const GemmParams& params) {
  using Block = nibble::Block<Config>;
  constexpr uint32_t kTensorColumns = kLayout<Config>.tensor_columns;
  extern __shared__ __align__(1024) unsigned char shared[];
  const Block block(static_cast<uint32_t>(__cvta_generic_to_shared(shared)));
  const int warp = static_cast<int>(threadIdx.x) / 32;

  if (warp == kTmaWarp && ptx::elect_sync()) {
    ptx::prefetch_tensormap(&params.a);
    ptx::prefetch_tensormap(&params.b);
    block.init_barriers();
  }
  // A pair allocates together: both thread blocks must have begun.
  if constexpr (Config::kCtaGroup == 2) Block::synchronize_cluster();
  if (warp == kMmaWarp) {
    ptx::tcgen05_alloc<Config::kCtaGroup>(block.tensor_address(), kTensorColumns);
    ptx::tcgen05_relinquish_alloc_permit<Config::kCtaGroup>();
  }
  ptx::tcgen05_fence_before_thread_sync();
  // The barriers and the address are there before anyone uses them, in the whole cluster.
  Block::synchronize_cluster();
  ptx::tcgen05_fence_after_thread_sync();
  const bool reads_address = threadIdx.x % 32 == 0;
  const uint32_t tensor_memory =
      __shfl_sync(0xffffffffu, reads_address ? ptx::ld_shared_b32(block.tensor_address()) : 0, 0);
  // Everything before this line overlaps with the end of the kernel ahead.
  ptx::griddepcontrol_wait();

  if (warp == kTmaWarp) {
    if (ptx::elect_sync()) Loader<Config>(block, params).run();
  } else if (warp == kMmaWarp) {
    if (block.leads && ptx::elect_sync()) Summer<Config>(block, params, tensor_memory).run();
  } else if (warp == kSchedulerWarp) {
    if constexpr (Config::kScheduler == 1) {
      if (ptx::elect_sync()) Scheduler<Config>(block, params).run();
    }
  } else {
    Storer<Config>(block, params, tensor_memory).run();
  }

  __syncwarp();
  ptx::tcgen05_fence_before_thread_sync();
  // Nobody in the cluster reads another's memory, or arrives there, any more.
  Block::synchronize_cluster();
  if (warp == kMmaWarp) {
    ptx::tcgen05_fence_after_thread_sync();
    ptx::tcgen05_dealloc<Config::kCtaGroup>(tensor_memory, kTensorColumns);
  }
}

}  // namespace nibble
