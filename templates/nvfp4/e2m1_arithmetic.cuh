// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// E2M1 by fp32 and integer arithmetic, for targets without the conversion instructions, with the
// bits of those instructions for every input. Includes nothing, so that a host test can compile it.
#pragma once

namespace nibble {

// The magnitudes 0 0.5 1 1.5 2 3 4 6 have three spacings. Adding 1.5 * 2^23 rounds to an integer,
// ties to even, and leaves it in the low bits; with a, the magnitude of v, the code is
//   min(rint(2 a), 2 + rint(a), 4 + rint(a / 2), 7)
// as each term is the code on its own range (0..2, 2..4, 4..6) and no less elsewhere.
// NaN becomes 7. Values above 6, infinities too, become 6. -0 keeps its sign.
__device__ inline unsigned e2m1_encode(float v) {
  constexpr float kRint = 12582912.0f;        // 1.5 * 2^23
  const float signed_value = fminf(v, 6.0f);  // NaN of either sign: 6
  const float a = fabsf(signed_value);
  const float below_2 = a * 2.0f + kRint;
  const float below_4 = a + (kRint + 2.0f);
  // 3 - a / 2, exact where a >= 2 and saturated to 0 where a > 6.
  const float above_4 = (kRint + 7.0f) - 4.0f * __saturatef(0.75f - a * 0.125f);
  const unsigned code = __float_as_uint(fminf(fminf(below_2, below_4), above_4)) & 7u;
  return code | (__float_as_uint(signed_value) >> 28 & 8u);
}

// Exact. A code's bits are those of an fp32 with another exponent bias.
__device__ inline float e2m1_decode(unsigned code) {
  return __uint_as_float((code & 8u) << 28 | (code & 7u) << 22) * 0x1p126f;
}

}  // namespace nibble
