// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax_batch: the largest magnitude of each of many matrices.
#pragma once

#include "batch/batch.cuh"
#include "quantize/amax.cuh"

namespace nibble {

// Items: AmaxParams, each of whose values must hold 0.0f (or an earlier maximum). A tile: those of
// quantize/tile.cuh.
template <class Config>
__device__ void amax_batch(const BatchParams& params) {
  using T = Tile<Config>;
  const int64_t row_in_tile = threadIdx.x / T::kThreadsPerRow;
  for_each_run<AmaxParams>(params, [&](const AmaxParams& item, int64_t tile, int64_t end) {
    const int64_t across = ceil_div(item.columns, T::kBlocksPerRow * kBlockSize);
    TilePlace place(tile, across);
    float local = 0.0f;
    for (; tile < end; ++tile, place.next(across)) {
      const int64_t row = place.down * Config::kRowsPerTile + row_in_tile;
      const int64_t first = place.across * T::kBlocksPerRow + threadIdx.x % T::kThreadsPerRow;
      if (row < item.rows) local = fmaxf(local, amax_of_blocks<Config>(item, row, first));
    }
    const uint32_t of_block = block_maximum<Config::kThreads>(local);
    if (threadIdx.x == 0) ptx::red_relaxed_gpu_global_max_u32(item.amax, of_block);
    __syncthreads();  // the maximum's shared memory is free again
  });
}

}  // namespace nibble
