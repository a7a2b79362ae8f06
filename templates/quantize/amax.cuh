// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax: the largest magnitude of a matrix.
#pragma once

#include "common/block_amax.cuh"
#include "common/elements.cuh"
#include "params/quantize.h"
#include "quantize/tile.cuh"

namespace nibble {

// Of this thread's blocks, from block `first` of a row on.
template <class Config>
__device__ float amax_of_blocks(const AmaxParams& params, int64_t row, int64_t first) {
  using T = Tile<Config>;
  using Block = Elements<Config::kElementType>;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = T::kThreadsPerRow;
  const char* x =
      static_cast<const char*>(params.x) + row * params.row_stride * Block::kElementBytes;
  const int64_t end = first + (kCount - 1) * kStep + 1;
  float local = 0.0f;
  if (end * kBlockSize <= params.columns) {
    Block block[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      block[i].template load<Config::kVectorBytes>(x + (first + i * kStep) * Block::kBytes);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) local = fmaxf(local, block[i].amax());
  } else {
#pragma unroll 1
    for (int64_t at = first; at < end && at * kBlockSize < params.columns; at += kStep) {
      Block block;
      block.template load<Config::kVectorBytes>(x + at * Block::kBytes,
                                                block_count(at, params.columns));
      local = fmaxf(local, block.amax());
    }
  }
  return local;
}

template <class Config>
__device__ void amax(const AmaxParams& params) {
  using T = Tile<Config>;
  float local = 0.0f;
  for (int64_t row = T::first_row(); row < params.rows; row += T::row_step()) {
    for (int64_t first = T::first_block(); first * kBlockSize < params.columns;
         first += T::block_step()) {
      local = fmaxf(local, amax_of_blocks<Config>(params, row, first));
    }
  }
  reduce_amax<Config::kThreads>(local, params.amax);
}

}  // namespace nibble
