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
    e2m1x8_decode<Config::kHasE2m1Conversion>(words[half], x);
#pragma unroll
    for (int i = 0; i < 8; ++i) y[8 * half + i] = __fmul_rn(x[i], factor);
  }
  Elements<Config::kElementType> result;
  result.set(y);
  return result;
}

template <class Config>
__device__ void dequantize(const DequantizeParams& params) {
  static_assert(tile_is_legal<Config>());
  static_assert(Config::kScaleLayout == kRowMajor || Config::kScaleLayout == k128x4,
                "kScaleLayout: 0 (row-major) or 1 (128x4)");
  using MatrixRow = Row<Config::kElementType, Config::kVectorBytes>;
  constexpr int kLayout = Config::kScaleLayout;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = Tile<Config>::kThreadsPerRow;

  const float amax = *params.amax;
  const int64_t blocks = ceil_div(params.columns, kBlockSize);
  for (int64_t row = Tile<Config>::first_row(); row < params.rows;
       row += Tile<Config>::row_step()) {
    const MatrixRow y(params.y, row, params.row_stride);
    const unsigned char* codes = params.codes + row * params.code_row_stride;
    const unsigned char* scales =
        params.scales + scale_row_offset<kLayout>(row, blocks, params.scale_row_stride);
    for (int64_t first = Tile<Config>::first_block(); first < blocks;
         first += Tile<Config>::block_step()) {
      uint32_t words[kCount][2];
      float factor[kCount];
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int64_t block = first + i * kStep;
        if (block >= blocks) break;
        ptx::ld_global_nc_v2_b32(codes + block * 8, words[i]);
        factor[i] = decode_factor(scales[scale_offset<kLayout>(block)], amax);
      }
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const int64_t block = first + i * kStep;
        if (block >= blocks) break;
        y.store(block * kBlockSize, block_count(block, params.columns),
                dequantize_block<Config>(words[i], factor[i]));
      }
    }
  }
}

}  // namespace nibble
