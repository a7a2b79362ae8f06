// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 by fp32 and integer arithmetic, for targets without the conversion instructions, with the
// bits of those instructions for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

// An f16 with only the highest bit of its mantissa, and a multiple of 2^-14 in place of 1, has the
// magnitudes of E2M1: equal steps to 1, the least normal number, then two steps to each power of
// two. So a value times 2^-14, cut to f16, has its code in bits 11:9, and in bits 8:0 the fraction
// of a step that it lies above; to add half a step rounds it.
__device__ constexpr float e2m1_unit() { return 0x1p-14f; }

// Two of the largest magnitude. The smaller of it and a NaN is it, positive.
__device__ constexpr unsigned e2m1x2_largest() { return 0x0e000e00u; }

// The codes of eight such values less than 7, ties away from zero. Bits 15:0 of halves[0] to
// halves[3] are elements 0, 4, 1, 5, bits 31:16 elements 2, 6, 3, 7.
__device__ inline unsigned e2m1x8_of_halves(const unsigned (&halves)[4]) {
  // Four upper bytes: the sign, 0 0 0, the code, half a step.
  const unsigned even = __byte_perm(halves[0], halves[1], 0x7531) + 0x01010101u;
  const unsigned odd = __byte_perm(halves[2], halves[3], 0x7531);
  const unsigned magnitudes = (even >> 1 & 0x0f0f0f0fu) | ((odd * 8 + 0x08080808u) & 0xf0f0f0f0u);
  return magnitudes | (even >> 4 & 0x08080808u) | (odd & 0x80808080u);
}

// What of v to cut to f16, so that ties go to even: v times 2^-14, or less by one in the last place
// where v is a tie that goes down. Such v are 1 or 1.25 times a power of two, those that go up 1.5
// or 1.75 times: so first all above 4/3 times a power grow by one in the last place, as 3 * 2^-26
// of v is more than half of that, then everything shrinks by one. NaN and -0 stay.
__device__ inline float e2m1_cut(float v) {
  return __fmul_rz(__fmaf_rn(v, 0x3p-26f, v), 0x1.fffffep-1f * e2m1_unit());
}

// Whether the product of `factor` and a value of kBits significant bits can be a tie that goes
// down.
template <int kBits>
__device__ bool e2m1_can_tie(float factor) {
  const float f = __uint_as_float((__float_as_uint(factor) & 0x007fffffu) | 0x3f800000u);
  bool can = false;
  for (int i = 0; i < 2; ++i) {
    const float tie = i == 0 ? 1.0f : 1.25f;  // times a power of two
    const unsigned nearest = __float_as_uint(__fdividef(tie, f)) + (0x800000u >> kBits);
    can |= __fmul_rn(__uint_as_float(nearest & ~(0xffffffu >> kBits)), f) == tie;
  }
  return can;
}

// Adds signs to the codes of magnitudes, that of element i in bit 4i + 3.
__device__ inline unsigned e2m1x8_with_signs(unsigned magnitudes, unsigned signs) {
  return magnitudes | (signs & 0x88888888u);
}

// Stochastic rounding, with the bits of the instruction, of a >= 0 or a NaN of positive sign. The
// code is the integer part of g + dither / 2^16, where g runs through 0 to 7 as a does through the
// magnitudes, linear between them. Times 2^-126 the magnitudes to 1 lie among fp32's subnormals, so
// that the bits are 2^22 g. What RZ cuts off there is less than a step of the dither.

// The dither of element i < 4 in bits 23:8, out of 32 random bits of the four: two share 16 of
// them, the second in reverse order.
__device__ inline unsigned e2m1_dither(unsigned random, unsigned reversed, int i) {
  const unsigned selector[4] = {0x4204u, 0x4314u, 0x4314u, 0x4204u};
  return __byte_perm(i % 2 == 0 ? random : reversed, 0, selector[i]);
}

// The code in the highest byte. dither: of e2m1_dither.
__device__ inline unsigned e2m1_magnitude_stochastic(float a, unsigned dither) {
  const unsigned largest = 7u << 22;  // what lies above saturates, NaN too
  const unsigned g = __float_as_uint(__fmul_rz(a, 0x1p-126f));
  return (g < largest ? g : largest) * 4 + dither;
}

// The codes of eight a, rounded stochastically. random0 for elements 0 to 3, random1 for 4 to 7.
__device__ inline unsigned e2m1x8_magnitudes_stochastic(const float (&a)[8], unsigned random0,
                                                        unsigned random1) {
  const unsigned reversed0 = __brev(random0);
  const unsigned reversed1 = __brev(random1);
  unsigned words[8];
  for (int i = 0; i < 8; ++i) {
    words[i] = e2m1_magnitude_stochastic(
        a[i], e2m1_dither(i < 4 ? random0 : random1, i < 4 ? reversed0 : reversed1, i % 4));
  }
  unsigned codes[2];  // of even elements, a byte each, and of odd ones
  for (int odd = 0; odd < 2; ++odd) {
    codes[odd] = __byte_perm(__byte_perm(words[odd], words[2 + odd], 0x0073),
                             __byte_perm(words[4 + odd], words[6 + odd], 0x0073), 0x5410);
  }
  return codes[1] * 16 + codes[0];
}

// The value of the code in bits 3:0, exact: its bits are those of an fp32 of another bias.
__device__ inline float e2m1_decode_arithmetic(unsigned code) {
  return __uint_as_float((code & 8u) << 28 | (code & 7u) << 22) * 0x1p126f;
}

}  // namespace nibble
