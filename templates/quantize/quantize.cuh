// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize: a matrix to NVFP4, codes and E4M3 scales, with a given tensor amax.
#pragma once

#include "common/elements.cuh"
#include "nvfp4/e2m1.cuh"
#include "nvfp4/scale.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "quantize/tile.cuh"

namespace nibble {

// Stores the 8 bytes of codes of one block and returns its scale.
template <class Config>
__device__ uint8_t quantize_block(const Elements<Config::kElementType>& x,
                                  const TensorScale& tensor, unsigned char* codes) {
  const uint8_t scale = block_scale(x.amax(), tensor);
  const float factor = encode_factor(scale, tensor);
  uint32_t words[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float scaled[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) scaled[i] = __fmul_rn(x.value(8 * half + i), factor);
    words[half] = e2m1x8_encode<Config::kHasE2m1Conversion != 0>(scaled);
  }
  ptx::st_global_v2_b32(codes, words);
  return scale;
}

template <class Config>
__device__ void quantize(const QuantizeParams& params) {
  using T = Tile<Config>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  using Block = Elements<Config::kElementType>;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = T::kThreadsPerRow;

  const TensorScale tensor = tensor_scale(*params.amax);
  const int64_t blocks = ceil_div(params.columns, kBlockSize);
  const int64_t first = T::first_block();
  // Of this thread's blocks: those with all of their elements, any element, padding included.
  const int full = T::count_below(first, params.columns / kBlockSize);
  const int present = T::count_below(first, blocks);
  const int all = T::count_below(first, Layout::padded_blocks(blocks));
  for (int64_t row = T::first_row(); row < Layout::padded_rows(params.rows); row += T::row_step()) {
    const int written = row < params.rows ? present : 0;
    const char* x = static_cast<const char*>(params.x) +
                    row * params.row_stride * Block::kElementBytes + first * Block::kBytes;
    unsigned char* codes = params.codes + row * params.code_row_stride + first * 8;
    unsigned char* scales =
        params.scales + Layout::row_offset(row, blocks, params.scale_row_stride);
    Block block[kCount];
    const bool whole = full == kCount && written != 0;
    if (whole) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        block[i].template load<Config::kVectorBytes>(x + i * kStep * Block::kBytes);
      }
    }
#pragma unroll 1
    for (int i = 0; i < all; ++i) {
      const int64_t at = first + i * kStep;
      uint8_t scale = 0;  // of padding
      if (i < written) {
        if (!whole) {
          block[0].template load<Config::kVectorBytes>(x + i * kStep * Block::kBytes,
                                                       block_count(at, params.columns));
        }
        scale = quantize_block<Config>(block[0], tensor, codes + i * kStep * 8);
      }
      scales[Layout::block_offset(at)] = scale;
#pragma unroll
      for (int j = 1; j < kCount; ++j) block[j - 1] = block[j];  // no index into registers
    }
  }
}

}  // namespace nibble
