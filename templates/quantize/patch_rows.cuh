// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Two rows of a patch, whose blocks a few neighbouring lanes share.
#pragma once

#include "common/words.cuh"
#include "params/quantize.h"
#include "ptx/memory.cuh"
#include "ptx/shuffle.cuh"
#include "quantize/encode.cuh"

namespace nibble {

template <class Config>
struct PatchRows {
  using Format = BlockFormat<Config::kFormat>;
  using W = Words<Config::kElementType>;
  using E = Encoder<Config>;
  static constexpr int kColumns = 16 / W::kElementBytes;
  static constexpr int kLanes = Format::kBlock / kColumns;  // that share a block
  static constexpr int kRandomLanes = 16 / kColumns;        // that share random words

  // The larger magnitudes; NaN counts as 0, or wins.
  template <bool kIgnoreNan>
  __device__ static uint32_t largest(uint32_t a, uint32_t b) {
    return kIgnoreNan ? W::max_abs(a, b) : W::max_abs_or_nan(a, b);
  }

  // The largest of this thread's elements in two rows: one row in each half, or in each word.
  template <bool kIgnoreNan>
  __device__ static void largest_of_rows(const uint32_t (&y)[2][4], uint32_t (&m)[2]) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      m[i] = largest<kIgnoreNan>(largest<kIgnoreNan>(y[i][0], y[i][1]),
                                 largest<kIgnoreNan>(y[i][2], y[i][3]));
    }
    if constexpr (!W::kIs32Bit) {
      m[0] = largest<kIgnoreNan>(__byte_perm(m[0], m[1], 0x5410), __byte_perm(m[0], m[1], 0x7632));
    }
    if constexpr (kIgnoreNan) {  // all may be NaN
#pragma unroll
      for (uint32_t& some : m) some = W::max_abs(some, 0);
    }
  }

  // max |x| of two rows.
  template <bool kIgnoreNan>
  __device__ static void amax_of_rows(const uint32_t (&y)[2][4], float (&amax)[2]) {
    uint32_t m[2];
    largest_of_rows<kIgnoreNan>(y, m);
#pragma unroll
    for (int i = 0; i < 2 / W::kPerWord; ++i) {
#pragma unroll
      for (int mask = 1; mask < kLanes; mask *= 2) {
        m[i] = largest<kIgnoreNan>(m[i], ptx::shfl_sync_bfly_b32(m[i], mask));
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) amax[i] = fabsf(W::value(m[W::kIs32Bit ? i : 0], i));
  }

  // The scales of two rows by the errors of their elements, where the format chooses so.
  __device__ static void choose_scales(const uint32_t (&y)[2][4], const float (&amax)[2],
                                       const typename Format::Tensor& tensor, uint32_t& both) {
    if constexpr (Format::kChooses) {
      uint32_t scale[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        typename Format::Choice choice(amax[k], tensor);
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          choice.add(W::value(y[k][i / W::kPerWord], i % W::kPerWord));
        }
        choice.template add_lanes<kLanes>();
        scale[k] = choice.scale();
      }
      both = scale[0] | scale[1] << 8;
    }
  }

  // From the maxima in the lanes that share blocks to those of the blocks. Of kCount words each
  // lane is left with its part, kCount / kLanes from its number times that on.
  template <bool kIgnoreNan, int kDistance = kLanes / 2, int kCount>
  __device__ static void share_maxima(uint32_t (&m)[kCount]) {
    constexpr int kKept = kCount * kDistance / kLanes;
    const bool upper = (threadIdx.x & kDistance) != 0;
#pragma unroll
    for (int i = 0; i < kKept; ++i) {
      const uint32_t other = ptx::shfl_sync_bfly_b32(upper ? m[i] : m[i + kKept], kDistance);
      m[i] = largest<kIgnoreNan>(upper ? m[i + kKept] : m[i], other);
    }
    if constexpr (kDistance > 1) share_maxima<kIgnoreNan, kDistance / 2>(m);
  }

  // What lane `lane` of those that share blocks has.
  __device__ static float of_lane(float a, int lane) {
    return ptx::shfl_sync_idx_f32(a, static_cast<int>(threadIdx.x) / kLanes * kLanes + lane);
  }

  // The random words of this thread's elements of `row` and the next, in block `block` of 16.
  __device__ static void random_of_rows(const QuantizeParams& params, int64_t row, int64_t block,
                                        uint32_t (&random)[2][2]) {
    if constexpr (kRandomLanes == 2) {
      // A row each; then each gives the other the half that is not its own.
      const int odd = threadIdx.x % 2;
      uint32_t words[4];
      dither_words(params.keys, 0, row + odd, block, words);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint32_t got = ptx::shfl_sync_bfly_b32(odd != 0 ? words[i] : words[2 + i], 1);
        random[0][i] = odd != 0 ? got : words[i];
        random[1][i] = odd != 0 ? words[2 + i] : got;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 2; ++i) random_of_row(params, row + i, block, random[i]);
    }
  }

  // The same of one row: two words, or one.
  __device__ static void random_of_row(const QuantizeParams& params, int64_t row, int64_t block,
                                       uint32_t (&random)[2]) {
    uint32_t words[4];
    dither_words(params.keys, 0, row, block, words);
    if constexpr (kRandomLanes == 2) {
      const bool odd = threadIdx.x % 2 != 0;
#pragma unroll
      for (int i = 0; i < 2; ++i) random[i] = odd ? words[2 + i] : words[i];
    } else {
      const int lane = threadIdx.x % 4;
      const uint32_t low = lane % 2 == 0 ? words[0] : words[1];
      const uint32_t high = lane % 2 == 0 ? words[2] : words[3];
      random[0] = lane < 2 ? low : high;
    }
  }

  // Each row's elements of this thread. f32: those of row 1 follow those of row 0 in words[0].
  template <bool kTame>
  __device__ static void encode_rows(const uint32_t (&y)[2][4], const float (&f)[2],
                                     const uint32_t (&random)[2][2],
                                     uint32_t (&words)[2][E::kWords]) {
    float x[8];
    if constexpr (W::kIs32Bit) {  // four elements of each row
      uint32_t w[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        w[i] = y[i / 4][i % 4];
        x[i] = __fmul_rn(E::without_sign(W::value(w[i], 0)), f[i / 4]);  // two factors
      }
      E::template encode_scaled<kTame>(x, E::signs_of(w), random[0][0], random[1][0], words[0]);
    } else {
#pragma unroll
      for (int k = 0; k < 2; ++k) {
#pragma unroll
        for (int i = 0; i < 8; ++i) x[i] = W::value(y[k][i / 2], i % 2);
        E::template encode<kTame>(x, f[k], E::signs_of(y[k]), random[k][0], random[k][1], words[k]);
      }
    }
  }

  // Row k of two.
  __device__ static void store_row(int k, const uint32_t (&words)[2][E::kWords],
                                   unsigned char* to) {
    constexpr int kBytes = kColumns * Format::kCodeBits / 8;
    if constexpr (kBytes == 8) {
      ptx::st_global_v2_b32(to, words[k]);
    } else if constexpr (kBytes == 4) {
      *reinterpret_cast<uint32_t*>(to) = W::kIs32Bit ? words[0][k] : words[k][0];
    } else {
      *reinterpret_cast<uint16_t*>(to) = static_cast<uint16_t>(words[0][0] >> (16 * k));
    }
  }

  // The first `rows` of two rows.
  __device__ static void store_rows(int rows, const uint32_t (&words)[2][E::kWords],
                                    unsigned char* codes, int64_t stride) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      if (k < rows) store_row(k, words, codes + k * stride);
    }
  }
};

}  // namespace nibble
