// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Stochastic rounding to E4M3 by fp32 and integer arithmetic, for targets without the instruction,
// with its bits for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

// The code of v; dither: the 16 random bits in bits 19:4. A step of E4M3 is 2^20 in the bits of a
// normal fp32, so that a carry out of the lower 20 is what rounds up.
__device__ inline unsigned e4m3_stochastic(float v, unsigned dither) {
  const float a = fabsf(v);
  // The steps of E4M3's subnormals are those of its smallest normals, which the sum is one of. What
  // it loses lies below the dither.
  const bool subnormal = a < 0x1p-6f;
  const unsigned bits = __float_as_uint(subnormal ? __fadd_rz(a, 0x1p-6f) : a);
  const unsigned code = ((bits + dither) >> 20) - (subnormal ? 121 * 8 : 120 * 8);
  if (a != a) return 0x7f;
  const unsigned magnitude = code < 0x7e ? code : 0x7e;
  return magnitude | (__float_as_uint(v) >> 24 & 0x80);
}

// Four codes, element i in byte i. Elements 0 and 1 share the low half of `random`, 2 and 3 the
// high half; the second of each pair sees it in reverse order.
__device__ inline unsigned e4m3x4_stochastic(const float* x, unsigned random) {
  const unsigned reversed = __brev(random);
  const unsigned code0 = e4m3_stochastic(x[0], random << 4 & 0xffff0);
  const unsigned code1 = e4m3_stochastic(x[1], reversed >> 12 & 0xffff0);
  const unsigned code2 = e4m3_stochastic(x[2], random >> 12 & 0xffff0);
  const unsigned code3 = e4m3_stochastic(x[3], reversed << 4 & 0xffff0);
  return code0 | code1 << 8 | code2 << 16 | code3 << 24;
}

}  // namespace nibble
