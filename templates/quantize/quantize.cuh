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

// Writes the 8 bytes of codes and returns the scale.
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
    words[half] = e2m1x8_encode<Config::kHasE2m1Conversion>(scaled);
  }
  ptx::st_global_v2_b32(codes, words);
  return scale;
}

template <class Config>
__device__ void quantize(const QuantizeParams& params) {
  static_assert(tile_is_legal<Config>());
  static_assert(Config::kScaleLayout == kRowMajor || Config::kScaleLayout == k128x4,
                "kScaleLayout: 0 (row-major) or 1 (128x4)");
  using MatrixRow = Row<Config::kElementType, Config::kVectorBytes>;
  constexpr int kLayout = Config::kScaleLayout;
  constexpr int kCount = Config::kBlocksPerThread;
  constexpr int kStep = Tile<Config>::kThreadsPerRow;

  const TensorScale tensor = tensor_scale(*params.amax);
  const int64_t blocks = ceil_div(params.columns, kBlockSize);
  const int64_t all_rows = scale_rows<kLayout>(params.rows);
  const int64_t all_blocks = scale_columns<kLayout>(blocks);
  for (int64_t row = Tile<Config>::first_row(); row < all_rows; row += Tile<Config>::row_step()) {
    const MatrixRow x(params.x, row, params.row_stride);
    unsigned char* codes = params.codes + row * params.code_row_stride;
    unsigned char* scales =
        params.scales + scale_row_offset<kLayout>(row, blocks, params.scale_row_stride);
    for (int64_t first = Tile<Config>::first_block(); first < all_blocks;
         first += Tile<Config>::block_step()) {
      const int64_t end = first + (kCount - 1) * kStep + 1;
      if (row < params.rows && end * kBlockSize <= params.columns) {
        Elements<Config::kElementType> part[kCount];
#pragma unroll
        for (int i = 0; i < kCount; ++i) part[i] = x.load((first + i * kStep) * kBlockSize);
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          const int64_t block = first + i * kStep;
          scales[scale_offset<kLayout>(block)] =
              quantize_block<Config>(part[i], tensor, codes + block * 8);
        }
      } else {
#pragma unroll 1
        for (int64_t block = first; block < end && block < all_blocks; block += kStep) {
          uint8_t scale = 0;
          if (row < params.rows && block < blocks) {
            const int count = block_count(block, params.columns);
            scale = quantize_block<Config>(x.load(block * kBlockSize, count), tensor,
                                           codes + block * 8);
          }
          scales[scale_offset<kLayout>(block)] = scale;
        }
      }
    }
  }
}

}  // namespace nibble
