// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the threads of a tile of 128 x 128 elements, or 64 x 128, share: factors of the scales, and
// scales and codes on their way to memory.
#pragma once

#include "common/math.cuh"
#include "nvfp4/scale_layout.cuh"
#include "params/quantize.h"
#include "ptx/memory.cuh"
#include "quantize/format.cuh"
#include "quantize/patch.cuh"

namespace nibble {

// The rows of a tile of the transpose are columns of x.
template <class Config, bool kTransposed>
struct CopyTile {
  using Format = BlockFormat<Config::kFormat>;
  static constexpr int kLayout =
      kTransposed && Config::kOtherLayout != 0 ? 1 - Config::kScaleLayout : Config::kScaleLayout;
  using Layout = ScaleLayout<kLayout>;
  static constexpr int kThreads = Config::kThreads;
  static constexpr bool kSwizzled = kLayout == k128x4;
  static constexpr int kRows = kTransposed ? kPatchTile : Config::kRowsPerTile;
  static constexpr int kColumns = kTransposed ? Config::kRowsPerTile : kPatchTile;
  static constexpr int kBlocks = kColumns / Format::kBlock;  // in a row of a tile
  // In the 128x4 layout half of the rows leave gaps.
  static constexpr int kScaleBytes = (kSwizzled ? kPatchTile : kRows) * kBlocks;
  static_assert(!kSwizzled || kBlocks % 4 == 0, "kRowsPerTile: whole tiles of the 128x4 layout");

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
    return (columns + Format::kBlock - 1) & -Format::kBlock;
  }

  // The scales of the tile at (row, column) of a copy, where `rows` and `columns` of it are in the
  // matrix, which has all_columns. `thread` counts kScaleThreads.
  static constexpr int kScaleThreads = kSwizzled ? kScaleBytes / 16 : kThreads;
  __device__ static void store_scales(int thread, const unsigned char* scales,
                                      const QuantizedCopy& copy, int64_t row, int64_t column,
                                      int rows, int columns, int64_t all_columns) {
    const int blocks = padded(columns) / Format::kBlock;
    if constexpr (kSwizzled) {
      // The tile is whole tiles of the layout, or the upper or lower half of their rows; the last
      // may lie beyond the padding.
      constexpr uint32_t kWide = 4 * Format::kBlock;  // columns of one
      const uint64_t all = (static_cast<uint64_t>(all_columns) + (kWide - 1)) / kWide;
      const uint64_t first =
          static_cast<uint64_t>(row) / kPatchTile * all + static_cast<uint64_t>(column) / kWide;
      const int at = thread * 16;
      if (at >= (blocks + 3) / 4 * 512) return;
      constexpr int kBytes = kRows / 8;  // of each 16: a scale for each 32 rows by four blocks
      unsigned char* to = copy.scales + first * 512 + at;
      if constexpr (kRows != kPatchTile) to += static_cast<uint64_t>(row) % kPatchTile / 8;
      if (reinterpret_cast<uint64_t>(to) % kBytes == 0) {
        const auto* from = reinterpret_cast<const uint32_t*>(scales + at);
        kBytes == 16 ? ptx::st_global_v4_b32(to, from) : ptx::st_global_v2_b32(to, from);
      } else {
#pragma unroll 1
        for (int i = 0; i < kBytes; ++i) to[i] = scales[at + i];
      }
    } else {
      unsigned char* to = copy.scales + row * copy.scale_row_stride + column / Format::kBlock;
#pragma unroll 4
      for (int at = thread; at < kScaleBytes; at += kThreads) {
        const int r = at / kBlocks;
        const int block = at % kBlocks;
        if (r < rows && block < blocks) to[r * copy.scale_row_stride + block] = scales[at];
      }
    }
  }
};

// Codes of the transpose, on their way to memory, where the patches were: those of a word column of
// a patch in that column, in its first rows, as many as have been read when the first codes are
// made. Words lie in different rows for neighbouring patches, so that to gather the words of a
// column uses many banks.
template <class Config>
struct TransposedCodes {
  using Format = BlockFormat<Config::kFormat>;
  using ThePatch = Patch<Config::kElementType, Format::kBlock, Config::kSourceType>;
  static constexpr int kRowBytes = Config::kRowsPerTile * Format::kCodeBits / 8;
  static constexpr int kWords = Format::kBlock * Format::kCodeBits / 32;  // of a column of a patch
  static constexpr int kColumns = ThePatch::kColumns;
  static constexpr int kPerWord = ThePatch::W::kPerWord;

  // Word i of column c of a patch, from its first word on; `patch` counts down the tile.
  __device__ static uint32_t word(uint32_t patch, uint32_t c, uint32_t i) {
    constexpr int kUsed = kPerWord * kWords;  // of the rows
    constexpr int kRows = Format::kCodeBits == 4 ? 8 : 16;
    static_assert(kRows % kUsed == 0);
    const uint32_t row = patch % (kRows / kUsed) * kUsed + c % kPerWord * kWords + i;
    return row * (4 * ThePatch::kPitch) + c / kPerWord;
  }

  // Word i of column c of the tile, from the first patch on.
  __device__ static uint32_t tile_word(uint32_t c, uint32_t i) {
    const uint32_t patch = i / kWords;
    const uint32_t first =
        (ThePatch::row_at(static_cast<int>(patch * Format::kBlock)) + c / kColumns) * 4;
    return first + word(patch, c % kColumns, i % kWords);
  }

  // The tile at (row, column) of a copy, where `rows` and `columns` of it are in the matrix.
  __device__ static void store(const uint32_t* codes, const QuantizedCopy& copy, int64_t row,
                               int64_t column, int rows, int columns) {
    constexpr int kBits = Format::kCodeBits;
    constexpr int kAcross = kRowBytes / 8;             // threads along a row
    constexpr int kRows = Config::kThreads / kAcross;  // at a time
    static_assert(Config::kThreads % kAcross == 0 && kPatchTile % kRows == 0);
    const int mine = static_cast<int>(threadIdx.x % kAcross);
    const int first = static_cast<int>(threadIdx.x / kAcross);
    const int count =
        mine * 64 < CopyTile<Config, true>::padded(columns) * kBits ? rows - first : 0;
    const int64_t byte = column * kBits / 8 + mine * 8;
    unsigned char* to = copy.codes + (row + first) * copy.code_row_stride + byte;
    const int64_t step = kRows * copy.code_row_stride;
    if (count > kPatchTile - kRows && kRows % kColumns == 0) {
      // From column to column by whole patches: one address.
      const uint32_t* from[2] = {codes + tile_word(first, 2 * mine),
                                 codes + tile_word(first, 2 * mine + 1)};
#pragma unroll
      for (int done = 0; done < kPatchTile; done += kRows) {
        constexpr int kStep = 4 * kRows / kColumns;
        const uint32_t words[2] = {from[0][done / kRows * kStep], from[1][done / kRows * kStep]};
        ptx::st_global_v2_b32(to, words);
        to += step;
      }
    } else {
#pragma unroll 1
      for (int done = 0; done < count; done += kRows) {
        const uint32_t words[2] = {codes[tile_word(first + done, 2 * mine)],
                                   codes[tile_word(first + done, 2 * mine + 1)]};
        ptx::st_global_v2_b32(to, words);
        to += step;
      }
    }
  }
};

}  // namespace nibble
