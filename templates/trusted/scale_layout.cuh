// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// scale_layout_trusted: what the fast kernel is held against. A thread a byte that is written.
#pragma once

#include "params/scale_layout.h"
#include "trusted/numbers.cuh"

namespace nibble {

template <class Config>
__device__ void scale_layout_trusted(const ScaleLayoutParams& params) {
  constexpr bool kToTiles = Config::kToTiles != 0;
  const int64_t rows = kToTiles ? (params.rows + 127) / 128 * 128 : params.rows;
  const int64_t blocks = kToTiles ? (params.blocks + 3) / 4 * 4 : params.blocks;
#pragma unroll 1
  for (int64_t i = trusted::thread(); i < rows * blocks; i += trusted::threads()) {
    const int64_t row = i / blocks;
    const int64_t block = i % blocks;
    const int64_t dense = row * params.row_stride + block;
    const int64_t tiled = trusted::tiled_scale(row, block, params.blocks);
    if constexpr (kToTiles) {
      const bool present = row < params.rows && block < params.blocks;
      params.to[tiled] = present ? params.from[dense] : 0;
    } else {
      params.to[dense] = params.from[tiled];
    }
  }
}

}  // namespace nibble
