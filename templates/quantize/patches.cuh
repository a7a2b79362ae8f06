// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize with a transposed copy, or with blocks of 16 x 16: a matrix is read once, in tiles of
// 128 x 128, a patch to a thread. Row-wise codes go from registers to memory, transposed ones by
// way of shared memory. Loops are not unrolled where that would make more code than the instruction
// cache holds.
#pragma once

#include "params/quantize.h"
#include "ptx/reduce.cuh"
#include "quantize/encode.cuh"
#include "quantize/patch.cuh"
#include "quantize/patch_rows.cuh"
#include "quantize/patch_tile.cuh"
#include "quantize/transpose_codes.cuh"

namespace nibble {

// Config::kCopies.
constexpr int kRowWise = 0;
constexpr int kColumnWise = 1;
constexpr int kBothCopies = 2;

template <class Config>
struct PatchQuantizer {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using Tile = CopyTile<Config>;
  using Codes = TransposedCodes<Config>;
  using E = Encoder<Config>;
  using Rows = PatchRows<Config>;
  static constexpr int kRows = Format::kBlock;
  static constexpr int kColumns = 16 / W::kElementBytes;
  static constexpr int kAcross = kPatchTile / kColumns;
  static constexpr int kLanes = Rows::kLanes;
  static constexpr bool kHasRows = Config::kCopies != kColumnWise;
  static constexpr bool kHasColumns = Config::kCopies != kRowWise;
  static constexpr bool kSquare = Config::kSquareBlocks != 0;
  static constexpr bool kMakesCodes = Config::kMakesCodes != 0;
  static constexpr bool kRecords = Config::kRecordsAmax != 0;
  using ThePatch = Patch<Config::kElementType, kRows, Config::kThreads>;
  static_assert(Config::kThreads == kAcross * (kPatchTile / kRows),
                "kThreads: a thread for each patch of a tile of 128 x 128");

  // Without a transform both copies are scaled by the amax of the first.
  static constexpr bool kHasTransform =
      Config::kRowTransform != kNoTransform || Config::kColumnTransform != kNoTransform;
  static constexpr int kTensors = kHasRows && kHasColumns && kHasTransform ? 2 : 1;
  static constexpr int kColumnTensor = kTensors - 1;

  struct Shared {
    uint4 patches[ThePatch::kBytes / 16];
    unsigned char scales[2][Tile::kScaleBytes];
    float factor[kTensors][128];  // by the byte of the scale
  };

  const QuantizeParams& params;
  Shared& shared;
  typename Format::Tensor tensor[kTensors];
  ThePatch patch;
  int tile_row, tile_column;  // of the patch
  int64_t row, column;        // of the tile
  float recorded[2] = {};     // max |x| of the copies
  int rows, columns;          // of the matrix in the tile: 1 to kPatchTile

  __device__ PatchQuantizer(const QuantizeParams& p, Shared& s) : params(p), shared(s) {
    patch.mine = shared.patches + threadIdx.x;
    tile_row = threadIdx.x / kAcross * kRows;
    tile_column = threadIdx.x % kAcross * kColumns;
    begin_at(static_cast<int64_t>(blockIdx.x) * kPatchTile);
  }

  // The column of the next tiles.
  __device__ void begin_at(int64_t of) {
    column = of;
    columns = clamp(params.columns - column);
  }

  // While the first patch is on its way.
  __device__ void prepare() {
    if constexpr (!kMakesCodes) return;
    if constexpr (kHasRows) prepare(0, params.copies[0]);
    if constexpr (!kHasRows || kTensors == 2) prepare(kColumnTensor, params.copies[1]);
    __syncthreads();
  }

  __device__ void prepare(int at, const QuantizedCopy& copy) {
    tensor[at] = Format::tensor(copy.amax);
    if constexpr (Format::kHasTensorScale) {
      static_assert(Config::kThreads >= 128, "a thread for each scale");
      if (threadIdx.x < 127) {
        const auto scale = static_cast<uint8_t>(threadIdx.x);
        shared.factor[at][scale] = Format::factor(scale, tensor[at]);
      }
    }
  }

  __device__ float factor(int at, uint32_t scale) const {
    if constexpr (Format::kHasTensorScale) return shared.factor[at][scale];
    return Format::factor(static_cast<uint8_t>(scale), tensor[at]);
  }

  __device__ static int clamp(int64_t left) {
    return left > kPatchTile ? kPatchTile : static_cast<int>(left);
  }

  // The patch of the tile at `of`.
  __device__ void load(int64_t of) {
    row = of;
    rows = clamp(params.rows - row);
    const int64_t first_row = row + tile_row;
    const int64_t first_column = column + tile_column;
    const int64_t row_bytes = params.row_stride * W::kElementBytes;
    patch.template load<Config::kVectorBytes>(static_cast<const char*>(params.x) +
                                                  first_row * row_bytes +
                                                  first_column * W::kElementBytes,
                                              row_bytes, rows - tile_row, columns - tile_column);
  }

  __device__ void tile() {
    ptx::cp_async_wait_all();
    if constexpr (kSquare && kMakesCodes) {
      quantize_square();
    } else {
      if constexpr (kHasRows) quantize_rows();
      if constexpr (kHasColumns) {
#pragma unroll 1
        for (int j = 0; j < 2; ++j) two_word_columns(j);
      }
    }
    if constexpr (!kMakesCodes) return;
    __syncthreads();
    if constexpr (kHasRows) {
      Tile::store_scales(shared.scales[0], params.copies[0], row, column, rows, columns,
                         params.columns);
    }
    if constexpr (kHasColumns) {
      Tile::store_scales(shared.scales[1], params.copies[1], column, row, columns, rows,
                         params.rows);
      Codes::store(reinterpret_cast<const uint2*>(shared.patches), params.copies[1], column, row,
                   columns, rows);
    }
  }

  __device__ void quantize_rows() {
    const int64_t first = (column + tile_column) * Format::kCodeBits / 8;
    // Rows that exist, where the columns do or fill a block.
    const int present = tile_column < Tile::padded(columns) ? rows - tile_row : 0;
    const QuantizedCopy& copy = params.copies[0];
    unsigned char* codes = copy.codes + (row + tile_row) * copy.code_row_stride + first;
    const int lane = threadIdx.x % kLanes;
    unsigned char* scales =
        shared.scales[0] + Tile::scale_at(tile_row + lane % 2, tile_column / Format::kBlock);
#pragma unroll 1
    for (int r = 0; r < kRows; r += 2) {
      two_rows(r, present - r, codes, copy.code_row_stride, scales);
      codes += 2 * copy.code_row_stride;
      scales += 2 * Tile::kScaleRow;
    }
  }

  // One scale for the 16 x 16 elements of this patch and those beside it: codes are made once, the
  // transposed ones by moving them.
  __device__ void quantize_square() {
    static_assert(!kSquare || (kRows == 16 && Format::kCodeBits == 4 &&
                               !(kHasTransform && kHasRows && kHasColumns)),
                  "kSquareBlocks: NVFP4; a transform for one copy alone");
    patch.template transform<Config>(params.signs, rows - tile_row);
    const float amax = square_amax();
    record(0, amax);
    record(1, amax);
    const uint32_t scale = square_scale(amax);
    const float f = factor(0, scale);
    square_scales(scale);
    uint32_t words[W::kPerWord][8];
#pragma unroll
    for (int half = 0; half < W::kPerWord; ++half) {
#pragma unroll
      for (int i = 0; i < 8; ++i) words[half][i] = square_word(8 * half + i, f);
      if constexpr (kHasRows) store_square_rows(8 * half, words[half]);
      transpose_codes(words[half]);
    }
    if constexpr (kHasColumns) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const uint32_t high = W::kIs32Bit ? words[0][c + 4] : words[W::kPerWord - 1][c];
        column_codes(c, 0) = make_uint2(words[0][c], high);
      }
    }
  }

  __device__ uint32_t square_scale(float amax) const {
    if constexpr (!Format::kChooses) {
      return Format::scale(amax, tensor[0]);
    } else {
      typename Format::Choice choice(amax, tensor[0]);
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        patch.template row<kNoTransform, 16>(r, params.signs[0], y);
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          choice.add(W::value(y[i / W::kPerWord], i % W::kPerWord));
        }
      }
      choice.template add_lanes<kLanes>();
      return choice.scale();
    }
  }

  __device__ uint2& column_codes(int c, int unit) {
    return reinterpret_cast<uint2*>(patch.mine)[Codes::unit(tile_row / kRows, c, unit)];
  }

  __device__ float square_amax() {
    uint32_t m = 0;
    bool nan = false;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      uint32_t y[4];
      patch.template row<kNoTransform, 16>(r, params.signs[0], y);
#pragma unroll
      for (const uint32_t word : y) m = largest_of(m, word);
    }
    if constexpr (!E::kInHardware) nan = W::has_nan(m);
    if (nan) {
      m = 0;
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        patch.template row<kNoTransform, 16>(r, params.signs[0], y);
#pragma unroll
        for (uint32_t& word : y) {
          word = W::positive_nan(word);
          m = W::max_abs(m, word);
        }
        patch.mine[r * ThePatch::kPitch] = make_uint4(y[0], y[1], y[2], y[3]);
      }
    }
#pragma unroll
    for (int mask = 1; mask < kLanes; mask *= 2) {
      m = W::max_abs(m, ptx::shfl_sync_bfly_b32(m, mask));
    }
    return larger(m);
  }

  // Where NaN must be made positive, it must be seen.
  __device__ static uint32_t largest_of(uint32_t a, uint32_t b) {
    return E::kInHardware || !kMakesCodes ? W::max_abs(a, b) : W::max_abs_or_nan(a, b);
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

  // Eight codes: of row r, or four of row r and four of row r + 8.
  __device__ uint32_t square_word(int r, float f) const {
    uint32_t w[8 / W::kPerWord];
#pragma unroll
    for (int i = 0; i < 2 / W::kPerWord; ++i) {
      uint32_t y[4];
      patch.template row<kNoTransform, 16>(r + 8 * i, params.signs[0], y);
#pragma unroll
      for (int j = 0; j < 4; ++j) w[4 * i + j] = y[j];
    }
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      x[i] = W::value(w[i / W::kPerWord], i % W::kPerWord);
    }
    uint32_t random[2] = {};
    if constexpr (E::kStochastic) square_random(r, random);
    uint32_t words[E::kWords];
    E::template encode<false>(x, f, E::kInHardware ? 0 : W::signs(w), random[0], random[1], words);
    return words[0];
  }

  // The random words of those: of the row-wise copy, for both.
  __device__ void square_random(int r, uint32_t (&random)[2]) const {
    const int64_t block = (column + tile_column) / 16;
    Rows::random_of_row(params, row + tile_row + r, block, random);
    if constexpr (W::kIs32Bit) {
      uint32_t other[2];
      Rows::random_of_row(params, row + tile_row + r + 8, block, other);
      random[1] = other[0];
    }
  }

  // Rows and columns beyond the matrix have scale 0.
  __device__ void square_scales(uint32_t scale) {
    if constexpr (kHasRows) {
      unsigned char* to = shared.scales[0] + Tile::scale_at(tile_row, tile_column / kRows);
      for (int r = threadIdx.x % kLanes; r < kRows; r += kLanes) {
        to[r * Tile::kScaleRow] = static_cast<uint8_t>(tile_row + r < rows ? scale : 0);
      }
    }
    if constexpr (kHasColumns) {
      unsigned char* to = shared.scales[1] + Tile::scale_at(tile_column, tile_row / kRows);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        to[c * Tile::kScaleRow] = static_cast<uint8_t>(tile_column + c < columns ? scale : 0);
      }
    }
  }

  __device__ void store_square_rows(int first, const uint32_t (&words)[8]) const {
    const int64_t at = (column + tile_column) / 2;
    const int left = tile_column < Tile::padded(columns) ? rows - tile_row - first : 0;
    const int64_t stride = params.copies[0].code_row_stride;
    unsigned char* codes = params.copies[0].codes + (row + tile_row + first) * stride + at;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if constexpr (W::kIs32Bit) {
        if (i < left) *reinterpret_cast<uint16_t*>(codes) = static_cast<uint16_t>(words[i]);
        if (i + 8 < left) {
          *reinterpret_cast<uint16_t*>(codes + 8 * stride) = static_cast<uint16_t>(words[i] >> 16);
        }
      } else {
        if (i < left) *reinterpret_cast<uint32_t*>(codes) = words[i];
      }
      codes += stride;
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
    }
    float amax[2];
    Rows::template amax_of_rows<E::kInHardware || !kMakesCodes>(y, amax);
    if constexpr (!kMakesCodes) {
      record(0, fmaxf(amax[0], amax[1]));
      return;
    }
    uint32_t both = Format::scales(amax[0], amax[1], tensor[0]);
    bool tame = true;
    if constexpr (!E::kInHardware) {
      if (ptx::vote_sync_any(!Format::are_tame(both))) {
        tame = false;
#pragma unroll
        for (uint32_t(&row)[4] : y) {
#pragma unroll
          for (uint32_t& word : row) word = W::positive_nan(word);
        }
        Rows::template amax_of_rows<true>(y, amax);
        both = Format::scales(amax[0], amax[1], tensor[0]);
      }
    }
    Rows::choose_scales(y, amax, tensor[0], both);
    const float f[2] = {factor(0, both & 0xffu), factor(0, both >> 8)};
    record(0, fmaxf(amax[0], amax[1]));
    if (threadIdx.x % kLanes < 2) {
      *scales = static_cast<uint8_t>(threadIdx.x % 2 == 0 ? both & 0xffu : both >> 8);
    }
    uint32_t random[2][2] = {};
    if constexpr (E::kStochastic) {
      Rows::random_of_rows(params, row + tile_row + r, (column + tile_column) / 16, random);
    }
    uint32_t words[2][E::kWords];
    if (E::kHasTame && tame) {
      Rows::template encode_rows<true>(y, f, random, words);
    } else {
      Rows::template encode_rows<false>(y, f, random, words);
    }
    Rows::store_rows(rows, words, codes, stride);
  }

  // The blocks of the transpose in word columns 2 j and 2 j + 1.
  __device__ void two_word_columns(int j) {
    uint32_t y[2][kRows];
    patch.template columns<Config::kColumnTransform, Config::kColumnTransformSize>(
        j, params.signs[1], rows - tile_row, y);
    unsigned char* scales =
        shared.scales[1] + Tile::scale_at(tile_column, tile_row / Format::kBlock);
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      uint32_t m = 0;
#pragma unroll
      for (int r = 0; r < kRows; ++r) m = largest_of(m, y[k][r]);
      if constexpr (!kMakesCodes) {
        record(1, larger(m));
        continue;
      }
      uint32_t both = scales_of(m);
      bool tame = true;
      if constexpr (!E::kInHardware) {
        tame = Format::are_tame(both);
        if (!tame) {
          m = 0;
#pragma unroll
          for (int r = 0; r < kRows; ++r) {
            y[k][r] = W::positive_nan(y[k][r]);
            m = W::max_abs(m, y[k][r]);
          }
          both = scales_of(m);
        }
      }
      choose_scales(y[k], m, both);
      const float f[2] = {factor(kColumnTensor, both & 0xffu), factor(kColumnTensor, both >> 8)};
      record(1, larger(m));
#pragma unroll
      for (int h = 0; h < W::kPerWord; ++h) {
        const int c = (2 * j + k) * W::kPerWord + h;
        scales[c * Tile::kScaleRow] = static_cast<uint8_t>(h == 0 ? both & 0xffu : both >> 8);
        if (E::kHasTame && tame) {
          store_column<true>(c, h, y[k], f[h]);
        } else {
          store_column<false>(c, h, y[k], f[h]);
        }
      }
    }
  }

  // Of the columns whose largest elements share a word.
  __device__ uint32_t scales_of(uint32_t m) const {
    return Format::scales(fabsf(W::value(m, 0)), fabsf(W::value(m, W::kPerWord - 1)),
                          tensor[kColumnTensor]);
  }

  // By the errors of their elements, where the format chooses so.
  __device__ void choose_scales(const uint32_t (&y)[kRows], uint32_t m, uint32_t& both) const {
    if constexpr (Format::kChooses) {
      both = 0;
#pragma unroll
      for (int h = 0; h < W::kPerWord; ++h) {
        typename Format::Choice choice(fabsf(W::value(m, h)), tensor[kColumnTensor]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) choice.add(W::value(y[r], h));
        both |= choice.scale() << (8 * h);
      }
    }
  }

  template <bool kTame>
  __device__ void store_column(int c, int h, const uint32_t (&y)[kRows], float f) {
    constexpr int kWordsPerSixteen = 2 * E::kWords;
#pragma unroll
    for (int first = 0; first < kRows; first += 16) {
      uint32_t random[4] = {};
      if constexpr (E::kStochastic) {
        dither_words(params.keys, 1, column + tile_column + c, (row + tile_row + first) / 16,
                     random);
      }
      uint32_t words[kWordsPerSixteen];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float x[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = W::value(y[first + 8 * half + i], h);
        uint32_t signs = 0;
        if constexpr (!E::kInHardware) {
          uint32_t w[8];
#pragma unroll
          for (int i = 0; i < 8; ++i) w[i] = y[first + 8 * half + i];
          signs = W::signs_of_halves(w, h);
        }
        uint32_t some[E::kWords];
        E::template encode<kTame>(x, f, signs, random[2 * half], random[2 * half + 1], some);
#pragma unroll
        for (int i = 0; i < E::kWords; ++i) words[half * E::kWords + i] = some[i];
      }
#pragma unroll
      for (int i = 0; i < kWordsPerSixteen; i += 2) {
        column_codes(c, first * Format::kCodeBits / 64 + i / 2) =
            make_uint2(words[i], words[i + 1]);
      }
    }
  }
};

template <class Config>
__device__ void quantize_patches(const QuantizeParams& params) {
  using Quantizer = PatchQuantizer<Config>;
  extern __shared__ uint4 shared_words[];
  auto& shared = *reinterpret_cast<typename Quantizer::Shared*>(shared_words);
  Quantizer quantizer(params, shared);
  int64_t row = static_cast<int64_t>(blockIdx.y) * kPatchTile;
  quantizer.load(row);
  quantizer.prepare();
  while (true) {
    quantizer.tile();
    row += static_cast<int64_t>(gridDim.y) * kPatchTile;
    if (row >= params.rows) break;
    __syncthreads();
    quantizer.load(row);
  }
  quantizer.finish();
}

}  // namespace nibble
