// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize_batch: many matrices to codes and scales, by what works on each alone.
#pragma once

#include "batch/batch.cuh"
#include "quantize/quantize.cuh"

namespace nibble {

// Tiles of quantize/tile.cuh, over the padding of the scales too.
template <class Config>
__device__ void quantize_row_tiles(const QuantizeParams& item, int64_t tile, int64_t end) {
  using T = Tile<Config>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  RowBlocks<Config> blocks(item);
  const int64_t rows = Layout::padded_rows(item.rows);
  const int64_t across = ceil_div(Layout::padded_blocks(blocks.blocks), T::kBlocksPerRow);
  TilePlace place(tile, across);
  for (; tile < end; ++tile, place.next(across)) {
    const int64_t row = place.down * Config::kRowsPerTile + threadIdx.x / T::kThreadsPerRow;
    if (row >= rows) continue;
    blocks.begin_at(place.across * T::kBlocksPerRow + threadIdx.x % T::kThreadsPerRow);
    blocks.quantize(row);
  }
  blocks.finish();
}

template <class Config>
__device__ void quantize_patch_tiles(const QuantizeParams& item, int64_t tile, int64_t end) {
  using Quantizer = PatchQuantizer<PatchConfig<Config>>;
  extern __shared__ uint4 shared_words[];
  Quantizer quantizer(item, *reinterpret_cast<typename Quantizer::Shared*>(shared_words));
  const int64_t across = ceil_div(item.columns, kPatchTile);
  TilePlace place(tile, across);
  quantizer.begin_at(place.across * kPatchTile);
  quantizer.load(place.down * Config::kRowsPerTile);
  quantizer.prepare();
  while (true) {
    quantizer.tile();
    __syncthreads();  // shared memory is free again
    if (++tile == end) break;
    place.next(across);
    quantizer.begin_at(place.across * kPatchTile);
    quantizer.load(place.down * Config::kRowsPerTile);
  }
  quantizer.finish();
}

// Of __launch_bounds__: the way from item to item takes registers.
template <class Config>
struct QuantizeBatchBounds {
  static constexpr int kThreads = Config::kThreads;
  static constexpr int kOfOne = QuantizeBounds<Config>::kBlocks;
  static constexpr int kBlocks = kOfOne > 1 ? kOfOne / 2 : 1;
};

// Items: QuantizeParams.
template <class Config>
__device__ void quantize_batch(const BatchParams& params) {
  for_each_run<QuantizeParams>(params, [](const QuantizeParams& item, int64_t tile, int64_t end) {
    if constexpr (uses_patches<Config>()) {
      quantize_patch_tiles<Config>(item, tile, end);
    } else {
      quantize_row_tiles<Config>(item, tile, end);
    }
  });
}

}  // namespace nibble
