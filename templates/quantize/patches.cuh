// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize with a transposed copy, or with blocks of 16 x 16: a matrix is read once, in tiles of
// 128 x 128 or 64 x 128, a patch to a thread. Row-wise codes go from registers to memory,
// transposed ones by way of shared memory. Loops are not unrolled where that would make more code
// than the instruction cache holds.
#pragma once

#include "params/quantize.h"
#include "ptx/async.cuh"
#include "ptx/reduce.cuh"
#include "quantize/column_groups.cuh"
#include "quantize/encode.cuh"
#include "quantize/patch.cuh"
#include "quantize/patch_blocks.cuh"
#include "quantize/patch_columns.cuh"
#include "quantize/patch_rows.cuh"
#include "quantize/patch_square.cuh"
#include "quantize/patch_tile.cuh"

namespace nibble {

// Config::kCopies.
enum : int { kRowWise = 0, kColumnWise = 1, kBothCopies = 2 };

template <class Config>
struct PatchQuantizer {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using RowTile = CopyTile<Config, false>;
  using ColumnTile = CopyTile<Config, true>;
  using Codes = TransposedCodes<Config>;
  using E = Encoder<Config>;
  using Rows = PatchRows<Config>;
  using Groups = ColumnGroups<Config, Format::kBlock>;
  static constexpr int kRows = Format::kBlock;
  static constexpr int kColumns = 16 / W::kElementBytes;
  static constexpr int kAcross = kPatchTile / kColumns;
  static constexpr int kLanes = Rows::kLanes;
  static constexpr bool kHasRows = Config::kCopies != kColumnWise;
  static constexpr bool kHasColumns = Config::kCopies != kRowWise;
  static constexpr bool kSquare = Config::kSquareBlocks != 0;
  static constexpr bool kMakesCodes = Config::kMakesCodes != 0;
  static constexpr bool kRecords = Config::kRecordsAmax != 0;
  // Of the first maxima. Otherwise one tells of NaN, and is found again without them.
  static constexpr bool kIgnoreNan = (!E::kSignsApart && !E::kHasTame) || !kMakesCodes;
  using ThePatch = Patch<Config::kElementType, kRows, Config::kSourceType>;
  static constexpr int kTileRows = Config::kRowsPerTile;
  static_assert(kTileRows == kPatchTile || 2 * kTileRows == kPatchTile, "kRowsPerTile: 128 or 64");
  static_assert(Config::kThreads == kAcross * (kTileRows / kRows),
                "kThreads: a thread for each patch of a tile");

  // Without a transform both copies are scaled by the amax of the first.
  static constexpr bool kHasTransform =
      Config::kRowTransform != kNoTransform || Config::kColumnTransform != kNoTransform;
  // How rows go that nothing transforms, and whether columns go with them.
  static constexpr bool kHasPlainRows =
      kHasRows && kMakesCodes && !Format::kChooses && Config::kRowTransform == kNoTransform;
  static constexpr bool kColumnsGoWithRows = kHasPlainRows && kHasColumns && !kHasTransform &&
                                             !W::kIs32Bit && E::kByArithmetic && !E::kStochastic;
  // The same with transformed columns: then the rows go with the columns.
  static constexpr bool kRowsGoWithColumns =
      kHasPlainRows && kHasColumns && kHasTransform && E::kHasTame && !Groups::kTransforms;
  static constexpr int kTensors = kHasRows && kHasColumns && kHasTransform ? 2 : 1;
  static constexpr int kColumnTensor = kTensors - 1;

  struct Shared {
    uint4 patches[ThePatch::tile_words(kTileRows)];
    unsigned char scales[2][RowTile::kScaleBytes];
    // By the byte of the scale; marked where the encoder has tame blocks.
    float factor[kTensors][128];
    typename Format::Tensor tensor[kTensors];
  };

  const QuantizeParams& params;
  Shared& shared;
  typename Format::Tensor tensor[kTensors];
  ThePatch patch;
  int tile_row, tile_column;  // of the patch
  int64_t row, column;        // of the tile
  float recorded[2] = {};     // max |x| of the copies
  // Of the matrix in the tile. Below a matrix that ends in the upper half of 128 rows there are
  // none: 0 or less.
  int rows, columns;

  __device__ PatchQuantizer(const QuantizeParams& p, Shared& s) : params(p), shared(s) {
    tile_row = static_cast<int>(threadIdx.x / kAcross * kRows);
    tile_column = static_cast<int>(threadIdx.x % kAcross * kColumns);
    patch.mine = shared.patches + ThePatch::row_at(tile_row) + threadIdx.x % kAcross;
    begin_at(static_cast<int64_t>(blockIdx.x) * kPatchTile);
  }

  // The column of the next tiles.
  __device__ void begin_at(int64_t of) {
    column = of;
    columns = clamp<kPatchTile>(params.columns - column);
  }

  // While the first patch is on its way. Of two tensors, each has half of the threads.
  __device__ void prepare() {
    if constexpr (!kMakesCodes) return;
    constexpr uint32_t kThreads = Config::kThreads / kTensors;
    const uint32_t mine = threadIdx.x / kThreads;
    const bool is_first = kHasRows && (kTensors == 1 || mine == 0);
    tensor[0] = Format::tensor(params.copies[is_first ? 0 : 1].amax);
    if constexpr (Format::kHasTensorScale) {
#pragma unroll
      for (uint32_t scale = threadIdx.x % kThreads; scale < 128; scale += kThreads) {
        const float f = Format::factor(static_cast<uint8_t>(scale), tensor[0]);
        shared.factor[mine][scale] = E::kHasTame ? E::marked(f, scale) : f;
      }
    }
    if constexpr (kTensors == 2) shared.tensor[mine] = tensor[0];
    __syncthreads();
    if constexpr (kTensors == 2) {
#pragma unroll
      for (int i = 0; i < 2; ++i) tensor[i] = shared.tensor[i];
    }
  }

  __device__ float factor(int at, uint32_t scale) const {
    if constexpr (Format::kHasTensorScale) return shared.factor[at][scale];
    return Format::factor(static_cast<uint8_t>(scale), tensor[at]);
  }

  template <int kMost>
  __device__ static int clamp(int64_t left) {
    return left > kMost ? kMost : static_cast<int>(left);
  }

  // The patch of the tile at `of`.
  __device__ void load(int64_t of) {
    row = of;
    rows = clamp<kTileRows>(params.rows - row);
    constexpr int kBytes = ThePatch::Source::kElementBytes;
    const int64_t row_bytes = params.row_stride * kBytes;
    const char* x = static_cast<const char*>(params.x) + (row + tile_row) * row_bytes +
                    (column + tile_column) * kBytes;
    patch.template load<Config::kVectorBytes>(x, row_bytes, rows - tile_row, columns - tile_column);
  }

  __device__ void tile() {
    ptx::cp_async_wait_all();
    if constexpr (kSquare && kMakesCodes) {
      transform_groups();
      PatchSquare<Config, PatchQuantizer>(*this).quantize();
    } else {
      if constexpr (kHasPlainRows) {
        PatchBlocks<Config, PatchQuantizer>(*this).quantize();
      } else if constexpr (kHasRows) {
        quantize_rows();
      }
      transform_groups();
      if constexpr (kHasColumns && !kColumnsGoWithRows && !kRowsGoWithColumns) {
#pragma unroll 1
        for (int i = 0; i < 4; ++i) {
          const int j = word_of_pass(i);
          uint32_t y[kRows];
          patch.column(j, y);
          word_column(j, y);
        }
      }
    }
    if constexpr (kMakesCodes) store();
  }

  // Where they are of several patches' rows.
  __device__ void transform_groups() {
    if constexpr (Groups::kTransforms) {
      __syncthreads();
      Groups::transform(shared.patches, params.signs[1], rows);
      __syncthreads();
    }
  }

  // What the tile's threads have left in shared memory.
  __device__ void store() {
    __syncthreads();
    const int thread = static_cast<int>(threadIdx.x);
    // Two copies of swizzled scales have their own threads each where there are enough.
    constexpr int kOfBoth = RowTile::kScaleThreads + ColumnTile::kScaleThreads;
    constexpr bool kApart =
        kHasRows && RowTile::kSwizzled && ColumnTile::kSwizzled && kOfBoth <= Config::kThreads;
    constexpr int kFirst = kApart ? RowTile::kScaleThreads : 0;
    static_assert(RowTile::kScaleThreads <= Config::kThreads &&
                  ColumnTile::kScaleThreads <= Config::kThreads);
    if constexpr (kHasRows) {
      if (thread < RowTile::kScaleThreads) {
        RowTile::store_scales(thread, shared.scales[0], params.copies[0], row, column, rows,
                              columns, params.columns);
      }
    }
    if constexpr (kHasColumns) {
      if (thread >= kFirst && thread < kFirst + ColumnTile::kScaleThreads) {
        ColumnTile::store_scales(thread - kFirst, shared.scales[1], params.copies[1], column, row,
                                 columns, rows, params.rows);
      }
      Codes::store(reinterpret_cast<const uint32_t*>(shared.patches), params.copies[1], column, row,
                   columns, rows);
    }
  }

  // Rows that exist, where the columns do or fill a block; and where their codes go.
  __device__ int present_rows() const {
    return tile_column < RowTile::padded(columns) ? rows - tile_row : 0;
  }
  __device__ unsigned char* row_codes() const {
    const QuantizedCopy& copy = params.copies[0];
    return copy.codes + (row + tile_row) * copy.code_row_stride +
           (column / 8 + tile_column / 8u) * Format::kCodeBits +
           tile_column % 8u * Format::kCodeBits / 8;
  }

  __device__ void quantize_rows() {
    const int present = present_rows();
    const QuantizedCopy& copy = params.copies[0];
    unsigned char* codes = row_codes();
    const int lane = threadIdx.x % kLanes;
    unsigned char* scales =
        shared.scales[0] + RowTile::scale_at(tile_row + lane % 2, tile_column / Format::kBlock);
#pragma unroll 1
    for (int r = 0; r < kRows; r += 2) {
      two_rows(r, present - r, codes, copy.code_row_stride, scales);
      codes += 2 * copy.code_row_stride;
      scales += 2 * RowTile::kScaleRow;
    }
  }

  // Word i of the codes of column c.
  __device__ uint32_t& column_codes(int c, int i) {
    return reinterpret_cast<uint32_t*>(patch.mine)[Codes::word(threadIdx.x / kAcross, c, i)];
  }

  // The larger magnitude of a word.
  __device__ static float larger(uint32_t m) {
    return fmaxf(fabsf(W::value(m, 0)), fabsf(W::value(m, W::kPerWord - 1)));
  }

  __device__ void record(int copy, float amax) {
    if constexpr (kRecords) recorded[copy] = fmaxf(recorded[copy], amax);
  }

  // One atomic a warp and copy.
  __device__ void finish() const {
    if constexpr (kRecords) {
#pragma unroll
      for (int copy = 0; copy < 2; ++copy) {
        float* to = params.copies[copy].new_amax;
        if (to == nullptr) continue;
        // Without a transform, what one copy saw is what the other would.
        const bool both = !kHasTransform && (!kHasRows || !kHasColumns);
        const float mine = both ? fmaxf(recorded[0], recorded[1]) : recorded[copy];
        const uint32_t largest = ptx::redux_sync_max_u32(__float_as_uint(mine));
        if (threadIdx.x % 32 == 0) ptx::red_relaxed_gpu_global_max_u32(to, largest);
      }
    }
  }

  // Rows r and r + 1 of the patch, with the lanes beside it that share their blocks. The first
  // `rows` of them exist.
  __device__ void two_rows(int r, int rows, unsigned char* codes, int64_t stride,
                           unsigned char* scales) {
    uint32_t y[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      patch.template row<Config::kRowTransform, Config::kRowTransformSize>(r + i, params.signs[0],
                                                                           y[i]);
      if constexpr (Config::kRowTransform != kNoTransform && kRows > 16) {
        // A group of which no element exists stays 0: signs would make some of it -0.
        if (tile_column - tile_column % 16 >= columns) {
#pragma unroll
          for (uint32_t& word : y[i]) word = 0;
        }
      }
    }
    float amax[2];
    Rows::template amax_of_rows<kIgnoreNan>(y, amax);
    if constexpr (!kMakesCodes) {
      record(0, fmaxf(amax[0], amax[1]));
      return;
    }
    bool tame = true;
    if constexpr (!kIgnoreNan) {
      if (ptx::vote_sync_any(isnan(amax[0]) || isnan(amax[1]))) {
        tame = false;
        if constexpr (E::kSignsApart) {
#pragma unroll
          for (uint32_t(&row)[4] : y) {
#pragma unroll
            for (uint32_t& word : row) word = W::positive_nan(word);
          }
        }
        Rows::template amax_of_rows<true>(y, amax);
      }
    }
    uint32_t both = Format::scales(amax[0], amax[1], tensor[0]);
    Rows::choose_scales(y, amax, tensor[0], both);
    float f[2] = {factor(0, both & 0xffu), factor(0, both >> 8)};
    record(0, fmaxf(amax[0], amax[1]));
    if (threadIdx.x % kLanes < 2) {
      *scales = static_cast<uint8_t>(threadIdx.x % 2 == 0 ? both & 0xffu : both >> 8);
    }
    uint32_t random[2][2] = {};
    if constexpr (E::kStochastic) {
      Rows::random_of_rows(params, row + tile_row + r, (column + tile_column) / 16, random);
    }
    uint32_t words[2][E::kWords];
    if constexpr (E::kHasTame) {  // alike in the warp: both ways take longer than one
      tame = !ptx::vote_sync_any(!tame || !(f[0] > 0.0f) || !(f[1] > 0.0f));
    }
    if (E::kHasTame && tame) {
      Rows::template encode_rows<E::kHasTame>(y, f, random, words);
    } else {
#pragma unroll
      for (float& some : f) some = E::unmarked(some);
      Rows::template encode_rows<false>(y, f, random, words);
    }
    Rows::store_rows(rows, words, codes, stride);
  }

  // The word columns of a patch, pass by pass. Lanes of the same banks begin with different ones.
  __device__ static int word_of_pass(int i) { return static_cast<int>((i + threadIdx.x / 8) % 4); }

  // The blocks of the transpose in word column j, which is y.
  __device__ void word_column(int j, uint32_t (&y)[kRows]) {
    PatchColumns<Config, PatchQuantizer>(*this).quantize(j, y);
  }
};

template <class Config>
__device__ void quantize_patches(const QuantizeParams& params) {
  using Quantizer = PatchQuantizer<PatchConfig<Config>>;
  extern __shared__ uint4 shared_words[];
  auto& shared = *reinterpret_cast<typename Quantizer::Shared*>(shared_words);
  Quantizer quantizer(params, shared);
  // Both halves of the last 128 rows: the padding of scales is written too.
  constexpr bool kHalf = Config::kRowsPerTile != kPatchTile;
  const int64_t end = kHalf ? round_up(params.rows, kPatchTile) : params.rows;
  int64_t row = static_cast<int64_t>(blockIdx.y) * Config::kRowsPerTile;
  quantizer.load(row);
  quantizer.prepare();
  while (true) {
    quantizer.tile();
    row += static_cast<int64_t>(gridDim.y) * Config::kRowsPerTile;
    if (row >= end) break;
    __syncthreads();
    quantizer.load(row);
  }
  quantizer.finish();
}

}  // namespace nibble
