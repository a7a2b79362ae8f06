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

// The scale and 8 bytes of codes of one block.
template <class Config>
__device__ void quantize_block(const Elements<Config::kElementType>& x, const TensorScale& tensor,
                               unsigned char* codes, unsigned char* scale) {
  const uint8_t e4m3 = block_scale(x.amax(), tensor);
  const float factor = encode_factor(e4m3, tensor);
  uint32_t words[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float scaled[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) scaled[i] = __fmul_rn(x.value(8 * half + i), factor);
    words[half] = e2m1x8_encode<Config::kHasE2m1Conversion != 0>(scaled);
  }
  ptx::st_global_v2_b32(codes, words);
  *scale = e4m3;
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
  const int64_t all_blocks = Layout::padded_blocks(blocks);
  const int64_t first = T::first_block();
  const int64_t end = first + (kCount - 1) * kStep + 1;
  for (int64_t row = T::first_row(); row < Layout::padded_rows(params.rows); row += T::row_step()) {
    const char* x =
        static_cast<const char*>(params.x) + row * params.row_stride * Block::kElementBytes;
    unsigned char* codes = params.codes + row * params.code_row_stride;
    unsigned char* scales =
        params.scales + Layout::row_offset(row, blocks, params.scale_row_stride);
    const bool whole = row < params.rows && end * kBlockSize <= params.columns;
    Block block[kCount];
    if (whole) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        block[i].template load<Config::kVectorBytes>(x + (first + i * kStep) * Block::kBytes);
      }
    }
#pragma unroll 1
    for (int64_t at = first; at < end && at < all_blocks; at += kStep) {
      unsigned char* scale = scales + Layout::block_offset(at);
      if (!whole) {
        if (row >= params.rows || at >= blocks) {
          *scale = 0;  // padding
          continue;
        }
        block[0].template load<Config::kVectorBytes>(x + at * Block::kBytes,
                                                     block_count(at, params.columns));
      }
      quantize_block<Config>(block[0], tensor, codes + at * 8, scale);
#pragma unroll
      for (int i = 1; i < kCount; ++i) block[i - 1] = block[i];  // no index into registers
    }
  }
}

}  // namespace nibble
