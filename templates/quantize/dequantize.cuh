// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// dequantize: NVFP4 codes and scales back to a matrix.
#pragma once

#include "common/elements.cuh"
#include "nvfp4/e2m1.cuh"
#include "nvfp4/scale.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "quantize/tile.cuh"

namespace nibble {

template <class Config>
__device__ Elements<Config::kElementType> dequantize_block(const uint32_t (&words)[2],
                                                           float factor) {
  float y[16];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float x[8];
    e2m1x8_decode<Config::kHasE2m1Conversion != 0>(words[half], x);
#pragma unroll
    for (int i = 0; i < 8; ++i) y[8 * half + i] = __fmul_rn(x[i], factor);
  }
  Elements<Config::kElementType> block;
  block.set(y);
  return block;
}

template <class Config>
__device__ void dequantize(const DequantizeParams& params) {
  using T = Tile<Config>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  using Block = Elements<Config::kElementType>;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = T::kThreadsPerRow;

  const float amax = *params.amax;
  const int64_t blocks = ceil_div(params.columns, kBlockSize);
  const int64_t first = T::first_block();
  for (int64_t row = T::first_row(); row < params.rows; row += T::row_step()) {
    char* y = static_cast<char*>(params.y) + row * params.row_stride * Block::kElementBytes;
    const unsigned char* codes = params.codes + row * params.code_row_stride;
    const unsigned char* scales =
        params.scales + Layout::row_offset(row, blocks, params.scale_row_stride);
    uint32_t words[kCount][2];
    float factor[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t at = first + i * kStep;
      if (at >= blocks) break;
      ptx::ld_global_nc_v2_b32(codes + at * 8, words[i]);
      factor[i] = decode_factor(scales[Layout::block_offset(at)], amax);
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t at = first + i * kStep;
      if (at >= blocks) break;
      dequantize_block<Config>(words[i], factor[i])
          .template store<Config::kVectorBytes>(y + at * Block::kBytes,
                                                block_count(at, params.columns));
    }
  }
}

}  // namespace nibble
