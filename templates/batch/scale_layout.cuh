// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// scale_layout_batch: the scales of many matrices from one layout to the other.
#pragma once

#include "batch/batch.cuh"
#include "quantize/scale_layout.cuh"

namespace nibble {

// Items: ScaleLayoutParams. A tile: 128 rows x kThreads / 2 blocks.
template <class Config>
__device__ void scale_layout_batch(const BatchParams& params) {
  for_each_run<ScaleLayoutParams>(
      params, [&](const ScaleLayoutParams& item, int64_t tile, int64_t end) {
        const int64_t across = ceil_div(item.blocks, ScaleTile<Config>::kBlocks);
        TilePlace place(tile, across);
        for (; tile < end; ++tile, place.next(across)) {
          convert_scales<Config>(item, place.down, place.across);
        }
      });
}

}  // namespace nibble
