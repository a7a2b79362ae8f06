// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Blocks of 16 x 16: one scale for the elements of a patch and those beside it. Codes are made
// once, the transposed ones by moving them.
#pragma once

#include "ptx/reduce.cuh"
#include "ptx/shuffle.cuh"
#include "quantize/encode.cuh"
#include "quantize/patch_rows.cuh"
#include "quantize/patch_tile.cuh"
#include "quantize/transpose_codes.cuh"

namespace nibble {

template <class Config, class Quantizer>
struct PatchSquare {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using E = Encoder<Config>;
  using Rows = PatchRows<Config>;
  using RowTile = CopyTile<Config, false>;
  using ColumnTile = CopyTile<Config, true>;
  static constexpr int kRows = Format::kBlock;
  static constexpr int kColumns = Rows::kColumns;
  static constexpr int kLanes = Rows::kLanes;
  static constexpr bool kHasRows = Quantizer::kHasRows;
  static constexpr bool kHasColumns = Quantizer::kHasColumns;
  static_assert(kRows == 16 && Format::kCodeBits == 4 &&
                    !(Quantizer::kHasTransform && kHasRows && kHasColumns),
                "kSquareBlocks: NVFP4; a transform for one copy alone");

  Quantizer& of;
  bool has_nan = false;

  __device__ explicit PatchSquare(Quantizer& quantizer) : of(quantizer) {}

  __device__ void quantize() {
    of.patch.template transform<Config>(of.params.signs, of.rows - of.tile_row);
    const float amax = amax_of();
    of.record(0, amax);
    of.record(1, amax);
    const uint32_t scale = scale_of(amax);
    const float f = of.factor(0, scale);
    store_scales(scale);
    // Alike in the warp: both ways take longer than one.
    if (E::kHasTame && !ptx::vote_sync_any(has_nan || !(f > 0.0f))) {
      encode<E::kHasTame>(f);
    } else {
      encode<false>(E::unmarked(f));
    }
  }

 private:
  template <bool kTame>
  __device__ void encode(float f) {
    uint32_t words[W::kPerWord][8];
#pragma unroll
    for (int half = 0; half < W::kPerWord; ++half) {
#pragma unroll
      for (int i = 0; i < 8; ++i) words[half][i] = codes_of<kTame>(8 * half + i, f);
      if constexpr (kHasRows) store_rows(8 * half, words[half]);
      transpose_codes(words[half]);
    }
    if constexpr (kHasColumns) {
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        of.column_codes(c, 0) = words[0][c];
        of.column_codes(c, 1) = W::kIs32Bit ? words[0][c + 4] : words[W::kPerWord - 1][c];
      }
    }
  }

  __device__ uint32_t scale_of(float amax) const {
    if constexpr (!Format::kChooses) {
      return Format::scale(amax, of.tensor[0]);
    } else {
      typename Format::Choice choice(amax, of.tensor[0]);
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        of.patch.row(r, y);
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          choice.add(W::value(y[i / W::kPerWord], i % W::kPerWord));
        }
      }
      choice.template add_lanes<kLanes>();
      return choice.scale();
    }
  }

  __device__ float amax_of() {
    uint32_t m = 0;
    constexpr bool kIgnoreNan = !E::kSignsApart && !E::kHasTame;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      uint32_t y[4];
      of.patch.row(r, y);
#pragma unroll
      for (const uint32_t word : y) m = Rows::template largest<kIgnoreNan>(m, word);
    }
    if constexpr (!kIgnoreNan) has_nan = W::has_nan(m);
    if (has_nan) {
      m = 0;
#pragma unroll 1
      for (int r = 0; r < kRows; ++r) {
        uint32_t y[4];
        of.patch.row(r, y);
#pragma unroll
        for (uint32_t& word : y) {
          if constexpr (E::kSignsApart) word = W::positive_nan(word);
          m = W::max_abs(m, word);
        }
        if constexpr (E::kSignsApart) {
          of.patch.mine[r * Quantizer::ThePatch::kPitch] = make_uint4(y[0], y[1], y[2], y[3]);
        }
      }
    }
#pragma unroll
    for (int mask = 1; mask < kLanes; mask *= 2) {
      m = W::max_abs(m, ptx::shfl_sync_bfly_b32(m, mask));
    }
    return Quantizer::larger(m);
  }

  // Eight codes: of row r, or four of row r and four of row r + 8.
  template <bool kTame>
  __device__ uint32_t codes_of(int r, float f) const {
    uint32_t w[8 / W::kPerWord];
#pragma unroll
    for (int i = 0; i < 2 / W::kPerWord; ++i) {
      uint32_t y[4];
      of.patch.row(r + 8 * i, y);
#pragma unroll
      for (int j = 0; j < 4; ++j) w[4 * i + j] = y[j];
    }
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      x[i] = W::value(w[i / W::kPerWord], i % W::kPerWord);
    }
    uint32_t random[2] = {};
    if constexpr (E::kStochastic) random_of(r, random);
    uint32_t words[E::kWords];
    E::template encode<kTame>(x, f, E::signs_of(w), random[0], random[1], words);
    return words[0];
  }

  // The random words of those: of the row-wise copy, for both.
  __device__ void random_of(int r, uint32_t (&random)[2]) const {
    const int64_t block = (of.column + of.tile_column) / 16;
    Rows::random_of_row(of.params, of.row + of.tile_row + r, block, random);
    if constexpr (W::kIs32Bit) {
      uint32_t other[2];
      Rows::random_of_row(of.params, of.row + of.tile_row + r + 8, block, other);
      random[1] = other[0];
    }
  }

  // Rows and columns beyond the matrix have scale 0.
  __device__ void store_scales(uint32_t scale) {
    if constexpr (kHasRows) {
      unsigned char* to =
          of.shared.scales[0] + RowTile::scale_at(of.tile_row, of.tile_column / kRows);
      for (int r = threadIdx.x % kLanes; r < kRows; r += kLanes) {
        to[r * RowTile::kScaleRow] = static_cast<uint8_t>(of.tile_row + r < of.rows ? scale : 0);
      }
    }
    if constexpr (kHasColumns) {
      unsigned char* to =
          of.shared.scales[1] + ColumnTile::scale_at(of.tile_column, of.tile_row / kRows);
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        to[c * ColumnTile::kScaleRow] =
            static_cast<uint8_t>(of.tile_column + c < of.columns ? scale : 0);
      }
    }
  }

  __device__ void store_rows(int first, const uint32_t (&words)[8]) const {
    const int left = of.present_rows() - first;
    const int64_t stride = of.params.copies[0].code_row_stride;
    unsigned char* codes = of.row_codes() + first * stride;
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
};

}  // namespace nibble
