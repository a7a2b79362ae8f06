// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/fidelity.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace nibble::cli {
namespace {

TEST(Fidelity, DecodesE2m1) {
  const double magnitudes[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  for (unsigned code = 0; code < 16; ++code) {
    EXPECT_EQ(decode_e2m1(code), code < 8 ? magnitudes[code] : -magnitudes[code - 8]) << code;
  }
}

TEST(Fidelity, DecodesE4m3) {
  // Each code is the one before plus the spacing of its octave: 8 codes to an octave from 2^-6 on,
  // below it multiples of 2^-9.
  double value = 0;
  double spacing = 0x1p-9;
  for (unsigned bits = 0; bits < 0x7f; ++bits) {
    EXPECT_EQ(decode_e4m3(static_cast<uint8_t>(bits)), value) << bits;
    EXPECT_EQ(decode_e4m3(static_cast<uint8_t>(bits | 0x80)), -value) << bits;
    if (bits >= 16 && bits % 8 == 0) spacing *= 2;
    value += spacing;
  }
  EXPECT_EQ(decode_e4m3(0x7e), 448);
  EXPECT_TRUE(std::isnan(decode_e4m3(0x7f)));
  EXPECT_TRUE(std::isnan(decode_e4m3(0xff)));
}

TEST(Fidelity, DecodesEveryHalf) {
  for (unsigned bits = 0; bits < 0x7c00; ++bits) {
    const unsigned exponent = bits >> 10;
    const double mantissa = bits & 0x3ff;
    const double expected =
        exponent == 0 ? mantissa * 0x1p-24
                      : (1024 + mantissa) * std::pow(2.0, static_cast<int>(exponent) - 25);
    ASSERT_EQ(decode_f16(static_cast<uint16_t>(bits)), expected) << bits;
    ASSERT_EQ(decode_f16(static_cast<uint16_t>(bits | 0x8000)), -expected) << bits;
  }
  EXPECT_EQ(decode_f16(0x7c00), INFINITY);
  EXPECT_EQ(decode_f16(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(decode_f16(0x7e00)));
  EXPECT_EQ(decode_bf16(0x3f80), 1);
  EXPECT_EQ(decode_bf16(0xc040), -3);
  EXPECT_TRUE(std::isnan(decode_bf16(0x7fc0)));
}

TEST(Fidelity, ComparesByHand) {
  // One row of 18: a whole block and a ragged one.
  std::vector<float> original(18, 0.0F);
  original[0] = 6.5F;   // decoded 6: error 0.5
  original[1] = -3.0F;  // decoded -3
  original[17] = 4.0F;  // decoded 3 x 2 x 0.5 = 3: error 1
  std::vector<uint8_t> codes(16, 0);
  codes[0] = 0x7 | 0xd << 4;              // 6, -3
  codes[8] = 0x5 << 4;                    // 0, 3
  const uint8_t scales[] = {0x40, 0x40};  // 2
  Fidelity fidelity;
  compare({original.data(), DataType::kF32, 1, 18, codes.data(), scales, 0.5}, &fidelity);
  EXPECT_EQ(fidelity.elements, 18);
  EXPECT_EQ(fidelity.signal, 6.5 * 6.5 + 9 + 16);
  EXPECT_EQ(fidelity.noise, 0.25 + 1);
  EXPECT_EQ(fidelity.largest_error, 1);
  EXPECT_DOUBLE_EQ(fidelity.decibels(), 10 * std::log10(67.25 / 1.25));

  original[3] = INFINITY;
  original[4] = NAN;
  Fidelity damaged;
  compare({original.data(), DataType::kF32, 1, 18, codes.data(), scales, 0.5}, &damaged);
  EXPECT_EQ(damaged.not_finite, 2);
  EXPECT_EQ(damaged.signal, fidelity.signal);
  EXPECT_TRUE(std::isinf(Fidelity().decibels()));
}

}  // namespace
}  // namespace nibble::cli
