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
// magnitudes, linear between them:
//   g = min(2 a, a + 2, a / 2 + 4, 7).
// Sums are rounded towards zero, so that the integer part is that of the exact sum.
enum : unsigned { kDitherBase = 0x43000000u };  // 128: one in the last place is 2^-16

// kDitherBase + dither of element i < 4, out of 32 random bits of the four: two share 16 of them,
// the second in reverse order.
__device__ inline unsigned e2m1_dither(unsigned random, unsigned reversed, int i) {
  const unsigned selector[4] = {0x5420u, 0x5431u, 0x5431u, 0x5420u};
  return __byte_perm(i % 2 == 0 ? random : reversed, kDitherBase >> 16, selector[i]);
}

// The code in bits 18:16. dither: of e2m1_dither.
__device__ inline unsigned e2m1_magnitude_stochastic(float a, unsigned dither) {
  // Half of g, as bits, which order as in e2m1_magnitude; the saturated difference is 0 where
  // a > 6 or NaN.
  const unsigned to_2 = __float_as_uint(a);
  const unsigned to_4 = __float_as_uint(__fmaf_rz(a, 0.5f, 1.0f));
  const unsigned to_6 = __float_as_uint(__fmaf_rz(__saturatef(0.75f - a * 0.125f), -2.0f, 3.5f));
  const unsigned to_4_or_6 = to_4 < to_6 ? to_4 : to_6;
  const float half = __uint_as_float(to_2 < to_4_or_6 ? to_2 : to_4_or_6);
  return __float_as_uint(__fmaf_rz(half, 2.0f, __uint_as_float(dither)));
}

// The codes of eight a, rounded stochastically. random0 for elements 0 to 3, random1 for 4 to 7.
__device__ inline unsigned e2m1x8_magnitudes_stochastic(const float (&a)[8], unsigned random0,
                                                        unsigned random1) {
  const unsigned reversed0 = __brev(random0);
  const unsigned reversed1 = __brev(random1);
  unsigned magnitudes = 0;
  for (int i = 3; i >= 0; --i) {
    const unsigned low = e2m1_magnitude_stochastic(a[i], e2m1_dither(random0, reversed0, i));
    const unsigned high = e2m1_magnitude_stochastic(a[i + 4], e2m1_dither(random1, reversed1, i));
    magnitudes = magnitudes * 16 + __byte_perm(low, high, 0x7632);
  }
  return magnitudes - (kDitherBase | kDitherBase >> 16) * 0x1111u;
}

// The value of the code in bits 3:0, exact: its bits are those of an fp32 of another bias.
__device__ inline float e2m1_decode_arithmetic(unsigned code) {
  return __uint_as_float((code & 8u) << 28 | (code & 7u) << 22) * 0x1p126f;
}

}  // namespace nibble
