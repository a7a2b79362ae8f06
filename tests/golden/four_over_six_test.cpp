// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The reference's choice of block scales: against a vector, and against the sums of squared errors
// in double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "tests/reference/quantize.h"

namespace nibble::reference {
namespace {

constexpr float kAmax = 24;

// With scale 128 elements are 2 x code; with 192, 3 x code, the squares of the errors add up to
// 3.5. Their unit is the square of 2^7 / 2^10 x 24 / 1536.
TEST(FourOverSix, GoldenBlock) {  // V20
  const std::vector<float> x = {12, 8, 6, 4, 3, 2, 1, 0, -12, -8, -6, -4, -3, -2, -1, -0.0F};
  const FourOverSix choice = four_over_six(x, kAmax);
  EXPECT_EQ(choice.six, 0x70);
  EXPECT_EQ(choice.four, 0x74);
  EXPECT_EQ(choice.error_of_six, 0u);
  EXPECT_EQ(choice.error_of_four, 917504u);
  EXPECT_FALSE(choice.takes_four());
}

TEST(FourOverSix, BlockOfTheTensorsAmaxHasRoomForBoth) {  // V09
  const std::vector<float> x = {kAmax};
  EXPECT_EQ(four_over_six(x, kAmax).six, 0x78);   // 256
  EXPECT_EQ(four_over_six(x, kAmax).four, 0x7C);  // 384
}

double squared_error(const std::vector<float>& x, uint8_t scale, float encode) {
  double sum = 0;
  for (const float value : x) {
    const double code = double{decode_e2m1(encode_e2m1(value * encode))};
    const double off = code * double{decode_e4m3(scale)} * kAmax / 1536 - double{value};
    sum += off * off;
  }
  return sum;
}

TEST(FourOverSix, TakesTheSmallerError) {
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal(0, 2);
  int fours = 0;
  for (int block = 0; block < 20000; ++block) {
    std::vector<float> x(16);
    for (float& value : x) value = decode_bf16(encode_bf16(normal(random)));
    const FourOverSix choice = four_over_six(x, kAmax);
    const double six = squared_error(x, choice.six, choice.encode_six);
    const double four = squared_error(x, choice.four, choice.encode_four);
    fours += choice.takes_four();
    if (std::fabs(six - four) < 1e-4 * six) continue;  // errors are rounded
    ASSERT_EQ(choice.takes_four(), four < six) << block << ": " << six << " " << four;
  }
  EXPECT_GT(fours, 4000);
  EXPECT_LT(fours, 16000);
}

}  // namespace
}  // namespace nibble::reference
