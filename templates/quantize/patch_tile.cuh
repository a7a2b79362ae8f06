// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the threads of a tile of 128 x 128 elements share: factors of the scales, and scales and
// codes on their way to memory.
#pragma once

#include "common/math.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "ptx/memory.cuh"
#include "quantize/format.cuh"

namespace nibble {

constexpr int kPatchTile = 128;  // rows and columns of a tile

// Both copies of a tile have this shape: kPatchTile rows, that is columns of x for the transpose.
template <class Config>
struct CopyTile {
  using Format = BlockFormat<Config::kFormat>;
  using Layout = ScaleLayout<Config::kScaleLayout>;
  static constexpr int kThreads = Config::kThreads;
  static constexpr int kBlocks = kPatchTile / Format::kBlock;  // in a row of a tile
  static constexpr int kScaleBytes = kPatchTile * kBlocks;
  static constexpr bool kSwizzled = Config::kScaleLayout == k128x4;

  // From the scale of a block to that of the next row, within a patch.
  static constexpr int kScaleRow = kSwizzled ? 16 : kBlocks;

  // Where the scale of a block lies among those of the tile.
  __device__ static int scale_at(int row, int block) {
    if constexpr (kSwizzled) {
      return static_cast<int>(Layout::row_offset(row, 0, 0) + Layout::block_offset(block));
    } else {
      return row * kBlocks + block;
    }
  }

  // `columns` of a tile, and those that fill their last block.
  __device__ static int padded(int columns) {
    return (columns + Format::kBlock - 1) / Format::kBlock * Format::kBlock;
  }

  // The scales of the tile at (row, column) of a copy, where `rows` and `columns` of it are in the
  // matrix, which has all_columns.
  __device__ static void store_scales(const unsigned char* scales, const QuantizedCopy& copy,
                                      int64_t row, int64_t column, int rows, int columns,
                                      int64_t all_columns) {
    const int64_t first = column / Format::kBlock;
    const int blocks = padded(columns) / Format::kBlock;
    if constexpr (kSwizzled) {
      // The tile is whole tiles of the layout; the last may lie beyond the padding.
      const int64_t all = ceil_div(all_columns, Format::kBlock);
      unsigned char* to =
          copy.scales + Layout::row_offset(row, all, 0) + Layout::block_offset(first);
      const int count = (blocks + 3) / 4 * 4 * kPatchTile;
      if (reinterpret_cast<uint64_t>(to) % 16 == 0) {
#pragma unroll 1
        for (int at = threadIdx.x * 16; at < count; at += kThreads * 16) {
          ptx::st_global_v4_b32(to + at, reinterpret_cast<const uint32_t*>(scales + at));
        }
      } else {
#pragma unroll 1
        for (int at = threadIdx.x; at < count; at += kThreads) to[at] = scales[at];
      }
    } else {
      unsigned char* to = copy.scales + row * copy.scale_row_stride + first;
#pragma unroll 4
      for (int at = threadIdx.x; at < kScaleBytes; at += kThreads) {
        const int r = at / kBlocks;
        const int block = at % kBlocks;
        if (r < rows && block < blocks) to[r * copy.scale_row_stride + block] = scales[at];
      }
    }
  }
};

// Codes of the transpose, on their way to memory, where the patches were: in units of 8 bytes,
// those of a patch's first half of columns where the first halves of its rows have been read, and
// so on. Units lie in different rows for different patches, so that to gather the units of a column
// uses many banks.
template <class Config>
struct TransposedCodes {
  using Format = BlockFormat<Config::kFormat>;
  static constexpr int kRowBytes = kPatchTile * Format::kCodeBits / 8;
  static constexpr int kSlots = kRowBytes / 8;                            // of a column
  static constexpr int kUnits = Format::kBlock * Format::kCodeBits / 64;  // in a patch
  static constexpr int kColumns = Config::kElementType == kF32 ? 4 : 8;   // of a patch
  static constexpr int kAcross = kPatchTile / kColumns;
  static constexpr int kPitch = Config::kThreads + 1;

  // In uint2, from the thread's own patch on: unit i of its column c; `patch` counts down the tile.
  __device__ static int unit(int patch, int c, int i) {
    constexpr int kHalf = kColumns / 2;
    return ((c % kHalf * kUnits + i + patch) & 15) * (2 * kPitch) + c / kHalf;
  }

  // Slot i of column c of the tile, from the first patch on.
  __device__ static int slot(int c, int i) {
    const int patch = i / kUnits;
    const int thread = patch * kAcross + c / kColumns;
    return 2 * thread + unit(patch, c % kColumns, i % kUnits);
  }

  // The tile at (row, column) of a copy, where `rows` and `columns` of it are in the matrix.
  __device__ static void store(const uint2* codes, const QuantizedCopy& copy, int64_t row,
                               int64_t column, int rows, int columns) {
    constexpr int kBits = BlockFormat<Config::kFormat>::kCodeBits;
    constexpr int kRows = Config::kThreads / kSlots;  // at a time
    static_assert(Config::kThreads % kSlots == 0 && kPatchTile % kRows == 0);
    const int mine = threadIdx.x % kSlots;
    const int first = threadIdx.x / kSlots;
    const int count = mine * 64 < CopyTile<Config>::padded(columns) * kBits ? rows - first : 0;
    const int64_t byte = column * kBits / 8 + mine * 8;
    unsigned char* to = copy.codes + (row + first) * copy.code_row_stride + byte;
    const int64_t step = kRows * copy.code_row_stride;
#pragma unroll
    for (int done = 0; done < kPatchTile; done += kRows) {
      if (done < count) {
        const uint2 pair = codes[slot(first + done, mine)];
        const uint32_t words[2] = {pair.x, pair.y};
        ptx::st_global_v2_b32(to, words);
      }
      to += step;
    }
  }
};

}  // namespace nibble
