// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// dequantize_batch: many quantised matrices back to what they were.
#pragma once

#include "batch/batch.cuh"
#include "quantize/dequantize.cuh"

namespace nibble {

// Items: DequantizeParams. A tile: those of quantize/tile.cuh.
template <class Config>
__device__ void dequantize_batch(const BatchParams& params) {
  using D = DequantizeTile<Config>;
  const int64_t row_in_tile = threadIdx.x / D::kThreadsPerRow;
  for_each_run<DequantizeParams>(
      params, [&](const DequantizeParams& item, int64_t tile, int64_t end) {
        const float amax = D::amax(item);
        const int64_t across = ceil_div(item.columns, D::kBlocksPerRow * kBlockSize);
        TilePlace place(tile, across);
        for (; tile < end; ++tile, place.next(across)) {
          const int64_t row = place.down * Config::kRowsPerTile + row_in_tile;
          if (row >= item.rows) continue;
          dequantize_row<Config>(item, row, place.across * D::kVectorsPerRow, amax);
        }
      });
}

}  // namespace nibble
