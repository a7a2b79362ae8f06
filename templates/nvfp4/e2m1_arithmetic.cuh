// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 by fp32 and integer arithmetic, for targets without the conversion instructions, with the
// bits of those instructions for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

// 2^23 and more: to add it rounds to an integer, to even as these are even, and leaves that in the
// low bits. One for each of eight codes: their bits, those of element i times 16^i, sum up to 2^32,
// so that sums of eight codes need no correction.
__device__ constexpr float e2m1_base(int i) { return i == 2 ? 8716288.0f : 8388608.0f; }

// The code of a >= 0, or of a NaN of positive sign, plus the bits of e2m1_base(i). The magnitudes
// 0 0.5 1 1.5 2 3 4 6 have three spacings:
//   code = min(rint(2 a), 2 + rint(a), 4 + rint(a / 2), 7), ties to even,
// as each term is the code on its own range (0..2, 2..4, 4..6) and no less elsewhere. Positive
// floats order like their bits, and NaN after them. kBelow7: a < 7, which takes an operation less.
template <bool kBelow7>
__device__ unsigned e2m1_magnitude(float a, int i) {
  const float base = e2m1_base(i);
  const unsigned to_2 = __float_as_uint(a * 2.0f + base);
  const unsigned to_4 = __float_as_uint(a + (base + 2.0f));
  // Or 7 - 4 * (3/4 - a / 8): the difference is exact where a > 2, and saturates to 0 where a > 6
  // or NaN.
  const unsigned to_6 = __float_as_uint(
      kBelow7 ? a * 0.5f + (base + 4.0f) : (base + 7.0f) - 4.0f * __saturatef(0.75f - a * 0.125f));
  const unsigned to_4_or_6 = to_4 < to_6 ? to_4 : to_6;
  return to_2 < to_4_or_6 ? to_2 : to_4_or_6;
}

// The codes of eight such a. Element i in bits 4i+2 : 4i.
template <bool kBelow7>
__device__ unsigned e2m1x8_magnitudes(const float (&a)[8]) {
  unsigned magnitudes = 0;
  for (int i = 7; i >= 0; --i) magnitudes = magnitudes * 16 + e2m1_magnitude<kBelow7>(a[i], i);
  return magnitudes;
}

// Byte i of the result is the byte of x[2 i] that holds its sign, in bit 7.
__device__ inline unsigned sign_bytes(unsigned x0, unsigned x2, unsigned x4, unsigned x6) {
  return __byte_perm(__byte_perm(x0, x2, 0x0073), __byte_perm(x4, x6, 0x0073), 0x5410);
}

// Round to nearest even, saturating; NaN of either sign becomes +6 (code 7), -0 keeps its sign.
// Element i in bits 4i+3 : 4i.
__device__ inline unsigned e2m1x8_encode_arithmetic(const float (&x)[8]) {
  unsigned bits[8];
  float a[8];
  for (int i = 0; i < 8; ++i) {
    const float v = fminf(x[i], 8.0f);  // NaN becomes positive
    bits[i] = __float_as_uint(v);
    a[i] = fabsf(v);
  }
  const unsigned even = sign_bytes(bits[0], bits[2], bits[4], bits[6]);
  const unsigned odd = sign_bytes(bits[1], bits[3], bits[5], bits[7]);
  return e2m1x8_magnitudes<false>(a) | (even >> 4 & 0x08080808u) | (odd & 0x80808080u);
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
