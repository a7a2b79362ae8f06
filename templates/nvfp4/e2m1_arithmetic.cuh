// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 by fp32 and integer arithmetic, for targets without the conversion instructions, with the
// bits of those instructions for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

constexpr float kRint = 12582912.0f;         // 1.5 * 2^23: adding it rounds to an integer, and
constexpr unsigned kRintBits = 0x4b400000u;  // leaves that in the low bits

// kRintBits + the code of |v|; v is no NaN of negative sign. The magnitudes 0 0.5 1 1.5 2 3 4 6
// have three spacings:
//   code = min(rint(2 |v|), 2 + rint(|v|), 4 + rint(|v| / 2), 7), ties to even,
// as each term is the code on its own range (0..2, 2..4, 4..6) and no less elsewhere. Positive
// floats order like their bits, and NaN after them.
__device__ inline unsigned e2m1_magnitude(float v) {
  const float a = fabsf(v);
  const unsigned to_2 = __float_as_uint(a * 2.0f + kRint);
  const unsigned to_4 = __float_as_uint(a + (kRint + 2.0f));
  // 7 - 4 * (3/4 - a / 8): the difference is exact where a > 2, and saturates to 0 where a > 6
  // or NaN.
  const unsigned to_6 = __float_as_uint((kRint + 7.0f) - 4.0f * __saturatef(0.75f - a * 0.125f));
  const unsigned to_4_or_6 = to_4 < to_6 ? to_4 : to_6;
  return to_2 < to_4_or_6 ? to_2 : to_4_or_6;
}

// Byte i of the result is the byte of x[2 i] that holds its sign, in bit 7.
__device__ inline unsigned sign_bytes(unsigned x0, unsigned x2, unsigned x4, unsigned x6) {
  return __byte_perm(__byte_perm(x0, x2, 0x0073), __byte_perm(x4, x6, 0x0073), 0x5410);
}

// Round to nearest even, saturating; NaN of either sign becomes +6 (code 7), -0 keeps its sign.
// Element i in bits 4i+3 : 4i.
__device__ inline unsigned e2m1x8_encode_arithmetic(const float (&x)[8]) {
  unsigned bits[8];
  unsigned magnitudes = 0;
  for (int i = 7; i >= 0; --i) {
    const float v = fminf(x[i], 8.0f);  // NaN becomes positive
    bits[i] = __float_as_uint(v);
    magnitudes = magnitudes * 16 + e2m1_magnitude(v);
  }
  magnitudes -= kRintBits * 0x11111111u;
  const unsigned even = sign_bytes(bits[0], bits[2], bits[4], bits[6]);
  const unsigned odd = sign_bytes(bits[1], bits[3], bits[5], bits[7]);
  return magnitudes | (even >> 4 & 0x08080808u) | (odd & 0x80808080u);
}

// The value of the code in bits 3:0, exact: its bits are those of an fp32 of another bias.
__device__ inline float e2m1_decode_arithmetic(unsigned code) {
  return __uint_as_float((code & 8u) << 28 | (code & 7u) << 22) * 0x1p126f;
}

}  // namespace nibble
