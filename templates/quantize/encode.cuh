// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Eight scaled elements to codes, in the format and with the rounding of Config.
#pragma once

#include "common/philox.cuh"
#include "common/words.cuh"
#include "nvfp4/e2m1.cuh"
#include "nvfp4/e4m3_arithmetic.cuh"
#include "ptx/arithmetic.cuh"
#include "quantize/format.cuh"

namespace nibble {

template <class Config>
struct Encoder {
  using Format = BlockFormat<Config::kFormat>;
  static constexpr bool kStochastic = Config::kStochastic != 0;
  static constexpr bool kIsE2m1 = Format::kCodeBits == 4;
  static constexpr int kWords = kIsE2m1 ? 1 : 2;  // of eight codes
  static constexpr bool kByArithmetic =
      kIsE2m1 &&
      (kStochastic ? Config::kHasStochasticConversion == 0 : Config::kHasE2m1Conversion == 0);
  // Whether encode() takes signs apart, and NaN must be positive.
  static constexpr bool kSignsApart = kByArithmetic && kStochastic;

  // Whether there is a faster way for blocks that are tame: all is less than 7 when scaled, none
  // is NaN or a tie that goes down.
  static constexpr bool kHasTame =
      kByArithmetic && !kStochastic && Format::kHasTensorScale && Config::kElementType != kF32;

  // The factor of a block of scale `scale`, marked: if > 0 the block is tame, unless it has a NaN,
  // and the factor times e2m1_unit() is meant; else -factor is.
  __device__ static float marked(float factor, uint32_t scale) {
    constexpr int kBits = Config::kElementType == kBf16 ? 8 : 11;
    const bool tame = is_normal(scale) && factor >= 0x1p-112f && !e2m1_can_tie<kBits>(factor);
    return tame ? __fmul_rn(factor, e2m1_unit()) : -factor;
  }
  // Such a scale is no more than 1/16 below amax / 6, so that 6.375 is the most.
  __device__ static bool is_normal(uint32_t scale) { return scale >= 0x08 && scale <= 0x7d; }
  __device__ static float unmarked(float factor) {
    if constexpr (!kHasTame) return factor;
    return factor > 0.0f ? __fmul_rn(factor, 1.0f / e2m1_unit()) : -factor;
  }

  // What encode_scaled<true>() takes, out of the scaled elements of a block that is not tame.
  // saturate: there may be some of 7 and more, or NaN.
  template <int kCount>
  __device__ static void make_tame(float (&x)[kCount], bool saturate) {
    if (saturate) {
#pragma unroll
      for (float& some : x) some = fmaxf(fminf(some, 6.0f), -6.0f);  // NaN becomes 6
    }
#pragma unroll
    for (float& some : x) some = e2m1_cut(some);
  }

  __device__ static float without_sign(float x) { return kSignsApart ? fabsf(x) : x; }
  // The argument of encode(), out of the elements' words.
  template <int kCount>
  __device__ static uint32_t signs_of(const uint32_t (&words)[kCount]) {
    if constexpr (!kSignsApart) return 0;
    return Words<Config::kElementType>::signs(words);
  }

  // The codes of RN(x factor): element i in bits 4i + 3 : 4i, or byte i. random: 32 bits for each
  // four elements. signs: where kSignsApart, that of element i in bit 4i + 3, positive of NaN,
  // other bits any. kTame: of a tame block; the factor is what marked() says.
  template <bool kTame>
  __device__ static void encode(const float (&elements)[8], float factor, uint32_t signs,
                                uint32_t random0, uint32_t random1, uint32_t (&words)[kWords]) {
    float x[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = without_sign(elements[i]);
#pragma unroll
    for (int i = 0; i < 8; i += 2) ptx::mul_rn_f32x2(x[i], x[i + 1], factor);
    encode_scaled<kTame>(x, signs, random0, random1, words);
  }

  // The same of x that are scaled; of what without_sign() made.
  template <bool kTame>
  __device__ static void encode_scaled(const float (&x)[8], uint32_t signs, uint32_t random0,
                                       uint32_t random1, uint32_t (&words)[kWords]) {
    static_assert(!kTame || kHasTame);
    if constexpr (!kIsE2m1 && kStochastic) {
      words[0] = stochastic_e4m3x4(x, random0);
      words[1] = stochastic_e4m3x4(x + 4, random1);
    } else if constexpr (!kIsE2m1) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint32_t low = ptx::cvt_rn_satfinite_e4m3x2_f32(x[4 * i + 1], x[4 * i]);
        const uint32_t high = ptx::cvt_rn_satfinite_e4m3x2_f32(x[4 * i + 3], x[4 * i + 2]);
        words[i] = low | high << 16;
      }
    } else if constexpr (kStochastic && !kByArithmetic) {
      const uint32_t low = ptx::cvt_rs_satfinite_e2m1x4_f32(x, random0);
      const uint32_t high = ptx::cvt_rs_satfinite_e2m1x4_f32(x + 4, random1);
      words[0] = low | high << 16;
    } else if constexpr (kStochastic) {
      words[0] = e2m1x8_with_signs(e2m1x8_magnitudes_stochastic(x, random0, random1), signs);
    } else if constexpr (kByArithmetic) {
      words[0] = e2m1x8_encode_by_halves<kTame>(x);
    } else {
      words[0] = ptx::cvt_rn_satfinite_e2m1x2_f32(x);
    }
  }

 private:
  __device__ static uint32_t stochastic_e4m3x4(const float* x, uint32_t random) {
    if constexpr (Config::kHasStochasticConversion != 0) {
      return ptx::cvt_rs_satfinite_e4m3x4_f32(x, random);
    } else {
      return e4m3x4_stochastic(x, random);
    }
  }
};

// The random words of elements 16 block .. 16 block + 15 of a row of a copy: a function of their
// place alone. Word i is for elements 4i to 4i + 3.
__device__ inline void dither_words(const uint32_t (&keys)[10][2], int copy, int64_t row,
                                    int64_t block, uint32_t (&words)[4]) {
  words[0] = static_cast<uint32_t>(block);
  words[1] = static_cast<uint32_t>(row);
  words[2] = static_cast<uint32_t>(row >> 32);
  words[3] = static_cast<uint32_t>(copy);
  philox(keys, words);
}

}  // namespace nibble
