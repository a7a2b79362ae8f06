// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Stochastic rounding to E4M3 by fp32 and integer arithmetic, for targets without the instruction,
// with its bits for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

enum : uint32_t { kE4m3Largest = 0x7eu << 20 };  // 448 * 2^-120

// The code of |v| in bits 31:24; v is no NaN. dither: the 16 random bits in bits 23:8. Times 2^-120
// the normal and subnormal numbers of E4M3 are those of fp32: a step is 2^20 in the bits, and a
// carry out of the lower 20 is what rounds up. What the product loses lies below the dither.
__device__ inline unsigned e4m3_magnitude_stochastic(float v, unsigned dither) {
  const unsigned bits = __float_as_uint(__fmul_rz(fabsf(v), 0x1p-120f));
  return ((bits < kE4m3Largest ? bits : kE4m3Largest) << 4) + dither;
}

// The upper bytes of four words.
__device__ inline unsigned upper_bytes(unsigned a, unsigned b, unsigned c, unsigned d) {
  return __byte_perm(__byte_perm(a, b, 0x0073), __byte_perm(c, d, 0x0073), 0x5410);
}

// Four codes, element i in byte i. Elements 0 and 1 share the low half of `random`, 2 and 3 the
// high half; the second of each pair sees it in reverse order.
__device__ inline unsigned e4m3x4_stochastic(const float* x, unsigned random) {
  const unsigned reversed = __brev(random);
  const unsigned magnitudes =
      upper_bytes(e4m3_magnitude_stochastic(x[0], __byte_perm(random, 0, 0x4104)),
                  e4m3_magnitude_stochastic(x[1], __byte_perm(reversed, 0, 0x4324)),
                  e4m3_magnitude_stochastic(x[2], __byte_perm(random, 0, 0x4324)),
                  e4m3_magnitude_stochastic(x[3], __byte_perm(reversed, 0, 0x4104)));
  const unsigned signs = upper_bytes(__float_as_uint(x[0]), __float_as_uint(x[1]),
                                     __float_as_uint(x[2]), __float_as_uint(x[3]));
  unsigned codes = magnitudes | (signs & 0x80808080u);
  const float sum = (x[0] + x[1]) + (x[2] + x[3]);
  if (sum != sum) {  // perhaps a NaN
    for (int i = 0; i < 4; ++i) {
      if (x[i] != x[i]) codes = (codes & ~(0xffu << 8 * i)) | 0x7fu << 8 * i;
    }
  }
  return codes;
}

}  // namespace nibble
