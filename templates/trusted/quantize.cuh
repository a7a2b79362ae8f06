// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize_trusted: what the fast kernels are held against. A thread has one block of one copy at a
// time, and computes each of its elements anew for each use.
#pragma once

#include "params/quantize.h"
#include "trusted/block_scale.cuh"
#include "trusted/philox.cuh"

namespace nibble {

namespace trusted {

// x (kCopy 0) or its transpose (1), transformed where it is asked for.
template <class Config, int kCopy>
class Source {
 public:
  static constexpr int kTransform = kCopy == 0 ? Config::kRowTransform : Config::kColumnTransform;
  static constexpr int kSize =
      kCopy == 0 ? Config::kRowTransformSize : Config::kColumnTransformSize;

  __device__ explicit Source(const QuantizeParams& params)
      : rows(kCopy == 0 ? params.rows : params.columns),
        columns(kCopy == 0 ? params.columns : params.rows),
        filled(kTransform == 0 ? columns : (columns + 15) / 16 * 16),
        params_(params) {}

  const int64_t rows, columns;
  const int64_t filled;  // columns of what is quantised: a transform fills up its last group

  // 0 <= row < rows, 0 <= column < filled.
  __device__ float operator()(int64_t row, int64_t column) const {
    if constexpr (kTransform == 0) {
      return at(row, column);
    } else {
      constexpr int kDistances = kSize == 16 ? 4 : kSize == 32 ? 5 : kSize == 64 ? 6 : 7;
      const int i = static_cast<int>(column % kSize);
      const float sum = butterflies<kDistances>(i, [&](int j) {
        const float x = at(row, column - i + j);
        // Groups of 16 are scaled before the sums, larger ones after them.
        const float scale = kSize == 16 ? 0.25f : 1.0f;
        return __fmul_rn(x, is_flipped(j) ? -scale : scale);
      });
      constexpr float kScale = kSize == 32   ? 0.17677669529663687f
                               : kSize == 64 ? 0.125f
                                             : 0.08838834764831845f;
      return rounded<Config::kElementType>(kSize == 16 ? sum : __fmul_rn(sum, kScale));
    }
  }

 private:
  __device__ float at(int64_t row, int64_t column) const {
    if (column >= columns) return 0;
    const int64_t place =
        kCopy == 0 ? row * params_.row_stride + column : column * params_.row_stride + row;
    return element<Config::kElementType>(params_.x, place);
  }
  __device__ bool is_flipped(int i) const {
    constexpr int kDefaultSigns = 1;
    const uint32_t word = kTransform == kDefaultSigns ? 0xd7e8d7e8u : params_.signs[kCopy][i / 32];
    return (word >> i % 32 & 1) != 0;
  }

  const QuantizeParams& params_;
};

template <class Config, int kCopy>
class Copy {
 public:
  __device__ explicit Copy(const QuantizeParams& params)
      : params_(params), copy_(params.copies[kCopy]), x_(params) {}

  // This thread's blocks.
  __device__ void run() {
    constexpr bool kWrites = Config::kMakesCodes != 0;
    const int64_t blocks = (x_.columns + kBlock - 1) / kBlock;
    constexpr bool kPadded = kWrites && kLayout == k128x4;
    const int64_t across = kPadded ? (blocks + 3) / 4 * 4 : blocks;
    const int64_t down = kPadded ? (x_.rows + 127) / 128 * 128 : x_.rows;
    float amax = 0;
#pragma unroll 1
    for (int64_t i = thread(); i < down * across; i += threads()) {
      const int64_t row = i / across;
      const int64_t block = i % across;
      const bool present = row < x_.rows && block < blocks;
      if (present) amax = larger(amax, row_amax(row, block));
      if constexpr (kWrites) {
        const int64_t place = kLayout == k128x4 ? tiled_scale(row, block, blocks)
                                                : row * copy_.scale_row_stride + block;
        copy_.scales[place] = static_cast<unsigned char>(present ? make_block(row, block) : 0);
      }
    }
    if (Config::kRecordsAmax != 0 && copy_.new_amax != nullptr) raise_amax(amax, copy_.new_amax);
  }

 private:
  using Scale = BlockScale<Config::kFormat>;
  static constexpr bool kE4m3 = Config::kFormat == kMxfp8;
  static constexpr bool kSquare = Config::kSquareBlocks != 0;
  static constexpr int kBlock = Scale::kBlock;
  // Two copies of the same elements have one amax.
  static constexpr bool kSharesAmax =
      Config::kCopies == 2 && Config::kRowTransform == 0 && Config::kColumnTransform == 0;
  static constexpr bool kOther = kCopy == 1 && Config::kOtherLayout != 0;
  static constexpr int kLayout = kOther ? 1 - Config::kScaleLayout : Config::kScaleLayout;

  __device__ int64_t end(int64_t block) const {
    const int64_t end = (block + 1) * kBlock;
    return end < x_.filled ? end : x_.filled;
  }

  __device__ float row_amax(int64_t row, int64_t block) const {
    float amax = 0;
#pragma unroll 1
    for (int64_t column = block * kBlock; column < end(block); ++column) {
      amax = larger(amax, x_(row, column));
    }
    return amax;
  }

  // Writes the codes of a block, or of a row of a square one. The byte of its scale.
  __device__ int make_block(int64_t row, int64_t block) const {
    const int64_t first_row = kSquare ? row / 16 * 16 : row;
    const int64_t end_row = !kSquare                   ? row + 1
                            : first_row + 16 < x_.rows ? first_row + 16
                                                       : x_.rows;
    float amax = 0;
#pragma unroll 1
    for (int64_t r = first_row; r < end_row; ++r) amax = larger(amax, row_amax(r, block));
    Scale scale(amax, params_.copies[kSharesAmax ? 0 : kCopy].amax);
    if constexpr (Config::kFormat == kFourOverSix) {
#pragma unroll 1
      for (int64_t r = first_row; r < end_row; ++r) {
#pragma unroll 1
        for (int64_t column = block * kBlock; column < end(block); ++column) {
          scale.add_errors(x_(r, column));
        }
      }
      scale.choose();
    }
    unsigned char* const codes =
        copy_.codes + row * copy_.code_row_stride + block * (kE4m3 ? kBlock : kBlock / 2);
    unsigned pair = 0;
#pragma unroll 1
    for (int i = 0; i < kBlock; ++i) {
      const int64_t column = block * kBlock + i;
      const unsigned code = column < end(block) ? code_of(row, column, scale.factor()) : 0;
      if constexpr (kE4m3) {
        codes[i] = static_cast<unsigned char>(code);
      } else {
        pair = i % 2 == 0 ? code : pair | code << 4;
        if (i % 2 != 0) codes[i / 2] = static_cast<unsigned char>(pair);
      }
    }
    return scale.byte();
  }

  __device__ unsigned code_of(int64_t row, int64_t column, float factor) const {
    using Code = typename Scale::Code;
    const float value = __fmul_rn(x_(row, column), factor);
    const bool negative = value == value && (__float_as_uint(value) >> 31) != 0;
    const unsigned sign = negative ? (kE4m3 ? 0x80u : 8u) : 0;
    if constexpr (Config::kStochastic == 0) {
      return sign | static_cast<unsigned>(Code::nearest(value));
    } else {
      // Both copies of a square block have the bits of x itself.
      constexpr bool kTurned = kSquare && kCopy == 1;
      const RandomWords draw(params_.keys[0], (kTurned ? row : column) / 16, kTurned ? column : row,
                             kTurned ? 0 : kCopy);
      const int place = static_cast<int>((kTurned ? row : column) % 16);
      return sign | static_cast<unsigned>(Code::stochastic(value, draw.bits<kE4m3>(place)));
    }
  }

  const QuantizeParams& params_;
  const QuantizedCopy& copy_;
  const Source<Config, kCopy> x_;
};

}  // namespace trusted

template <class Config>
__device__ void quantize_trusted(const QuantizeParams& params) {
  constexpr int kRows = 0, kTransposed = 1;
  if constexpr (Config::kCopies != kTransposed) trusted::Copy<Config, 0>(params).run();
  if constexpr (Config::kCopies != kRows) trusted::Copy<Config, 1>(params).run();
}

}  // namespace nibble
