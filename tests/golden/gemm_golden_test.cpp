// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The reference's sums and MXFP4 scales against vectors made by exact rational arithmetic, and
// against each other.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <string_view>

#include "tests/reference/gemm.h"
#include "tests/reference/gemm_epilogue.h"
#include "tests/reference/nvfp4.h"

namespace nibble {
namespace {

using reference::Format;
using reference::Operand;

uint32_t word(float value) { return std::bit_cast<uint32_t>(value); }

int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

// A row of NVFP4: a digit a code, two a scale.
Operand row(std::string_view codes, std::string_view scales) {
  Operand operand;
  operand.rows = 1;
  operand.k = static_cast<int64_t>(codes.size());
  for (char c : codes) operand.codes.push_back(static_cast<uint16_t>(digit(c)));
  for (size_t i = 0; i < scales.size(); i += 2) {
    operand.scales.push_back(static_cast<uint8_t>(digit(scales[i]) * 16 + digit(scales[i + 1])));
  }
  return operand;
}

float tensor_sum(const Operand& a, const Operand& b) {
  const int64_t parts[] = {a.k};
  return reference::tensor_sums(a, b, parts)[0];
}

struct Row {
  std::string_view a, a_scales, b, b_scales;
  uint32_t exact, model;
};

// V27: rows of 256, four MMAs.
constexpr Row kRows[] = {
    {"736b8b9a4690c044b9a90efc928c6615ef14a65872c4966fa28adce554f0c37652ce4493ed569e0c"
     "43749fd46a99a81224a00aaa57e0657b7b9b623ccea43640d11ec904f7412d710be7e4ad7d210dd9"
     "9c82c9866198ac7edb39035a3923240625fbe0ff9e868f67178adca23cf4d38ff524434b9673ced3"
     "bc05e3c63fe6ded4",
     "4e5f786a3747577e507a37405c407579",
     "d5d97001df52d5c7c8ec3677a51f28aa2e2eadc9d5afc7e53dafd0d4b62aab7f5ff576b0047980f0"
     "c425bce0188b8e05065cfeaa957a6bb1f38f1ea9ede638f9995dca97cd35ec8316fad1304d41c22c"
     "474793fba0c8edfd8273d41fcc09a13c3f5eb863403e6deb385e9c75a5415f7806d3cb6be70e8aa0"
     "1dd086b52304e470",
     "523f614f7a7a37466270414b72556744", 0x49CBD535, 0x49CBD534},
    {"d11ec904f7412d710be7e4ad7d210dd99c82c9866198ac7edb39035a3923240625fbe0ff9e868f67"
     "178adca23cf4d38ff524434b9673ced3bc05e3c63fe6ded4947ac0134b67511c4296779d7cbda414"
     "003f35dd3eabaa977b80a7146b47ee4558bc6f0b2d28f0fe6620e9c2cd8095966f1f0c5f5484f1b7"
     "e8e5399cf2ded6cf",
     "4a6e6a344d3e32676d5b305067485539",
     "995dca97cd35ec8316fad1304d41c22c474793fba0c8edfd8273d41fcc09a13c3f5eb863403e6deb"
     "385e9c75a5415f7806d3cb6be70e8aa01dd086b52304e4700d00f4f23b588c945a1d39c58f873b4c"
     "b496cadca99415e7a5f24db18c0b3117212d133487773b2373764247c6eecff8606680191cd56e50"
     "49ef328ddeaf1286",
     "7b7a6a5a4f785369716352353e5c7179", 0x49C05D25, 0x49C05D25},
    {"947ac0134b67511c4296779d7cbda414003f35dd3eabaa977b80a7146b47ee4558bc6f0b2d28f0fe"
     "6620e9c2cd8095966f1f0c5f5484f1b7e8e5399cf2ded6cfb5effa36d824b15b34b3446acf276e7f"
     "48c8c15f898e9e25243513dd4116812d90837d181d1d6d3c33f254e8cf80256c654d30bee4e9c9e4"
     "024554ac885b87c9",
     "636056566d39744b36425a3669364c54",
     "0d00f4f23b588c945a1d39c58f873b4cb496cadca99415e7a5f24db18c0b3117212d133487773b23"
     "73764247c6eecff8606680191cd56e5049ef328ddeaf1286afbb62a1667d7278f33f05f8a66a1b52"
     "63fa6fa30b565722438bc9204809a4d698c22389fcb80a6b5158a0329bab2c48bb6e0dc72627e449"
     "40dd42274dc869cf",
     "327954476f5541324c54384a463a7447", 0xC9262F7B, 0xC9262F7A},
};

TEST(GemmGolden, RowsOfTheModel) {
  for (const Row& each : kRows) {
    const Operand a = row(each.a, each.a_scales), b = row(each.b, each.b_scales);
    EXPECT_EQ(word(reference::exact_sum(a, 0, b, 0)), each.exact);
    EXPECT_EQ(word(tensor_sum(a, b)), each.model);
  }
}

// V27: one more MMA on an accumulator that an earlier one has made. Groups of 16 elements, a scale
// each.
struct Step {
  std::string_view a[4], b[4];
  std::string_view a_scales, b_scales;
};

constexpr std::string_view kZero = "0000000000000000";

std::string joined(const Step& step, bool of_a) {
  std::string codes;
  for (int i = 0; i < 4; ++i) codes += of_a ? step.a[i] : step.b[i];
  return codes;
}

float two_steps(const Step& first, const Step& second) {
  const std::string a = joined(first, true) + joined(second, true);
  const std::string b = joined(first, false) + joined(second, false);
  const std::string a_scales = std::string(first.a_scales) + std::string(second.a_scales);
  const std::string b_scales = std::string(first.b_scales) + std::string(second.b_scales);
  return tensor_sum(row(a, a_scales), row(b, b_scales));
}

TEST(GemmGolden, StepsOfTheModel) {
  constexpr std::string_view kFours = "6666666666666666";  // 16 x 4 x 4 = 256
  constexpr std::string_view kSixes = "7777777777777777";
  constexpr std::string_view kMinusSixes = "ffffffffffffffff";
  constexpr std::string_view kOnes = "38383838";
  // 256 x 256 x 256 = 2^24.
  const Step c{
      {kFours, kZero, kZero, kZero}, {kFours, kZero, kZero, kZero}, "78383838", "78383838"};
  auto with_first = [&](std::string_view a, std::string_view b) {
    return Step{{a, kZero, kZero, kZero}, {b, kZero, kZero, kZero}, kOnes, kOnes};
  };
  // 1.5 + 0.5 x 0.5 = 1.75; 2 + 1.5 = 3.5.
  EXPECT_EQ(word(two_steps(c, with_first("3100000000000000", "2100000000000000"))), 0x4B800000u);
  EXPECT_EQ(word(two_steps(c, with_first("4300000000000000", "2200000000000000"))), 0x4B800001u);
  // c = 2^-18 or 2^-20 and groups of +-576 x 448^2.
  const Step groups{
      {kSixes, kMinusSixes, kZero, kZero}, {kSixes, kSixes, kZero, kZero}, "7e7e0000", "7e7e0000"};
  auto small = [&](std::string_view a) {  // a x 0.5 x 2^-9 x 2^-9
    return Step{{a, kZero, kZero, kZero},
                {"1000000000000000", kZero, kZero, kZero},
                "01000000",
                "01000000"};
  };
  EXPECT_EQ(word(two_steps(small("4000000000000000"), groups)), 0x36800000u);
  EXPECT_EQ(word(two_steps(small("1000000000000000"), groups)), 0u);
  // Zeros with large scales take part in the alignment.
  const Step zeros{
      {kZero, kZero, kZero, kZero}, {kZero, kZero, kZero, kZero}, "7e7e7e7e", "7e7e7e7e"};
  EXPECT_EQ(word(two_steps(small("1000000000000000"), zeros)), 0u);
}

TEST(GemmGolden, MxScales) {
  const std::pair<float, int> scales[] = {{1, 0x7D},
                                          {3, 0x7E},
                                          {3.5f, 0x7F},
                                          {3.9375f, 0x7F},
                                          {4, 0x7F},
                                          {5, 0x7F},
                                          {6, 0x7F},
                                          {6.5f, 0x80},
                                          {7, 0x80},
                                          {7.5f, 0x80},
                                          {8, 0x80},
                                          {0.100098f, 0x7A},
                                          {0, 0},
                                          {0x1p-149f, 0},
                                          {0x1.8p-125f, 0},
                                          {0x1.9p-125f, 1},
                                          {0x1.fffffep127f, 0xFD},
                                          {INFINITY, 0xFE}};
  for (const auto& [amax, scale] : scales) EXPECT_EQ(reference::mx_scale(amax), scale) << amax;
}

Operand random_operand(Format format, int64_t k, std::mt19937_64& random) {
  Operand operand;
  operand.format = format;
  operand.rows = 1;
  operand.k = k;
  operand.codes.resize(static_cast<size_t>(k));
  operand.scales.resize(static_cast<size_t>(operand.blocks()));
  for (uint16_t& code : operand.codes) {
    do {
      code = static_cast<uint16_t>(random() & (format == Format::kBf16   ? 0xFFFF
                                               : format < Format::kMxfp8 ? 0xF
                                                                         : 0xFF));
    } while (!std::isfinite(reference::decode_element(format, code)));
  }
  for (uint8_t& scale : operand.scales) scale = static_cast<uint8_t>(random() % 0x7F);
  return operand;
}

// The double before the fp32 is not seen: its rounding is half a unit of the last place more.
TEST(GemmReference, TrustedSumIsNearTheExactOne) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto format = static_cast<Format>(i % 5);
    const int64_t k = 1 + static_cast<int64_t>(random() % 300);
    const Operand a = random_operand(format, k, random), b = random_operand(format, k, random);
    const float trusted = reference::trusted_sum(a, 0, b, 0);
    const float exact = reference::exact_sum(a, 0, b, 0);
    const double bound = reference::trusted_bound(a, 0, b, 0);
    if (std::isinf(exact) || std::isinf(trusted)) {
      EXPECT_EQ(word(trusted), word(exact));
      continue;
    }
    const double unit = std::nextafterf(std::fabs(exact), INFINITY) - std::fabs(exact);
    EXPECT_LE(std::fabs(static_cast<double>(trusted) - exact), bound + unit) << i;
  }
}

// Each MMA cuts each term 25 (35) bits below the largest exponent, and its sum at fp32: together by
// less than a unit in the last place of the largest partial result.
TEST(GemmReference, TensorSumIsNearTheExactOne) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 2000; ++i) {
    const auto format = static_cast<Format>(i % 4);
    const int64_t k = 1 + static_cast<int64_t>(random() % 300);
    Operand a = random_operand(format, k, random), b = random_operand(format, k, random);
    for (uint8_t& scale : a.scales) scale = static_cast<uint8_t>(0x38 + random() % 4);
    for (uint8_t& scale : b.scales) scale = static_cast<uint8_t>(0x38 + random() % 4);
    double magnitudes = 0;
    for (int64_t j = 0; j < k; ++j) {
      const int block = reference::scaled_elements(format);
      const double scale = block == 0 ? 1 : a.scale(0, j / block) * b.scale(0, j / block);
      magnitudes += std::fabs(a.element(0, j) * b.element(0, j) * scale);
    }
    // 33 terms, each cut by 2^-25 of no more than four times the largest (a significand below 2
    // each), and the sum by 2^-23.
    const int64_t mmas = (k + 31) / 32;
    const auto steps = static_cast<double>(mmas);
    const double bound = steps * magnitudes * (33 * 4 * 0x1p-25 + 0x1p-23) + steps * 0x1p-149;
    EXPECT_LE(std::fabs(static_cast<double>(tensor_sum(a, b)) - reference::exact_sum(a, 0, b, 0)),
              bound)
        << i;
  }
}

// What is small enough to be exact in any order.
TEST(GemmReference, SmallIntegersAreExactInEveryWay) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200; ++i) {
    Operand a = random_operand(Format::kNvfp4, 200, random);
    Operand b = random_operand(Format::kNvfp4, 200, random);
    std::fill(a.scales.begin(), a.scales.end(), uint8_t{0x38});
    std::fill(b.scales.begin(), b.scales.end(), uint8_t{0x38});
    double plain = 0;
    for (int64_t j = 0; j < 200; ++j) plain += a.element(0, j) * b.element(0, j);
    EXPECT_EQ(reference::exact_sum(a, 0, b, 0), static_cast<float>(plain));
    EXPECT_EQ(reference::trusted_sum(a, 0, b, 0), static_cast<float>(plain));
    const int64_t split[] = {64, 128, 256};
    EXPECT_EQ(reference::tensor_sums(a, b, split)[0], static_cast<float>(plain));
  }
}

TEST(GemmReference, InfinitiesAndNan) {
  auto bf16 = [](const std::vector<float>& values) {
    Operand operand;
    operand.format = Format::kBf16;
    operand.rows = 1;
    operand.k = static_cast<int64_t>(values.size());
    for (float value : values) operand.codes.push_back(reference::encode_bf16(value));
    return operand;
  };
  auto all = [](const Operand& a, const Operand& b) {
    return std::vector<float>{reference::exact_sum(a, 0, b, 0), reference::trusted_sum(a, 0, b, 0),
                              tensor_sum(a, b)};
  };
  for (float sum : all(bf16({INFINITY, 1}), bf16({2, 3}))) EXPECT_EQ(sum, INFINITY);
  for (float sum : all(bf16({INFINITY, 1}), bf16({-2, 3}))) EXPECT_EQ(sum, -INFINITY);
  for (float sum : all(bf16({INFINITY, 1}), bf16({0, 3}))) EXPECT_TRUE(std::isnan(sum));
  for (float sum : all(bf16({INFINITY, INFINITY}), bf16({1, -1}))) EXPECT_TRUE(std::isnan(sum));
  for (float sum : all(bf16({NAN, 1}), bf16({0, 3}))) EXPECT_TRUE(std::isnan(sum));
  Operand a = row("0000000000000000", "7f"), b = row("0000000000000000", "38");
  for (float sum : all(a, b)) EXPECT_TRUE(std::isnan(sum));
}

}  // namespace
}  // namespace nibble
