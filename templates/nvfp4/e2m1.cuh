// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 codes, eight to a word: element i in bits 4i+3 : 4i.
#pragma once

#include "common/types.cuh"
#include "nvfp4/e2m1_arithmetic.cuh"
#include "ptx/convert.cuh"
#include "ptx/half.cuh"

namespace nibble {

// Two values cut to f16, for e2m1x8_of_halves(). kTame: times e2m1_unit(), less than 7 of it, and
// no ties that go down; else any.
template <bool kTame>
__device__ uint32_t e2m1x2_cut_to_halves(float low, float high) {
  if constexpr (kTame) return ptx::cvt_rz_f16x2_f32(high, low);
  const uint32_t halves = ptx::cvt_rz_f16x2_f32(e2m1_cut(high), e2m1_cut(low));
  return ptx::min_xorsign_abs_f16x2(halves, e2m1x2_largest());
}

// The codes of eight such values, with the bits of the instructions.
template <bool kTame>
__device__ uint32_t e2m1x8_encode_by_halves(const float (&x)[8]) {
  uint32_t halves[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int first = i % 2 * 4 + i / 2;
    halves[i] = e2m1x2_cut_to_halves<kTame>(x[first], x[first + 2]);
  }
  return e2m1x8_of_halves(halves);
}

// Round to nearest even, saturating; NaN becomes +6.
template <bool kHasE2m1Conversion>
__device__ uint32_t e2m1x8_encode(const float (&x)[8]) {
  if constexpr (kHasE2m1Conversion) {
    return ptx::cvt_rn_satfinite_e2m1x2_f32(x);
  } else {
    return e2m1x8_encode_by_halves<false>(x);
  }
}

template <bool kHasE2m1Conversion>
__device__ void e2m1x8_decode(uint32_t codes, float (&x)[8]) {
  if constexpr (kHasE2m1Conversion) {
    uint32_t pairs[4];
    ptx::cvt_rn_f16x2_e2m1x2(codes, pairs);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = ptx::cvt_f32_f16(pairs[i / 2] >> (16 * (i % 2)));
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = e2m1_decode_arithmetic(codes >> (4 * i));
  }
}

}  // namespace nibble
