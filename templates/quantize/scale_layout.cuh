// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// scale_layout: block scales from row-major to the 128x4 layout of tensor cores, and back.
#pragma once

#include "common/math.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/scale_layout.h"
#include "ptx/memory.cuh"

namespace nibble {

// A warp works on 128 rows x 16 blocks: four 512-byte tiles. Lane l has rows l, l + 32, l + 64,
// l + 96; its 16 bytes of a tile are four blocks of each of them, so words only change places.
template <class Config>
struct ScaleTile {
  static_assert(Config::kThreads % 32 == 0 && Config::kThreads >= 32, "kThreads: whole warps");
  static_assert(Config::kVectorBytes == 16 || Config::kVectorBytes == 4 ||
                    Config::kVectorBytes == 0,
                "kVectorBytes: 16, 4 or 0");
  static constexpr int kRows = 128;
  static constexpr int kBlocks = Config::kThreads / 32 * 16;  // of a thread block

  // Sixteen scales of a row, those beyond its end 0.
  __device__ static void load_row(const unsigned char* row, int64_t left, uint32_t (&words)[4]) {
    if (Config::kVectorBytes == 16 && left >= 16) {
      ptx::ld_global_nc_v4_b32(row, words);
      return;
    }
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      words[w] = 0;
      if (Config::kVectorBytes != 0 && left >= 4 * w + 4) {
        words[w] = *reinterpret_cast<const uint32_t*>(row + 4 * w);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (4 * w + i < left) words[w] |= uint32_t{row[4 * w + i]} << 8 * i;
        }
      }
    }
  }
  __device__ static void store_row(unsigned char* row, int64_t left, const uint32_t (&words)[4]) {
    if (Config::kVectorBytes == 16 && left >= 16) {
      ptx::st_global_v4_b32(row, words);
      return;
    }
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if (Config::kVectorBytes != 0 && left >= 4 * w + 4) {
        *reinterpret_cast<uint32_t*>(row + 4 * w) = words[w];
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (4 * w + i < left) row[4 * w + i] = static_cast<unsigned char>(words[w] >> 8 * i);
        }
      }
    }
  }
};

// The 128 rows from 128 `down` on and the blocks of this warp.
template <class Config>
__device__ void convert_scales(const ScaleLayoutParams& params, int64_t down, int64_t across) {
  using S = ScaleTile<Config>;
  using Layout = ScaleLayout<k128x4>;
  const int64_t block = across * S::kBlocks + threadIdx.x / 32 * 16;
  const int64_t left = params.blocks - block;
  if (left <= 0) return;
  const int64_t row = down * S::kRows + threadIdx.x % 32;
  const int64_t tiles_left = ceil_div(left, 4);
  const int64_t tile =
      Layout::row_offset(row, params.blocks, 0) + Layout::block_offset(block);  // of word 0
  uint32_t rows[4][4];                                                          // [row][tile]
  if constexpr (Config::kToTiles != 0) {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int64_t at = row + 32 * r;
      const bool present = at < params.rows;
      S::load_row(params.from + (present ? at : 0) * params.row_stride + block, present ? left : 0,
                  rows[r]);
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const uint32_t words[4] = {rows[0][t], rows[1][t], rows[2][t], rows[3][t]};
      if (t < tiles_left) ptx::st_global_v4_b32(params.to + tile + t * 512, words);
    }
  } else {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      uint32_t words[4] = {};
      if (t < tiles_left) ptx::ld_global_nc_v4_b32(params.from + tile + t * 512, words);
#pragma unroll
      for (int r = 0; r < 4; ++r) rows[r][t] = words[r];
    }
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const int64_t at = row + 32 * r;
      if (at < params.rows) {
        S::store_row(params.to + at * params.row_stride + block, left, rows[r]);
      }
    }
  }
}

template <class Config>
__device__ void scale_layout(const ScaleLayoutParams& params) {
  for (int64_t down = blockIdx.y; down * 128 < params.rows; down += gridDim.y) {
    convert_scales<Config>(params, down, blockIdx.x);
  }
}

}  // namespace nibble
