// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 codes, eight to a word: element i in bits 4i+3 : 4i.
#pragma once

#include "common/types.cuh"
#include "nvfp4/e2m1_arithmetic.cuh"
#include "ptx/convert.cuh"

namespace nibble {

// Round to nearest even, saturating; NaN becomes +6.
template <bool kHasE2m1Conversion>
__device__ uint32_t e2m1x8_encode(const float (&x)[8]) {
  if constexpr (kHasE2m1Conversion) {
    return ptx::cvt_rn_satfinite_e2m1x2_f32(x);
  } else {
    return e2m1x8_encode_arithmetic(x);
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
