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
  using RowTile = CopyTile<Config, false>;
  using ColumnTile = CopyTile<Config, true>;
  static constexpr int kRows = Format::kBlock;
  static constexpr int kColumns = Rows::kColumns;
  static constexpr int kLanes = Rows::kLanes;
  static constexpr bool kHasColumns = Quantizer::kColumnsGoWithRows;
  static_assert(!kHasColumns || !W::kIs32Bit);

  // Each of the lanes that share blocks of rows finds the scales of as many rows as the others: of
  // rows kOwn * lane and on.
  static constexpr int kOwn = kRows / kLanes;
  // Rows of a pass of the loop that makes codes. More would not fit the instruction cache.
  static constexpr int kStep = kHasColumns ? 8 : 4;
  static_assert(kOwn % kStep == 0, "rows of one lane");

  static constexpr bool kByColumns = Quantizer::kRowsGoWithColumns;

  Quantizer& of;
  uint32_t row_scales[kOwn / 4];  // four in a word
  uint32_t column_scales[2];
  float row_factor[kOwn];
  float column_factor[8];
  float row_amax = 0.0f, column_amax = 0.0f;

  __device__ explicit PatchBlocks(Quantizer& quantizer) : of(quantizer) {}

  __device__ void quantize() {
    bool nan = find_scales<Quantizer::kIgnoreNan>();
    bool tame = store_scales();
    if constexpr (!Quantizer::kIgnoreNan) {
      tame = !ptx::vote_sync_any(!tame || nan || of.present_rows() < kRows);
      if (!tame) {
        if constexpr (E::kHasTame) nan = has_nan_scale();
        if (ptx::vote_sync_any(nan)) {
          if constexpr (E::kSignsApart) make_nan_positive();
          find_scales<true>();
          store_scales();
        }
      }
    }
    if (E::kHasTame && tame) {
      encode<E::kHasTame>();
    } else {
      encode<false>();
    }
  }

 private:
  // Whether there is a NaN that no factor's mark tells of.
  template <bool kIgnoreNan>
  __device__ bool find_scales() {
    uint32_t across[kRows / W::kPerWord];
    uint32_t down[4] = {};
#pragma unroll
    for (int r = 0; r < kRows; r += 2) {
      uint32_t y[2][4];
      of.patch.row(r, y[0]);
      of.patch.row(r + 1, y[1]);
      uint32_t m[2];
      Rows::template largest_of_rows<kIgnoreNan>(y, m);
#pragma unroll
      for (int i = 0; i < 2 / W::kPerWord; ++i) across[r / W::kPerWord + i] = m[i];
      if constexpr (kHasColumns) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          down[j] = Rows::template largest<kIgnoreNan>(
              down[j], Rows::template largest<kIgnoreNan>(y[0][j], y[1][j]));
        }
      }
    }
    Rows::template share_maxima<kIgnoreNan>(across);
    bool nan = false;
    if constexpr (!kIgnoreNan && !E::kHasTame) {
#pragma unroll
      for (int i = 0; i < kOwn / W::kPerWord; ++i) nan = nan || W::has_nan(across[i]);
    }
    row_amax = column_amax = 0.0f;
#pragma unroll
    for (int i = 0; i < kOwn; i += 4) {
      row_scales[i / 4] = four_scales(&across[i / W::kPerWord], row_amax);
    }
    if constexpr (kHasColumns) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        column_scales[half] = four_scales(&down[2 * half], column_amax);
      }
    }
    return nan;
  }

  // Where a NaN wins, its block's scale is NaN.
  __device__ bool has_nan_scale() const {
    uint32_t nan = 0;
#pragma unroll
    for (const uint32_t four : row_scales) nan |= four + 0x01010101u;
#pragma unroll
    for (const uint32_t four : column_scales) nan |= kHasColumns ? four + 0x01010101u : 0;
    return (nan & 0x80808080u) != 0;
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

  // Finds the factors too. Whether their marks let all blocks be tame.
  __device__ bool store_scales() {
    of.record(0, row_amax);
    const int first = of.tile_row + static_cast<int>(threadIdx.x) % kLanes * kOwn;
    unsigned char* to =
        of.shared.scales[0] + RowTile::scale_at(first, of.tile_column / Format::kBlock);
    uint32_t signs = 0;
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const uint32_t scale = row_scales[i / 4] >> (8 * (i % 4)) & 0xffu;
      to[i * RowTile::kScaleRow] = static_cast<uint8_t>(scale);
      row_factor[i] = of.factor(0, scale);
      signs |= __float_as_uint(row_factor[i]);
    }
    if constexpr (kHasColumns) {
      of.record(1, column_amax);
      to = of.shared.scales[1] + ColumnTile::scale_at(of.tile_column, of.tile_row / Format::kBlock);
#pragma unroll
      for (int c = 0; c < 8; ++c) {
        const uint32_t scale = column_scales[c / 4] >> (8 * (c % 4)) & 0xffu;
        to[c * ColumnTile::kScaleRow] = static_cast<uint8_t>(scale);
        column_factor[c] = of.factor(0, scale);
        signs |= __float_as_uint(column_factor[c]);
      }
    }
    return signs >> 31 == 0;
  }

  // kTame: the blocks are, and all rows exist.
  template <bool kTame>
  __device__ void encode() {
    if constexpr (!kTame) {
#pragma unroll
      for (float& f : row_factor) f = E::unmarked(f);
#pragma unroll
      for (float& f : column_factor) f = kHasColumns ? E::unmarked(f) : f;
    }
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
      for (int first = 0; first < kRows; first += 4) {
        float x[8];
#pragma unroll
        for (int k = 0; k < 8; ++k) {
          x[k] = __fmul_rn(W::value(y[first + k / 2], k % 2), factor[first + k / 2]);
        }
        uint32_t four[E::kWords];
        E::template encode_scaled<kTame>(x, 0, 0, 0, four);
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          words[first + k] = __byte_perm(words[first + k], four[0], 0x0321 + (4 + k) * 0x1000);
        }
      }
      of.word_column(j, y);
    }
    const QuantizedCopy& copy = of.params.copies[0];
    unsigned char* codes = of.row_codes();
    const int left = of.present_rows();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const uint32_t code[2][E::kWords] = {
          {__funnelshift_l(words[r], words[r], 8 * Quantizer::word_of_pass(0))}};
      if (kTame || r < left) Rows::store_row(0, code, codes);
      codes += copy.code_row_stride;
    }
  }

  // Rows first to first + kStep - 1, whose codes go to `codes` on; lane `lane` has their factors.
  template <bool kTame>
  __device__ void some_rows(int lane, int first, unsigned char* codes) {
    const int64_t stride = of.params.copies[0].code_row_stride;
    const int left = of.present_rows() - first;
    // Pairs of rows: neighbours, or two apart, as e2m1x8_of_halves() has them.
    constexpr int kApart = kHasColumns ? 2 : 1;
    uint32_t halves[8][kStep / 2];  // of each column and two rows
#pragma unroll
    for (int pair = 0; pair < kStep / 2; ++pair) {
      const int i = pair / kApart * 2 * kApart + pair % kApart;
      const int r = first + i;
      uint32_t y[2][4];
      of.patch.row(r, y[0]);
      of.patch.row(r + kApart, y[1]);
      const float f[2] = {Rows::of_lane(row_factor[i], lane),
                          Rows::of_lane(row_factor[i + kApart], lane)};
      uint32_t random[2][2] = {};
      if constexpr (E::kStochastic) {
        Rows::random_of_rows(of.params, of.row + of.tile_row + r, (of.column + of.tile_column) / 16,
                             random);
      }
      uint32_t words[2][E::kWords];
      Rows::template encode_rows<kTame>(y, f, random, words);
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        if (kTame || i + k * kApart < left) Rows::store_row(k, words, codes);
        // To the second row of the pair, or to the first of the next pair.
        codes += k == 0 ? kApart * stride : kApart == 2 && pair % 2 == 0 ? -stride : stride;
      }
      if constexpr (kHasColumns) {
#pragma unroll
        for (int c = 0; c < 8; ++c) {
          float x[2];
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            x[k] = __fmul_rn(W::value(y[k][c / 2], c % 2), column_factor[c]);
          }
          halves[c][pair % 2 * 2 + pair / 2] = e2m1x2_cut_to_halves<kTame>(x[0], x[1]);
        }
      }
    }
    if constexpr (kHasColumns) {  // word first / 8 of the codes of each column
#pragma unroll
      for (int c = 0; c < 8; ++c) of.column_codes(c, first / 8) = e2m1x8_of_halves(halves[c]);
    }
  }
};

}  // namespace nibble
