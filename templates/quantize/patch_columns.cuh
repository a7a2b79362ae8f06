// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The columns of a patch: whole blocks of the transpose, transformed where it is asked for. Nothing
// of them lies in another lane.
#pragma once

#include "ptx/arithmetic.cuh"
#include "quantize/encode.cuh"
#include "quantize/patch_rows.cuh"
#include "quantize/patch_tile.cuh"

namespace nibble {

template <class Config, class Quantizer>
struct PatchColumns {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using E = Encoder<Config>;
  using Rows = PatchRows<Config>;
  using ColumnTile = CopyTile<Config, true>;
  static constexpr int kRows = Format::kBlock;

  Quantizer& of;

  __device__ explicit PatchColumns(Quantizer& quantizer) : of(quantizer) {}

  // The blocks of the transpose in word column j, which is y.
  __device__ void quantize(int j, uint32_t (&y)[kRows]) {
    const int c = j * W::kPerWord;
    if constexpr (kOneByOne) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t pairs[kRows / 2];
        Quantizer::ThePatch::template transformed_column<kPatchTransform>(y, h, of.params.signs[1],
                                                                          pairs);
        quantize_columns<1>(c + h, pairs);
      }
    } else {
      Quantizer::ThePatch::template transform_column<kPatchTransform, kPatchTransformSize>(
          of.params.signs[1], of.rows - of.tile_row, y);
      quantize_columns<W::kPerWord>(c, y);
    }
  }

 private:
  static constexpr int kPatchTransform =
      Quantizer::Groups::kTransforms ? kNoTransform : Config::kColumnTransform;
  static constexpr int kPatchTransformSize =
      Quantizer::Groups::kTransforms ? kRows : Config::kColumnTransformSize;

  // The transform of both columns of a word before the rest of their work takes more registers, and
  // its sums keep one pipe busy at a time: on an H200 one after the other is 2 % faster.
  static constexpr bool kOneByOne =
      kPatchTransform != kNoTransform && kPatchTransformSize == kRows && E::kHasTame;

  // Columns c to c + kCount - 1: those of each word of y, or one, whose elements fill the words.
  template <int kCount>
  __device__ void quantize_columns(int c, uint32_t (&y)[kRows * kCount / W::kPerWord]) {
    uint32_t m = largest_of_columns<Quantizer::kIgnoreNan, kCount>(y);
    if constexpr (!Quantizer::kMakesCodes) {
      of.record(1, Quantizer::larger(m));
      return;
    }
    bool nan = false;
    if constexpr (!Quantizer::kIgnoreNan) {
      nan = W::has_nan(m);
      if (nan) {
        if constexpr (E::kSignsApart) {
#pragma unroll
          for (uint32_t& word : y) word = W::positive_nan(word);
        }
        m = largest_of_columns<true, kCount>(y);
      }
    }
    const float first = fabsf(W::value(m, 0)), last = fabsf(W::value(m, W::kPerWord - 1));
    const auto& by = of.tensor[Quantizer::kColumnTensor];
    uint32_t both = kCount == 1 ? Format::scale(first, by) : Format::scales(first, last, by);
    choose_scales<kCount>(y, m, both);
    of.record(1, Quantizer::larger(m));
    unsigned char* scales = of.shared.scales[1] +
                            ColumnTile::scale_at(of.tile_column + c, of.tile_row / Format::kBlock);
#pragma unroll
    for (int h = 0; h < kCount; ++h) {
      const uint32_t scale = h == 0 ? both & 0xffu : both >> 8;
      scales[h * ColumnTile::kScaleRow] = static_cast<uint8_t>(scale);
      float f = of.factor(Quantizer::kColumnTensor, scale);
      if (E::kHasTame && nan) f = -E::unmarked(f);
      float x[kRows];
#pragma unroll
      for (int r = 0; r < kRows; ++r) x[r] = E::without_sign(value_of<kCount>(y, r, h));
#pragma unroll
      for (int r = 0; r < kRows; r += 2) {
        ptx::mul_rn_f32x2(x[r], x[r + 1], E::kHasTame ? fabsf(f) : f);
      }
      if constexpr (E::kHasTame) {
        if (!(f > 0.0f)) E::make_tame(x, nan || !E::is_normal(scale));
      }
      uint32_t signs[kRows / 8] = {};
      if constexpr (E::kSignsApart) signs_of_column(y, h, signs);
      store_column(c + h, signs, x);
    }
  }

  // Element r of column h of kCount.
  template <int kCount, int kWords>
  __device__ static float value_of(const uint32_t (&y)[kWords], int r, int h) {
    return kCount == W::kPerWord ? W::value(y[r], h)
                                 : W::value(y[r / W::kPerWord], r % W::kPerWord);
  }

  // Of two columns in a half each; of one in both.
  template <bool kIgnore, int kCount, int kWords>
  __device__ static uint32_t largest_of_columns(const uint32_t (&y)[kWords]) {
    uint32_t m[4];
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32_t before = i >= 4 ? m[i % 4] : 0;
      m[i % 4] = i >= 4 || kIgnore ? Rows::template largest<kIgnore>(before, y[i]) : y[i];
    }
    m[0] = Rows::template largest<kIgnore>(Rows::template largest<kIgnore>(m[0], m[1]),
                                           Rows::template largest<kIgnore>(m[2], m[3]));
    if constexpr (kCount == W::kPerWord) return m[0];
    return Rows::template largest<kIgnore>(m[0], __byte_perm(m[0], 0, 0x1032));
  }

  // By the errors of their elements, where the format chooses so.
  template <int kCount, int kWords>
  __device__ void choose_scales(const uint32_t (&y)[kWords], uint32_t m, uint32_t& both) const {
    if constexpr (Format::kChooses) {
      both = 0;
#pragma unroll
      for (int h = 0; h < kCount; ++h) {
        typename Format::Choice choice(fabsf(W::value(m, h)), of.tensor[Quantizer::kColumnTensor]);
#pragma unroll
        for (int r = 0; r < kRows; ++r) choice.add(value_of<kCount>(y, r, h));
        both |= choice.scale() << (8 * h);
      }
    }
  }

  __device__ static void signs_of_column(const uint32_t (&y)[kRows], int h,
                                         uint32_t (&signs)[kRows / 8]) {
#pragma unroll
    for (int first = 0; first < kRows; first += 8) {
      uint32_t w[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) w[i] = y[first + i];
      signs[first / 8] = W::signs_of_halves(w, h);
    }
  }

  // Column c, scaled.
  __device__ void store_column(int c, const uint32_t (&signs)[kRows / 8], const float (&x)[kRows]) {
    constexpr int kWordsPerSixteen = 2 * E::kWords;
#pragma unroll
    for (int first = 0; first < kRows; first += 16) {
      uint32_t random[4] = {};
      if constexpr (E::kStochastic) {
        dither_words(of.params.keys, 1, of.column + of.tile_column + c,
                     (of.row + of.tile_row + first) / 16, random);
      }
      uint32_t words[kWordsPerSixteen];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float eight[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) eight[i] = x[first + 8 * half + i];
        uint32_t some[E::kWords];
        E::template encode_scaled<E::kHasTame>(eight, signs[first / 8 + half], random[2 * half],
                                               random[2 * half + 1], some);
#pragma unroll
        for (int i = 0; i < E::kWords; ++i) words[half * E::kWords + i] = some[i];
      }
      const int at = first / 16 * kWordsPerSixteen;
#pragma unroll
      for (int i = 0; i < kWordsPerSixteen; ++i) of.column_codes(c, at + i) = words[i];
    }
  }
};

}  // namespace nibble
