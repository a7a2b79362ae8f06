// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// UE8M0 scales of MXFP4 and MXFP8 blocks: byte e is 2^(e - 127). Rounded up, as Transformer Engine
// does, so that no element saturates.
#pragma once

#include "common/types.cuh"

namespace nibble {

// The least power of two, of 2^-127 to 2^127, that is no less than x >= 0.
__device__ inline uint8_t ue8m0_round_up(float x) {
  const uint32_t bits = __float_as_uint(x);
  if (bits <= 0x00400000u) return 0;  // 2^-127
  const uint32_t exponent = (bits + 0x7fffffu) >> 23;
  return static_cast<uint8_t>(exponent < 254 ? exponent : 254);
}

// 6 is the largest E2M1, 448 the largest E4M3.
__device__ inline uint8_t mx_scale(float amax) {
  return ue8m0_round_up(__fmul_rn(amax, 1.0f / 6.0f));
}
__device__ inline uint8_t mxfp8_scale(float amax) {
  return ue8m0_round_up(__fmul_rn(amax, 1.0f / 448.0f));
}

// What the elements of a block are multiplied by before they are rounded to E2M1: exactly
// 1 / scale, a subnormal for the largest.
__device__ inline float mx_encode_factor(uint8_t scale) {
  return __uint_as_float(scale < 254 ? (254u - scale) << 23 : 0x00400000u);
}

}  // namespace nibble
