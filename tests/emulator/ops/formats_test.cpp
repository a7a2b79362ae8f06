// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Encodings against a table of all codes: the nearest is looked for, ties by the code's last bit.
#include "runtime/emulator/ops/formats.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

// The value of a code by its definition.
template <class F>
double value_of(uint32_t code) {
  const int exponent = static_cast<int>(code >> F::kMantissaBits) & ((1 << F::kExponentBits) - 1);
  const int mantissa = static_cast<int>(code) & ((1 << F::kMantissaBits) - 1);
  const int top = (1 << F::kExponentBits) - 1;
  const double sign = (code >> F::kSignBit) != 0 ? -1 : 1;
  const double step = std::ldexp(1.0, std::max(exponent, 1) - F::kBias - F::kMantissaBits);
  if (F::kSpecials == Specials::kIeee && exponent == top) {
    return mantissa == 0 ? sign * INFINITY : NAN;
  }
  if (F::kSpecials == Specials::kNan && exponent == top &&
      mantissa == (1 << F::kMantissaBits) - 1) {
    return NAN;
  }
  return sign * step * (mantissa + (exponent == 0 ? 0 : 1 << F::kMantissaBits));
}

template <class F>
std::vector<double> positive_values() {
  std::vector<double> values;
  for (uint32_t code = 0; code <= F::kMaxFinite; ++code) values.push_back(value_of<F>(code));
  return values;
}

// The code of x by search. Beyond the largest number the grid goes on by one step, as IEEE 754
// says.
template <class F>
uint32_t search(float x, Rounding rounding, bool satfinite) {
  static const std::vector<double> kValues = positive_values<F>();
  if (std::isnan(x)) return F::kNan;
  const uint32_t sign = std::signbit(x) ? static_cast<uint32_t>(F::kSign) : 0;
  const double magnitude = std::fabs(static_cast<double>(x));
  const bool infinite = F::kSpecials == Specials::kIeee && !satfinite;
  const uint32_t beyond =
      infinite ? static_cast<uint32_t>(F::kInfinity) : static_cast<uint32_t>(F::kMaxFinite);
  if (std::isinf(x)) return sign | beyond;
  const auto above = std::lower_bound(kValues.begin(), kValues.end(), magnitude);
  if (above != kValues.end() && *above == magnitude) {
    return sign | static_cast<uint32_t>(above - kValues.begin());
  }
  const auto upper = static_cast<uint32_t>(above - kValues.begin());
  const double low = kValues[upper - 1];
  const double high =
      above == kValues.end() ? 2 * kValues.back() - kValues[kValues.size() - 2] : *above;
  const bool nearer_up = magnitude - low > high - magnitude;
  const bool tie = magnitude - low == high - magnitude;
  bool up = false;
  switch (rounding) {
    case Rounding::kNearestEven:
      up = nearer_up || (tie && upper % 2 == 0);
      break;
    case Rounding::kNearestAway:
      up = nearer_up || tie;
      break;
    case Rounding::kDown:
      up = sign != 0;
      break;
    case Rounding::kUp:
      up = sign == 0;
      break;
    case Rounding::kZero:
      break;
  }
  const uint32_t code = up ? upper : upper - 1;
  return sign | (code > F::kMaxFinite ? beyond : code);
}

template <class F>
class Formats : public testing::Test {};
using Narrow = testing::Types<E2m1, E2m3, E3m2, E4m3, E5m2, Binary16, Bfloat16>;
TYPED_TEST_SUITE(Formats, Narrow);

TYPED_TEST(Formats, EveryCodeDecodes) {
  for (uint32_t code = 0; code < 2 * TypeParam::kSign; ++code) {
    const double expected = value_of<TypeParam>(code);
    const float value = decode<TypeParam>(code);
    if (std::isnan(expected)) {
      EXPECT_EQ(bits_of_float(value), kNan32) << code;
    } else {
      EXPECT_EQ(bits_of_float(value), bits_of_float(static_cast<float>(expected))) << code;
    }
  }
}

TYPED_TEST(Formats, EveryNumberSurvives) {
  for (uint32_t code = 0; code < 2 * TypeParam::kSign; ++code) {
    const float value = decode<TypeParam>(code);
    if (std::isnan(value)) continue;
    for (int rounding = 0; rounding < 5; ++rounding) {
      EXPECT_EQ(encode<TypeParam>(value, static_cast<Rounding>(rounding)), code);
    }
  }
}

TYPED_TEST(Formats, EveryRoundingFindsTheNeighbour) {
  Values inputs = special_floats(20000);
  const std::vector<double> values = positive_values<TypeParam>();
  for (size_t i = 1; i < values.size(); ++i) {  // ties, and what stands beside them
    const auto tie = static_cast<float>((values[i - 1] + values[i]) / 2);
    for (const float x : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, INFINITY)}) {
      inputs.push_back(bits_of_float(x));
      inputs.push_back(bits_of_float(-x));
    }
  }
  for (const uint64_t bits : inputs) {
    const float x = as_float(bits);
    for (int i = 0; i < 5; ++i) {
      const auto rounding = static_cast<Rounding>(i);
      for (const bool satfinite : {false, true}) {
        const EncodeOptions options{.satfinite = satfinite};
        const uint32_t expected = search<TypeParam>(x, rounding, satfinite);
        ASSERT_EQ(encode<TypeParam>(x, rounding, options), expected)
            << std::hexfloat << x << " " << i;
        ASSERT_EQ((encode<TypeParam>(static_cast<double>(x), rounding, options)), expected) << x;
        const bool negative = std::signbit(x) && !std::isnan(x);
        const EncodeOptions relu{.relu = true, .satfinite = satfinite};
        ASSERT_EQ(encode<TypeParam>(x, rounding, relu), negative ? 0 : expected) << x;
      }
    }
  }
}

// Golden vectors: f32 bits and the E2M1 code, nearest even.
TEST(E2m1, GoldenCodes) {
  constexpr uint32_t kCases[][2] = {
      {0x00000000, 0x0}, {0x80000000, 0x8}, {0x0DA24260, 0x0}, {0x3E7FFFFF, 0x0},
      {0x3E800000, 0x0}, {0x3E800001, 0x1}, {0x3F000000, 0x1}, {0x3F3FFFFF, 0x1},
      {0x3F400000, 0x2}, {0x3F800000, 0x2}, {0x3FA00000, 0x2}, {0x3FA00001, 0x3},
      {0x3FC00000, 0x3}, {0x3FDFFFFF, 0x3}, {0x3FE00000, 0x4}, {0x40000000, 0x4},
      {0x40200000, 0x4}, {0x40200001, 0x5}, {0x40400000, 0x5}, {0x405FFFFF, 0x5},
      {0x40600000, 0x6}, {0x40800000, 0x6}, {0x40A00000, 0x6}, {0x40A00001, 0x7},
      {0x40C00000, 0x7}, {0x40E00000, 0x7}, {0x7149F2CA, 0x7}, {0x7F800000, 0x7},
      {0xBE800000, 0x8}, {0xBF400000, 0xA}, {0xC0200000, 0xC}, {0xC0A00000, 0xE},
      {0xFF800000, 0xF}, {0x7FC00000, 0x7}, {0xFFC00000, 0x7}};
  for (const auto& [bits, code] : kCases) {
    EXPECT_EQ(encode<E2m1>(as_float(bits)), code) << std::hex << bits;
  }
}

TEST(E4m3, GoldenCodes) {
  const std::pair<float, uint32_t> cases[] = {{0.0f, 0x00},
                                              {0.00048828125f, 0x00},
                                              {0.0009765625f, 0x00},
                                              {0.0009765626164153218f, 0x01},
                                              {0.0029296875f, 0x02},
                                              {0.001953125f, 0x01},
                                              {0.0048828125f, 0x02},
                                              {0.015625f, 0x08},
                                              {0.0146484375f, 0x08},
                                              {1.0f, 0x38},
                                              {1.0625f, 0x38},
                                              {1.1875f, 0x3A},
                                              {2.0f, 0x40},
                                              {240.0f, 0x77},
                                              {247.99998474121094f, 0x77},
                                              {248.0f, 0x78},
                                              {256.0f, 0x78},
                                              {384.0f, 0x7C},
                                              {416.0f, 0x7D},
                                              {432.0f, 0x7E},
                                              {433.0f, 0x7E},
                                              {448.0f, 0x7E},
                                              {463.9999694824219f, 0x7E},
                                              {464.0f, 0x7E},
                                              {465.0f, 0x7E},
                                              {1e9f, 0x7E},
                                              {INFINITY, 0x7E},
                                              {NAN, 0x7F}};
  for (const auto& [x, code] : cases) EXPECT_EQ(encode<E4m3>(x), code) << x;
}

TEST(StochasticRounding, GoldenRandomBits) {
  constexpr uint32_t kCases[][5] = {
      {0x00000001, 0x0001, 0x8000, 0x0000, 0x0000}, {0x00000080, 0x0080, 0x0100, 0x0000, 0x0000},
      {0x00010000, 0x0100, 0x0080, 0x0000, 0x0000}, {0x00000100, 0x0000, 0x0000, 0x0001, 0x8000},
      {0x12345678, 0x3478, 0x1E2C, 0x1256, 0x6A48}, {0xFFFFFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF}};
  for (const auto& row : kCases) {
    for (int i = 0; i < 4; ++i) EXPECT_EQ(random_of_e2m1x4(row[0], i), row[i + 1]) << row[0];
  }
}

TEST(StochasticRounding, CountsOfWordsThatRoundUp) {
  const std::pair<float, uint32_t> cases[] = {{1.125f, 16384}, {0.25f, 32768}, {1.75f, 32768},
                                              {2.5f, 32768},   {5.5f, 49152},  {0x1p-18f, 0},
                                              {1.5f, 0},       {6.0f, 0}};
  for (const auto& [x, expected] : cases) {
    uint32_t ups = 0;
    const uint32_t down = encode<E2m1>(x, Rounding::kZero);
    for (uint32_t random = 0; random < 65536; ++random) {
      const uint32_t code = encode_random<E2m1>(x, random, 16, {.satfinite = true});
      ups += code != down;
      ASSERT_TRUE(code == down || code == down + 1);
      ASSERT_EQ(encode_random<E2m1>(-x, random, 16, {.satfinite = true}), code | 8);
    }
    EXPECT_EQ(ups, expected) << x;
  }
  for (const uint32_t random : {0u, 0x8000u, 0xFFFFu}) {
    EXPECT_EQ(encode_random<E2m1>(6.4f, random, 16, {.satfinite = true}), 7u);
    EXPECT_EQ(encode_random<E2m1>(-0.0f, random, 16, {.satfinite = true}), 8u);
    EXPECT_EQ(encode_random<E2m1>(NAN, random, 16, {.satfinite = true}), 7u);
  }
}

TEST(Ue8m0, PowersOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const auto power = static_cast<float>(std::ldexp(1.0, code - 127));
    const auto above = std::nextafter(power, INFINITY);
    EXPECT_EQ(encode_ue8m0(power, Rounding::kZero, false), code);
    EXPECT_EQ(encode_ue8m0(power, Rounding::kUp, false), code);
    EXPECT_EQ(encode_ue8m0(-power, Rounding::kUp, false), code);
    EXPECT_EQ(encode_ue8m0(above, Rounding::kZero, false), code);
    EXPECT_EQ(encode_ue8m0(above, Rounding::kUp, false), code + 1);
    EXPECT_EQ(encode_ue8m0(above, Rounding::kUp, true), std::min(code + 1, 254));
    EXPECT_EQ(decode<Bfloat16>(ue8m0_to_bfloat(static_cast<uint8_t>(code))), power);
  }
  EXPECT_EQ(encode_ue8m0(0.0f, Rounding::kUp, true), 0);
  EXPECT_EQ(encode_ue8m0(INFINITY, Rounding::kUp, true), 0xFE);
  EXPECT_EQ(encode_ue8m0(INFINITY, Rounding::kZero, false), 0xFF);
  EXPECT_EQ(encode_ue8m0(NAN, Rounding::kZero, true), 0xFF);
  EXPECT_EQ(ue8m0_to_bfloat(0xFF), 0x7FFF);
}

}  // namespace
}  // namespace nibble::emulator
