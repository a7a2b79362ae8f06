// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The rows of a patch that nothing transforms. First come the scales of all blocks, then the codes.
// Columns go with them where they can: an element is read and widened once for both copies.
#pragma once

#include "ptx/reduce.cuh"
#include "quantize/encode.cuh"
#include "quantize/patch_rows.cuh"
#include "quantize/patch_tile.cuh"
#include "quantize/transpose_codes.cuh"

namespace nibble {

template <class Config, class Quantizer>
struct PatchBlocks {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using E = Encoder<Config>;
  using Rows = PatchRows<Config>;
  using Tile = CopyTile<Config>;
  static constexpr int kRows = Format::kBlock;
  static constexpr int kColumns = Rows::kColumns;
  static constexpr int kLanes = Rows::kLanes;
  static constexpr bool kHasColumns = Quantizer::kColumnsGoWithRows;
  static_assert(!kHasColumns || (!W::kIs32Bit && E::kHasTame), "codes of columns by arithmetic");

  // Each of the lanes that share blocks of rows finds the scales of as many rows as the others: of
  // rows kOwn * lane and on.
  static constexpr int kOwn = kRows / kLanes;
  // Rows of a pass of the loop that makes codes. More would not fit the instruction cache.
  static constexpr int kStep = kHasColumns ? 8 : 4;
  static_assert(kOwn % kStep == 0, "rows of one lane");

  static constexpr bool kByColumns = Quantizer::kRowsGoWithColumns;

  Quantizer& of;
  // Of four rows in one word: of the first as in a row's codes, of each next a bit lower.
  uint32_t row_signs[kRows / 4];
  uint32_t row_scales[kOwn / 4];  // four in a word
  uint32_t column_scales[2];
  float row_factor[kOwn];
  float column_factor[8];
  float row_amax = 0.0f, column_amax = 0.0f;

  __device__ explicit PatchBlocks(Quantizer& quantizer) : of(quantizer) {}

  __device__ void quantize() {
    bool tame = find_scales<E::kInHardware>();
    if constexpr (!E::kInHardware) {
      tame = !ptx::vote_sync_any(!tame || of.present_rows() < kRows);
      if (!tame) {
        make_nan_positive();
        find_scales<true>();
      }
    }
    store_scales();
    if (E::kHasTame && tame) {
      encode<true>();
    } else {
      encode<false>();
    }
  }

 private:
  // Whether all blocks are tame.
  template <bool kIgnoreNan>
  __device__ bool find_scales() {
    uint32_t across[kRows / W::kPerWord];
    uint32_t down[4] = {};
    uint32_t two[2] = {};  // signs of two rows
#pragma unroll
    for (int r = 0; r < kRows; r += 2) {
      uint32_t y[2][4];
      of.patch.row(r, y[0]);
      of.patch.row(r + 1, y[1]);
      uint32_t m[2];
      Rows::template largest_of_rows<kIgnoreNan>(y, m);
#pragma unroll
      for (int i = 0; i < 2 / W::kPerWord; ++i) across[r / W::kPerWord + i] = m[i];
      if constexpr (kByColumns) {  // the four bits of a sign are alike
        two[r % 4 / 2] = ptx::lop3_b32<0xe4>(W::signs(y[0]), W::signs(y[1]), 0xaaaaaaaau);
        row_signs[r / 4] = ptx::lop3_b32<0xe4>(two[0], two[1], 0xccccccccu);
      }
      if constexpr (kHasColumns) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          down[j] = Rows::template largest<kIgnoreNan>(
              down[j], Rows::template largest<kIgnoreNan>(y[0][j], y[1][j]));
        }
      }
    }
    Rows::template share_maxima<kIgnoreNan>(across);
    uint32_t wild = 0;
    row_amax = column_amax = 0.0f;
#pragma unroll
    for (int i = 0; i < kOwn; i += 4) {
      row_scales[i / 4] = four_scales(&across[i / W::kPerWord], row_amax);
      wild |= Format::wild(row_scales[i / 4]);
    }
    if constexpr (kHasColumns) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        column_scales[half] = four_scales(&down[2 * half], column_amax);
        wild |= Format::wild(column_scales[half]);
      }
    }
    return (wild & 0x80808080u) == 0;
  }

  // Of blocks of the largest magnitudes m.
  __device__ uint32_t four_scales(const uint32_t* m, float& amax) const {
    float some[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) some[i] = fabsf(W::value(m[i / W::kPerWord], i % W::kPerWord));
    if constexpr (Quantizer::kRecords) {
      amax = fmaxf(amax, fmaxf(fmaxf(some[0], some[1]), fmaxf(some[2], some[3])));
    }
    return Format::scales(some, of.tensor[0]);
  }

  __device__ void make_nan_positive() {
#pragma unroll 1
    for (int r = 0; r < kRows; ++r) {
      uint4& y = of.patch.mine[r * Quantizer::ThePatch::kPitch];
      y = make_uint4(W::positive_nan(y.x), W::positive_nan(y.y), W::positive_nan(y.z),
                     W::positive_nan(y.w));
    }
  }

  __device__ void store_scales() {
    of.record(0, row_amax);
    const int first = of.tile_row + static_cast<int>(threadIdx.x) % kLanes * kOwn;
    unsigned char* to =
        of.shared.scales[0] + Tile::scale_at(first, of.tile_column / Format::kBlock);
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const uint32_t scale = row_scales[i / 4] >> (8 * (i % 4)) & 0xffu;
      to[i * Tile::kScaleRow] = static_cast<uint8_t>(scale);
      row_factor[i] = of.factor(0, scale);
    }
    if constexpr (kHasColumns) {
      of.record(1, column_amax);
      to = of.shared.scales[1] + Tile::scale_at(of.tile_column, of.tile_row / Format::kBlock);
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        const uint32_t scale = column_scales[c / 4] >> (8 * (c % 4)) & 0xffu;
        to[c * Tile::kScaleRow] = static_cast<uint8_t>(scale);
        column_factor[c] = of.factor(0, scale);
      }
    }
  }

  // kTame: the blocks are, and all rows exist.
  template <bool kTame>
  __device__ void encode() {
    if constexpr (kByColumns) {
      encode_by_columns<kTame>();
      return;
    }
    const int64_t stride = of.params.copies[0].code_row_stride;
    unsigned char* codes = of.row_codes();
#pragma unroll 1
    for (int part = 0; part < kOwn; part += kStep) {
#pragma unroll 1
      for (int lane = 0; lane < kLanes; ++lane) {
        some_rows<kTame>(lane, lane * kOwn + part, codes);
        codes += kOwn * stride;
      }
      codes -= (kRows - kStep) * stride;
      if constexpr (kStep < kOwn) {  // registers cannot be indexed
#pragma unroll
        for (int i = kStep; i < kOwn; ++i) row_factor[i - kStep] = row_factor[i];
      }
    }
  }

  // Word column by word column: the codes of its two columns of the rows, then what the transform
  // makes of it.
  template <bool kTame>
  __device__ void encode_by_columns() {
    float factor[kRows];
    uint32_t words[kRows] = {};  // a byte a pass, the last the highest
#pragma unroll
    for (int r = 0; r < kRows; ++r) factor[r] = Rows::of_lane(row_factor[r % kOwn], r / kOwn);
#pragma unroll 1
    for (int i = 0; i < 4; ++i) {
      const int j = Quantizer::word_of_pass(i);
      uint32_t y[kRows];
      of.patch.column(j, y);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        unsigned code[2];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          code[h] = e2m1_magnitude<kTame>(__fmul_rn(fabsf(W::value(y[r], h)), factor[r]), 0);
        }
        words[r] = __funnelshift_r(words[r], code[1] * 16 + code[0], 8);
      }
      of.word_column(j, y);
    }
    const QuantizedCopy& copy = of.params.copies[0];
    unsigned char* codes = of.row_codes();
    const int left = of.present_rows();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const uint32_t row = __funnelshift_l(words[r], words[r], 8 * Quantizer::word_of_pass(0));
      const uint32_t code[2][E::kWords] = {{e2m1x8_with_signs(row, row_signs[r / 4] << (r % 4))}};
      if (kTame || r < left) Rows::store_row(0, code, codes);
      codes += copy.code_row_stride;
    }
  }

  // Rows first to first + kStep - 1, whose codes go to `codes` on; lane `lane` has their factors.
  template <bool kTame>
  __device__ void some_rows(int lane, int first, unsigned char* codes) {
    const int64_t stride = of.params.copies[0].code_row_stride;
    codes += (kStep - 1) * stride;
    const int left = of.present_rows() - first;
    uint32_t magnitudes[8] = {};  // of columns
    uint32_t signs[2][4];
#pragma unroll
    for (int i = kStep - 2; i >= 0; i -= 2) {
      const int r = first + i;
      uint32_t y[2][4];
      of.patch.row(r, y[0]);
      of.patch.row(r + 1, y[1]);
      const float f[2] = {Rows::of_lane(row_factor[i], lane),
                          Rows::of_lane(row_factor[i + 1], lane)};
      uint32_t random[2][2] = {};
      if constexpr (E::kStochastic) {
        Rows::random_of_rows(of.params, of.row + of.tile_row + r, (of.column + of.tile_column) / 16,
                             random);
      }
      uint32_t words[2][E::kWords];
      Rows::template encode_rows<kTame>(y, f, random, words);
#pragma unroll
      for (int k = 1; k >= 0; --k) {
        if (kTame || i + k < left) Rows::store_row(k, words, codes);
        codes -= stride;
      }
      if constexpr (kHasColumns) {
        add_columns<kTame>(y, i, magnitudes);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          signs[half][i / 2] = W::merge_signs(W::sign_bytes(y[0][2 * half], y[0][2 * half + 1]),
                                              W::sign_bytes(y[1][2 * half], y[1][2 * half + 1]));
        }
      }
    }
    if constexpr (kHasColumns) store_columns(first / 8, magnitudes, signs);
  }

  // Rows i and i + 1 of eight, the later ones first.
  template <bool kTame>
  __device__ void add_columns(const uint32_t (&y)[2][4], int i, uint32_t (&magnitudes)[8]) const {
#pragma unroll
    for (int c = 0; c < 8; ++c) {
#pragma unroll
      for (int k = 1; k >= 0; --k) {
        const float a = __fmul_rn(fabsf(W::value(y[k][c / 2], c % 2)), column_factor[c]);
        magnitudes[c] = magnitudes[c] * 16 + e2m1_magnitude<kTame>(a, i + k);
      }
    }
  }

  // Word `at` of the codes of each column.
  __device__ void store_columns(int at, const uint32_t (&magnitudes)[8], uint32_t (&signs)[2][4]) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      transpose_bytes(signs[half]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int c = 4 * half + (i % 2 * 2 + i / 2);  // as sign_bytes() orders them
        of.column_codes(c, at) = e2m1x8_with_signs(magnitudes[c], signs[half][i]);
      }
    }
  }
};

}  // namespace nibble
